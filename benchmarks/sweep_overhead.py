"""What the sweeper adds to a trial: python benchmarks/sweep_overhead.py [finished trials, 1000 by default].

Runs the tests' program without a model (its trials take no time of their own) on a study that is empty, and on one
that holds the finished trials already; each trial reports 8 epochs. The seconds between the starts of consecutive
trials are all overhead: Optuna's suggestion, Hydra's composition, the reports, the pruner, the end. What keeping the
study's MLflow run up to date takes after every trial is measured beside it and added.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna

from brain_tumor.config.train import TrackingConfig
from brain_tumor.sweep.storage import address, open_storage

ROOT = Path(__file__).parents[1]
EPOCHS, TRIALS, MINUTE = 8, 12, 60
NUMBERS = ["x", "+a", "+b", "+c", "+d", "+e", "+f", "+g", "+h"]  # as many as conf/sweep/finetune.yaml has, two choices
CHOICES = {"name": "choice(adam, sgd, adamw)", "y": "choice(16, 32, 64)"}


def fill(study: optuna.Study, count: int) -> None:
    """Add finished trials, of which three quarters are pruned."""
    rng = np.random.default_rng(0)
    known = study.trials[0]
    for _ in range(count):
        params = {
            key: each.choices[rng.integers(3)] if hasattr(each, "choices") else float(rng.uniform())
            for key, each in known.distributions.items()
        }
        pruned = rng.uniform() < 0.75
        values = {step: float(rng.uniform()) for step in range(1, 2 if pruned else EPOCHS + 1)}
        state = optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=values[max(values)],
                params=params,
                distributions=known.distributions,
                intermediate_values=values,
                user_attrs=dict(known.user_attrs),
            )
        )


def sweep(folder: Path, n_trials: int) -> None:
    """Bring the study in `folder` to `n_trials`."""
    space = [*(f"{key}=interval(0, 1)" for key in NUMBERS), *(f"{key}={text}" for key, text in CHOICES.items())]
    arguments = [*space, f"epochs={EPOCHS}", "sweep.study=s", f"sweep.n_trials={n_trials}"]
    command = [
        sys.executable,
        str(ROOT / "tests/sweep/toy_app.py"),
        *arguments,
        "sweep/pruner=successive_halving",
        "-m",
    ]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "SWEEP_CONF": str(ROOT / "conf"), "PYTHONPATH": path}
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)


def grown(folder: Path, count: int) -> int:
    """Make a study in `folder` that holds `count` finished trials; returns the `n_trials` that adds TRIALS to them."""
    sweep(folder, 1)
    fill(loaded(folder), count)
    return 1 + count + TRIALS


def loaded(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=open_storage(address(None, folder)))


def overhead(folder: Path) -> float:
    """Median seconds from one trial's start to the next one's, over the last trials."""
    starts = [trial.datetime_start for trial in loaded(folder).trials[-TRIALS:]]
    return statistics.median((later - earlier).total_seconds() for earlier, later in pairwise(starts))


def tracking(folder: Path) -> float:
    """Median seconds of bringing the study's MLflow run up to date, without the figures."""
    from brain_tumor.tracking.store import open_store
    from brain_tumor.tracking.sweep_run import log_progress, open_parent

    uri = f"sqlite:///{folder}/mlflow.db"
    store = open_store(TrackingConfig(uri, "bench", None, str(folder / "checkpoints"), False))
    study = loaded(folder)
    run_id = open_parent(store, study, name="s", tags={}, config_text="", created=True)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        log_progress(store, run_id, study, figures=False)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        for place in (empty, full):
            place.mkdir()
        sweep(empty, TRIALS)
        sweep(full, grown(full, count))
        rows = {"no finished trials": overhead(empty), f"{count} finished trials": overhead(full)}
        rows[f"MLflow run of the study, {count} trials"] = tracking(full)
    total = rows[f"{count} finished trials"] + rows[f"MLflow run of the study, {count} trials"]
    for name, seconds in rows.items():
        print(f"{name:<40} {seconds:6.3f} s a trial")
    print(f"together, of a trial of a minute: {total / MINUTE:.2%} ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
