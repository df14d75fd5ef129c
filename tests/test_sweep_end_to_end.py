"""A sweep as a user types it, on small images: the study's runs in MLflow, the best model, what is printed next."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import tensorflow as tf
from toy import TINY, client, run_id, runs_in, start

Run = Callable[..., "subprocess.CompletedProcess[str]"]
RATES = "schedule.scratch.learning_rate=tag(log, interval(1e-4, 1e-2))"
# The first points: a good one, and one that learns nothing.
GOOD_THEN_BAD = "sweep.enqueue=[{schedule.scratch.learning_rate: 3e-3}, {schedule.scratch.learning_rate: 1e-4}]"


def study(work: Path, name: str = "s") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{work}/mlruns/optuna.db")


@pytest.mark.slow
def test_a_sweep_nests_its_trials_prunes_and_registers_the_best(
    run: Run, bars: Callable[..., Path], tmp_path: Path
) -> None:
    data, work = bars(train=20), tmp_path / "work"
    arguments = ["data=folder", f"data.root={data}", *TINY, "schedule.scratch.epochs=3", "sweep.study=s"]
    pruner = ["sweep/pruner=median", "sweep.pruner.n_startup_trials=1", "sweep.pruner.n_warmup_steps=1"]
    done = run("train", *arguments, *pruner, RATES, GOOD_THEN_BAD, "sweep.n_trials=2", "-m")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

    trials = study(work).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED"]
    runs = {each.data.tags.get("trial", "parent"): each for each in runs_in(work)}
    parent = runs.pop("parent")
    assert parent.info.status == "FINISHED"
    assert len(runs) == 2
    for number, child in runs.items():
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["study"] == "s"
        assert child.info.status == "FINISHED"
        assert trials[int(number)].user_attrs["run_id"] == child.info.run_id
        assert not any(name.startswith("test/") for name in child.data.metrics)
    assert runs["1"].data.tags["pruned"].startswith("pruned at step 1 by MedianPruner: val/macro_f1 ")

    best, tags = study(work).best_trial, parent.data.tags
    assert tags["best.trial"] == str(best.number)
    assert tags["best.schedule.scratch.learning_rate"] == str(best.params["schedule.scratch.learning_rate"])
    assert parent.data.metrics["best/val/macro_f1"] == pytest.approx(best.value)
    listed = {each.path for each in client(work).list_artifacts(parent.info.run_id, "study")}
    assert {"study/trials.csv", "study/study.html"} <= listed
    assert any(path.endswith(".png") for path in listed)
    version = client(work).get_model_version_by_alias("brain-tumor", "champion").tags
    assert (version["study"], version["trial"], version["score"]) == ("s", str(best.number), repr(best.value))

    # The printed lines work as they stand.
    [evaluate] = re.findall(r"^  .* -m brain_tumor\.evaluate (.*)$", done.stdout, re.M)
    measured = run("evaluate", *shlex.split(evaluate))
    assert measured.returncode == 0, measured.stderr
    [again] = re.findall(r"^  .* -m brain_tumor\.train (.*)$", done.stdout, re.M)
    repeated = run("train", *shlex.split(again), "sweep.study=s")
    assert repeated.returncode == 0, repeated.stderr
    assert len(study(work).trials) == 2  # a plain run touches no study
    history = client(work).get_metric_history(run_id(repeated.stdout), "val/macro_f1")
    assert max(each.value for each in history) == best.value  # the same training, number for number


@pytest.mark.slow
def test_a_killed_trial_goes_on_from_its_checkpoint(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = ["train", "data=folder", f"data.root={bars()}", *TINY, "schedule.scratch.epochs=30", "sweep.study=s"]
    command += ["sweep/pruner=none", RATES, "sweep.n_trials=1", "-m"]
    first = start(tmp_path, *command)
    assert first.stderr is not None
    while "epoch 5 " not in first.stderr.readline():
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = run(*command)
    assert again.returncode == 0, again.stderr
    lost, kept = study(work).trials
    assert (lost.state.name, kept.state.name) == ("FAIL", "COMPLETE")
    assert kept.params == lost.params
    [ended] = [each for each in runs_in(work) if each.info.run_id == lost.user_attrs["run_id"]]
    assert (ended.info.status, ended.data.tags["lost"]) == ("KILLED", "its process died")
    known = len(lost.intermediate_values)
    assert known >= 4  # an epoch is printed before it is reported
    assert {step: kept.intermediate_values[step] for step in range(1, known + 1)} == lost.intermediate_values
    assert len(kept.intermediate_values) == 30
    # The bars of finished epochs are not drawn again: they were not trained again.
    assert not os.listdir(work / "mlruns" / "checkpoints")


@pytest.mark.slow
def test_a_killed_confirmation_goes_on_and_the_best_on_average_is_registered(
    run: Run, bars: Callable[..., Path], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    command = ["train", "data=folder", f"data.root={bars()}", *TINY, "schedule.scratch.epochs=8", "sweep.study=s"]
    command += ["schedule.scratch.learning_rate=3e-3,1e-4", "sweep.confirm=2", "-m"]
    first = start(tmp_path, *command)
    assert first.stderr is not None
    while not re.match("s-confirm trial 1, epoch 4 ", first.stderr.readline()):
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate()
    done = run(*command)
    assert done.returncode == 0, done.stderr
    again = study(work, "s-confirm").trials
    assert [trial.state.name for trial in again] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    lost, kept = again[1], again[4] if again[4].params == again[1].params else again[2]
    assert kept.params == lost.params
    known = len(lost.intermediate_values)
    assert {step: kept.intermediate_values[step] for step in range(1, known + 1)} == lost.intermediate_values
    runs = {each.info.run_id: each for each in runs_in(work)}
    version = client(work).get_model_version_by_alias("brain-tumor", "champion")
    scores = {
        number: [
            trial.value,
            *(each.value for each in again if trial.params.items() <= each.params.items() and each.value),
        ]
        for number, trial in enumerate(study(work).trials)
    }
    best = max(scores, key=lambda number: sum(scores[number]))
    assert version.tags["trial"] == str(best)
    assert float(version.tags["score"]) == max(scores[best][1:])
    assert runs[version.run_id].data.tags["confirmation"] in ("seed 1", "seed 2")
    assert not any(name.startswith("test/") for each in runs.values() for name in each.data.metrics)
    [parent] = [each for each in runs.values() if each.data.tags["job"] == "sweep"]
    assert all(
        each.data.tags.get("mlflow.parentRunId", parent.info.run_id) == parent.info.run_id for each in runs.values()
    )
    for text in (done.stdout, parent.data.tags["mlflow.note.content"]):
        assert f"Trial {best} is the best on average over its seeds" in " ".join(text.split())


@pytest.mark.slow
def test_a_combination_that_is_refused_is_a_failed_trial(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    data, work = bars(train=12), tmp_path / "work"
    arguments = ["data=folder", f"data.root={data}", *TINY, "sweep.study=s", "sweep/pruner=none", "sweep.n_trials=2"]
    # Only together are 2 and 2 wrong, so they pass the look at each before the first trial; seed 1 draws them first.
    space = ["schedule.scratch.warmup_epochs=choice(0,2)", "schedule.scratch.epochs=choice(3,2)", "sweep.seed=1"]
    done = run("train", *arguments, *space, "-m")
    assert done.returncode == 0, done.stderr
    bad, _ = study(work).trials
    assert bad.params == {"schedule.scratch.warmup_epochs": 2, "schedule.scratch.epochs": 2}
    assert bad.state.name == "FAIL"
    assert "warmup_epochs=2.0 leaves nothing of the 2 epochs" in bad.user_attrs["reason"]


@pytest.mark.slow
def test_a_trial_out_of_memory_says_so_and_is_tried_again_in_smaller_pieces(
    run: Run, bars: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr("brain_tumor.jobs.trial.train_model", full)
    arguments = ["data=folder", f"data.root={bars(train=12)}", *TINY, "sweep.study=s", RATES, "sweep.n_trials=1"]
    done = run("train", *arguments, "sweep.retry_smaller=true", "-m")
    assert done.returncode == 0, done.stderr
    assert "its point is tried again with hardware.micro_batch=16" in done.stderr  # of batches of 32
    assert "s is complete: 1 trials, 0 of them pruned and 1 failed" in done.stderr
    reason = "out of memory (ResourceExhaustedError: OOM when allocating tensor)"
    trials = study(tmp_path / "work").trials
    assert [trial.user_attrs["reason"] for trial in trials] == [f"failed: {reason}"] * 2
    assert trials[1].params == trials[0].params
    runs = {each.data.tags["trial"]: each for each in runs_in(tmp_path / "work") if "trial" in each.data.tags}
    for each in runs.values():
        assert each.info.status == "FAILED"
        assert each.data.tags["failed"] == reason
        assert reason in each.data.tags["mlflow.note.content"].replace("\\", "")
    pieces = [runs[number].data.tags["hardware"].partition("in pieces of ")[2] for number in ("0", "1")]
    assert pieces == ["", "16"]


@pytest.mark.slow
def test_trials_share_their_head_phase(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    data, work = bars(train=20), tmp_path / "work"
    small = ["data.image_size=32", "bootstrap=100", "augment=none", "tracking.system_metrics=false"]
    # A head phase of a network that has no trained weights may not freeze them.
    head = ["model=cnn_baseline", "schedule.head.unfreeze=all", "schedule.head.update_batch_norm=true"]
    small += [*head, "schedule.head.epochs=2", "schedule.all.epochs=1"]
    arguments = ["data=folder", f"data.root={data}", *small]
    sweep = ["schedule.all.warmup_epochs=0", "schedule.all.dropout=0,0.3"]
    done = run("train", *arguments, *sweep, "sweep.study=warm", "-m")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warm start: trains head once") == 1
    assert done.stderr.count("reused") == 2
    cold = run("train", *arguments, *sweep, "sweep.study=cold", "sweep.warm_start=false", "-m")
    assert cold.returncode == 0, cold.stderr
    values = [[trial.value for trial in study(work, name).trials] for name in ("warm", "cold")]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep.metric=val/f1"], "choose of"),
        (["sweep.metric=test/accuracy"], "test part"),
        (["sweep.metric=val/trust"], "is measured where it is the monitor: add monitor=val/trust"),
        (["schedule.all.epochs=int(interval(0, 3))"], "epochs"),
        (["model=choice(effnet_lite0, effnet_b9)"], "effnet_b9"),
        (["model.weights=choice(imagenet, nowhere.h5)"], "nowhere.h5"),
        (["schedule.all.nokey=1,2"], "nokey"),
        (["data=folder", "data.root=nowhere", "seed=1,2"], "nowhere"),
        (["sweep.n_trials=many"], "sweep.n_trials"),
        (["resume=0123456789abcdef0123456789abcdef"], "leave out -m"),
    ],
)
def test_what_every_trial_would_trip_over_is_one_line_before_the_first(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run("train", *arguments, "-m")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "work" / "mlruns").exists()
