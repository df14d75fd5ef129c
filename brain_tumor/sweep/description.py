"""A study as text that fits a terminal."""

import importlib.util
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from brain_tumor.command_line import pip_install, program
from brain_tumor.layout.blocks import Block, Code, Grid, Paragraph, pairs
from brain_tumor.layout.terminal import INDENT, width
from brain_tumor.progress import duration
from brain_tumor.sweep.confirmation import confirmation, confirming, said
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
GAP = 2


def describe(study: Study, *, train: str) -> Iterator[Block]:
    """Counts, trials, the best with what to type after `train` (a command), cost, time left, importances.

    The last one takes a moment, so print them as they come.
    """
    found = summarize(study)
    yield _head(study, found)
    if sum(vars(found.counts).values()):
        yield from _trials(study, found)
    yield from _confirmation(study)
    yield from _best(study, found, train)
    again = confirming(study)
    seconds = found.seconds + (0 if again is None else summarize(again).seconds)
    yield pairs([("cost spent", f"{duration(seconds)} of training"), ("time left", _left(found))])
    yield from _importances(study)


def listing(studies: Sequence[Study], *, show: str) -> list[Block]:
    """A row per study: name, trials finished of those asked for, best value, last activity."""
    rows = []
    for study in studies:
        found = summarize(study)
        best = ", ".join(_number(value) for value in found.best[0].values) if found.best else "-"
        if len(found.metrics) > 1 and found.best:
            best = f"{len(found.best)} on the front"
        last = f"{found.last_activity:%Y-%m-%d %H:%M}" if found.last_activity else "-"
        rows.append((study.study_name, _finished(found), best, last))
    command = f"{show} name={shlex.quote(studies[0].study_name)}"
    return [Grid(("study", "finished", "best", "last activity"), tuple(rows)), Code(command)]


def place(storage: str) -> list[Block]:
    """Where the storage is, and how to look at it in a browser."""
    missing = importlib.util.find_spec("optuna_dashboard") is None
    commands = [pip_install("brain-tumor[dashboard]")] if missing else []
    commands.append(program("optuna-dashboard", storage))
    return [pairs([("storage", storage)]), Code("\n".join(commands))]


def _head(study: Study, found: Summary) -> Grid:
    goal = ", ".join(f"{way} {name}" for way, name in zip(found.directions, found.metrics, strict=True))
    counts = {name: f"{count} {name}" for name, count in vars(found.counts).items() if count}
    inner = ", ".join(text for name, text in counts.items() if name in FINISHED)
    outer = [text for name, text in counts.items() if name not in FINISHED]
    finished = _finished(found) + (f" ({inner})" if inner else "")
    rows = [("study", f"{found.name}: {goal}"), ("finished", "; ".join([finished, *outer]))]
    parent = study.user_attrs.get("parent_run")
    return pairs([*rows, *([("MLflow run", str(parent))] if parent else [])])


def _trials(study: Study, found: Summary) -> Iterator[Block]:
    """A table of the latest trials and the best ones; parameters that do not fit beside each other are named below."""
    trials = study.get_trials(deepcopy=False)
    best = {trial.number for trial in found.best}
    chosen = [trial for trial in trials if trial.number in best or trial.number >= len(trials) - ROWS]
    keys = parameter_keys(study, trials)
    names = short_names(keys)
    head = ("trial", "state", *metric_names(study), "seconds", *(names[key] for key in keys))
    rows = [_row(trial, trial.number in best, len(found.metrics), keys) for trial in chosen]
    widths = [max(map(len, column)) + GAP for column in zip(head, *rows, strict=True)]
    fixed = len(head) - len(keys)
    shown = len(head)
    while shown > fixed and sum(widths[:shown]) + INDENT > width():
        shown -= 1
    yield Grid(head[:shown], tuple(row[:shown] for row in rows), leading=2)
    if shown < len(head):
        yield Paragraph(f"Not shown, for want of width: {', '.join(head[shown:])}.")
    if len(chosen) < len(trials):
        yield Paragraph(f"Not shown: {len(trials) - len(chosen)} earlier trials.")


def _row(trial: FrozenTrial, best: bool, metrics: int, keys: Sequence[str]) -> tuple[str, ...]:
    values = [_number(value) for value in trial.values or []] or ["-"] * metrics
    seconds = trial.user_attrs.get("seconds")
    number = f"{trial.number}{'*' if best else ' '}"
    spent = "-" if seconds is None else f"{seconds:.0f}"
    parameters = [_cell(trial.params[key]) if key in trial.params else "-" for key in keys]
    return (number, state_of(trial), *values, spent, *parameters)


def _confirmation(study: Study) -> Iterator[Block]:
    """What of the best score was luck, or how far the trainings with other seeds are that will tell."""
    again, confirmed = confirming(study), confirmation(study)
    if confirmed is not None:
        yield from said(confirmed)
    elif again is not None:
        found = summarize(again)
        done = f"{_finished(found)} trainings of the best trials with other seeds are through"
        yield Paragraph(f"{done}; time left: {_left(found)}.")


def _best(study: Study, found: Summary, train: str) -> Iterator[Block]:
    if not found.best:
        yield Paragraph("No trial is complete yet.")
    confirmed = confirmation(study)
    named, best = ("Best", found.best) if confirmed is None else ("Best on average", [confirmed.winner.trial])
    for trial in best[:FRONT]:
        values = ", ".join(f"{name} {_number(value)}" for name, value in zip(found.metrics, trial.values, strict=True))
        yield Paragraph(f"{named}: trial {trial.number}, {values}. To train it again:")
        yield Code(f"{train} {shlex.join(train_overrides(study, trial))}")
    if len(found.best) > FRONT:
        yield Paragraph(f"And {len(found.best) - FRONT} more on the Pareto front.")


def _importances(study: Study) -> Iterator[Block]:
    found = importances(study)
    if found is None:
        yield Paragraph(
            f"How much each key matters is known from {FEWEST_FOR_IMPORTANCES} trials with different values on."
        )
        return
    names = short_names(list(found.shares))
    rows = tuple((names[key], f"{share:.2f}") for key, share in found.shares.items())
    yield Grid((f"importance ({found.evaluator}, {found.trials} trials)", "share"), rows)


def _left(found: Summary) -> str:
    if found.seconds_left is None:
        return "not known yet"
    if found.seconds_left == 0:
        return "none"
    running = found.counts.running
    return f"about {duration(found.seconds_left)}, {f'{running} trials' if running > 1 else 'one trial'} at a time"


def _finished(found: Summary) -> str:
    return f"{found.counts.finished} of {'?' if found.asked is None else found.asked}"


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"
