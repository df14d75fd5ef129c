"""What a study has come to: its trials as a table, counts, the best, what mattered, what it cost, what is left."""

import math
import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.sweep.budget import Budget, Running, budget, running
from brain_tumor.sweep.space import text_of
from brain_tumor.sweep.study import was_lost

NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
FINISHED = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Counts:
    """Trials by state; `lost` and `surplus` ones do not count towards what was asked for."""

    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    lost: int = 0
    surplus: int = 0

    @property
    def finished(self) -> int:
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, eq=False)
class Summary:
    """The state of a study at one moment."""

    name: str
    metrics: list[str]
    directions: list[str]  # maximize | minimize, one per metric
    asked: int | None  # finished trials that the sweep wants; None: not known
    counts: Counts
    best: list[FrozenTrial]  # of one objective the best trial, of several the Pareto front by number; may be empty
    seconds: float  # training time spent by all trials, lost ones included
    seconds_left: float | None  # wall time at the present pace; None: not known yet
    last_activity: datetime | None  # when a trial last began or ended, local time
    running: list[Running]
    budget: Budget

    @property
    def missing(self) -> int | None:
        """Trials that are still to be finished; None: not known."""
        return None if self.asked is None else max(0, self.asked - self.counts.finished)

    @property
    def is_idle(self) -> bool:
        """Whether trials are missing and nobody works on them."""
        return bool(self.missing) and all(each.dead for each in self.running)


def summarize(study: Study, *, now: datetime | None = None) -> Summary:
    """Read a study's state; `now` (local time) is given by tests alone."""
    trials = study.get_trials(deepcopy=False)
    asked = study.user_attrs.get("n_trials")
    states = [state_of(trial) for trial in trials]
    counts = Counts(**{name: states.count(name) for name in set(states)})
    times = [time for trial in trials for time in (trial.datetime_start, trial.datetime_complete) if time is not None]
    return Summary(
        name=study.study_name,
        metrics=metric_names(study),
        directions=[direction.name.lower() for direction in study.directions],
        asked=asked,
        counts=counts,
        best=best_trials(trials, study.directions),
        seconds=float(sum(trial.user_attrs.get("seconds") or 0 for trial in trials)),
        seconds_left=None if asked is None else _seconds_left(trials, asked - counts.finished, now or datetime.now()),
        last_activity=max(times, default=None),
        running=running(trials),
        budget=budget(trials),
    )


def state_of(trial: FrozenTrial) -> str:
    """complete, pruned, failed, running, waiting; lost (its process died) or surplus (a worker began one too many)."""
    if was_lost(trial):
        return "surplus" if trial.user_attrs.get("surplus") else "lost"
    return NAMES[trial.state]


def table(study: Study) -> pd.DataFrame:
    """One row per trial, by number.

    Columns: number (int), state (as of `state_of`), a float per metric (of a pruned trial its last report), step (the
    last one reported, Int64), start (local time), seconds (training time it spent, float), run_id, reason, and every
    parameter (None in trials that do not have it).
    """
    trials = study.get_trials(deepcopy=False)
    metrics, keys = metric_names(study), parameter_keys(study, trials)
    rows = []
    for trial in trials:
        attributes = trial.user_attrs
        values = trial.values or [math.nan] * len(metrics)
        rows.append(
            {
                "number": trial.number,
                "state": state_of(trial),
                **dict(zip(metrics, values, strict=True)),
                "step": trial.last_step,
                "start": trial.datetime_start,
                "seconds": attributes.get("seconds"),
                "run_id": attributes.get("run_id"),
                "reason": attributes.get("reason") or None,
                **{key: trial.params.get(key) for key in keys},
            }
        )
    columns = ["number", "state", *metrics, "step", "start", "seconds", "run_id", "reason", *keys]
    frame = pd.DataFrame({column: pd.Series([row[column] for row in rows], dtype=object) for column in columns})
    types: dict[Any, Any] = {"number": "int64", "step": "Int64", "start": "datetime64[us]", "seconds": "float64"}
    return frame.astype(types | dict.fromkeys(metrics, "float64"))


def best_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """Of one objective the best complete trial, the earliest of equals; of several the Pareto front, by number."""
    complete = [trial for trial in trials if is_scored(trial)]
    if not complete:
        return []
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in directions]
    costs = np.array([trial.values for trial in complete]) * signs  # (trials, objectives), less is better
    if len(signs) == 1:
        return [complete[int(costs[:, 0].argmin())]]
    beaten = [bool(np.any((costs <= cost).all(axis=1) & (costs < cost).any(axis=1))) for cost in costs]
    return [trial for trial, worse in zip(complete, beaten, strict=True) if not worse]


def chosen_trial(study: Study) -> FrozenTrial | None:
    """The one trial to go on with: the best, of several objectives the front's best in the first; None without any."""
    front = best_trials(study.get_trials(deepcopy=False), study.directions)
    sign = 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1
    return max(front, key=lambda trial: sign * trial.values[0], default=None)


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a trial is complete with finite values."""
    return trial.state == TrialState.COMPLETE and all(math.isfinite(value) for value in trial.values)


def metric_names(study: Study) -> list[str]:
    """The objectives' names; `value` or `value_0`, `value_1` … in a study that gives none."""
    names = study.user_attrs.get("metrics")
    if names is None:
        with quiet():
            names = study.metric_names
    count = len(study.directions)
    if names is not None and len(names) == count:
        return [str(name) for name in names]
    return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]


def parameter_keys(study: Study, trials: Sequence[FrozenTrial]) -> list[str]:
    """Every key that some trial has, in the order of the study's space."""
    used = dict.fromkeys(key for trial in trials for key in trial.params)
    first = [key for key in study.user_attrs.get("space", {}) if key in used]
    return list(dict.fromkeys([*first, *used]))


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key's shortest ending that no other key shares: `schedule.all.epochs` is `epochs`, or `all.epochs`."""
    parts = {key: re.split(r"(?<=[./])", key) for key in dict.fromkeys(keys)}
    names = {}
    for key, own in parts.items():
        for length in range(1, len(own) + 1):
            ending = own[-length:]
            if not any(other[-length:] == ending for name, other in parts.items() if name != key):
                break
        names[key] = "".join(ending)
    return names


def train_overrides(study: Study, trial: FrozenTrial) -> list[str]:
    """What to type after `python -m brain_tumor.train` to train a trial's configuration once more.

    The sweep's command line as it was typed, without what only the sweep needs, then the trial's own overrides.
    """
    own: dict[str, str] = trial.user_attrs.get("overrides") or {k: text_of(value) for k, value in trial.params.items()}
    swept = {key.lstrip("+") for key in (*study.user_attrs.get("space", {}), *own)}
    kept = [text for key, text in typed(study) if key not in swept and not re.match(r"(sweep|hydra)([./]|$)", key)]
    return [*kept, *(f"{key}={value}" for key, value in own.items())]


def typed(study: Study) -> list[tuple[str, str]]:
    """The overrides of the sweep's command line, each with its key, without flags."""
    texts = [text for text in typed_command(study) if not text.startswith("-")]
    return [(text.partition("=")[0].lstrip("+~"), text) for text in texts if "=" in text or text.startswith("~")]


def typed_command(study: Study) -> list[str]:
    """The sweep's command line as it was typed, word by word."""
    return shlex.split(study.user_attrs.get("command") or "")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Optuna says of experimental features, new studies and few trials from the terminal."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _seconds_left(trials: Sequence[FrozenTrial], missing: int, now: datetime) -> float | None:
    """The missing trials at the mean wall time of the finished ones, shared by as many as run now."""
    if missing <= 0:
        return 0.0
    durations = [
        (trial.datetime_complete - trial.datetime_start).total_seconds()
        for trial in trials
        if state_of(trial) in FINISHED and trial.datetime_complete is not None and trial.datetime_start is not None
    ]
    if not durations:
        return None
    mean = sum(durations) / len(durations)
    ages = [
        (now - trial.datetime_start).total_seconds()
        for trial in trials
        if trial.state == TrialState.RUNNING and trial.datetime_start is not None
    ]
    begun = sum(max(0.0, mean - age) for age in ages)
    return (begun + max(0, missing - len(ages)) * mean) / max(1, len(ages))
