"""A study as text that fits a terminal."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from brain_tumor.sweep.importances import FEWEST_FOR_IMPORTANCES, importances
from brain_tumor.sweep.summary import (
    FINISHED,
    Summary,
    metric_names,
    parameter_keys,
    short_names,
    state_of,
    summarize,
    train_overrides,
)

ROWS = 30  # trials shown, the latest; the best ones always
FRONT = 3  # trials of a Pareto front of which the command is shown
CELL = 16  # characters of a parameter's value
GAP = "  "


def describe(study: Study, *, width: int, train: str) -> Iterator[str]:
    """Paragraphs: counts, trials, the best with what to type after `train` (a command), cost, time left, importances.

    The last one takes a moment, so print them as they come.
    """
    found = summarize(study)
    yield _head(study, found)
    if sum(vars(found.counts).values()):
        yield _trials(study, found, width)
    yield _best(study, found, train)
    yield f"cost spent  {duration(found.seconds)} of training\ntime left   {_left(found)}"
    yield _importances(study)


def listing(studies: Sequence[Study], *, show: str) -> str:
    """One line per study: name, trials finished of those asked for, best value, last activity."""
    rows = [["study", "finished", "best", "last activity"]]
    for study in studies:
        found = summarize(study)
        best = ", ".join(_number(value) for value in found.best[0].values) if found.best else "-"
        if len(found.metrics) > 1 and found.best:
            best = f"{len(found.best)} on the front"
        last = f"{found.last_activity:%Y-%m-%d %H:%M}" if found.last_activity else "-"
        rows.append([study.study_name, _finished(found), best, last])
    return f"{_aligned(rows)}\n\nOne of them: {show} name={shlex.quote(studies[0].study_name)}"


def place(storage: str) -> str:
    """Where the storage is, and how to look at it in a browser."""
    return f"storage     {storage}\ndashboard   optuna-dashboard {shlex.quote(storage)}"


def _head(study: Study, found: Summary) -> str:
    goal = ", ".join(f"{way} {name}" for way, name in zip(found.directions, found.metrics, strict=True))
    counts = {name: f"{count} {name}" for name, count in vars(found.counts).items() if count}
    inner = ", ".join(text for name, text in counts.items() if name in FINISHED)
    outer = [text for name, text in counts.items() if name not in FINISHED]
    finished = _finished(found) + (f" ({inner})" if inner else "")
    lines = [f"study       {found.name}: {goal}", f"finished    {'; '.join([finished, *outer])}"]
    parent = study.user_attrs.get("parent_run")
    return "\n".join([*lines, *([f"MLflow run  {parent}"] if parent else [])])


def _trials(study: Study, found: Summary, width: int) -> str:
    """A table of the latest trials and the best ones; parameters that do not fit beside each other are named below."""
    trials = study.get_trials(deepcopy=False)
    best = {trial.number for trial in found.best}
    chosen = [trial for trial in trials if trial.number in best or trial.number >= len(trials) - ROWS]
    keys = parameter_keys(study, trials)
    names = short_names(keys)
    rows = [["trial", "state", *metric_names(study), "seconds", *(names[key] for key in keys)]]
    rows += [_row(trial, trial.number in best, len(found.metrics), keys) for trial in chosen]
    fixed = len(rows[0]) - len(keys)
    shown = len(rows[0])
    while shown > fixed and len(_aligned([row[:shown] for row in rows]).partition("\n")[0]) > width:
        shown -= 1
    lines = [_aligned([row[:shown] for row in rows])]
    if shown < len(rows[0]):
        lines.append(f"not shown, for want of width: {', '.join(rows[0][shown:])}")
    if len(chosen) < len(trials):
        lines.append(f"not shown: {len(trials) - len(chosen)} earlier trials")
    return "\n".join(lines)


def _row(trial: FrozenTrial, best: bool, metrics: int, keys: Sequence[str]) -> list[str]:
    values = [_number(value) for value in trial.values or []] or ["-"] * metrics
    seconds = trial.user_attrs.get("seconds")
    number = f"{trial.number}{'*' if best else ' '}"
    spent = "-" if seconds is None else f"{seconds:.0f}"
    parameters = [_cell(trial.params[key]) if key in trial.params else "-" for key in keys]
    return [number, state_of(trial), *values, spent, *parameters]


def _best(study: Study, found: Summary, train: str) -> str:
    if not found.best:
        return "best        no trial is complete yet"
    lines = []
    for trial in found.best[:FRONT]:
        values = ", ".join(f"{name} {_number(value)}" for name, value in zip(found.metrics, trial.values, strict=True))
        lines.append(f"best        trial {trial.number}: {values}")
        lines.append(f"            {train} {shlex.join(train_overrides(study, trial))}")
    if len(found.best) > FRONT:
        lines.append(f"            and {len(found.best) - FRONT} more on the Pareto front")
    return "\n".join(lines)


def _importances(study: Study) -> str:
    found = importances(study)
    if found is None:
        return f"importances known from {FEWEST_FOR_IMPORTANCES} trials with a value on, where these differ"
    names = short_names(list(found.shares))
    rows = [[names[key], f"{share:.2f}"] for key, share in found.shares.items()]
    return f"importances ({found.evaluator}, {found.trials} trials)\n{_aligned(rows)}"


def _left(found: Summary) -> str:
    if found.seconds_left is None:
        return "not known yet"
    if found.seconds_left == 0:
        return "none"
    running = found.counts.running
    return f"about {duration(found.seconds_left)}, {f'{running} trials' if running > 1 else 'one trial'} at a time"


def _finished(found: Summary) -> str:
    return f"{found.counts.finished} of {'?' if found.asked is None else found.asked}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """2 d 3 h, 1 h 5 min, 40 s."""
    left = timedelta(seconds=round(seconds))
    hours, minutes = left.seconds // 3600, left.seconds % 3600 // 60
    if left.days:
        return f"{left.days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left.seconds % 60} s" if minutes else f"{left.seconds} s"
