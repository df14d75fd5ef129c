"""A study as text that fits a terminal."""

import importlib.util
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from brain_tumor.command_line import pip_install, program
from brain_tumor.layout.blocks import Block, Code, Grid, Paragraph, pairs
from brain_tumor.layout.terminal import INDENT, width
from brain_tumor.progress import duration
from brain_tumor.sweep.advice import Advice, advise
from brain_tumor.sweep.budget import Budget, Running
from brain_tumor.sweep.confirmation import confirmation, confirming, said
from brain_tumor.sweep.importances import EVALUATOR, FEWEST, LITTLE, RESAMPLES
from brain_tumor.sweep.space import text_of
from brain_tumor.sweep.summary import (
    FINISHED,
    Summary,
    metric_names,
    parameter_keys,
    short_names,
    state_of,
    summarize,
    train_overrides,
    typed_command,
)

ROWS = 10  # trials shown, the latest; the best ones always
FRONT = 3  # trials of a Pareto front of which the command is shown
CELL = 16  # characters of a parameter's value
GAP = 2


def describe(study: Study, *, train: str) -> Iterator[Block]:
    """The view, the trials, the best with what to type after `train` (a command), and the advice.

    The last one takes a moment, so print them as they come.
    """
    found, again = summarize(study), confirming(study)
    yield from view(found, 0 if again is None else summarize(again).seconds)
    if sum(vars(found.counts).values()):
        yield from _trials(study, found)
    yield from _confirmation(study)
    yield from _best(study, found, train)
    yield from going_on(study, found, train)
    yield from advice(advise(study), found, train)


def view(found: Summary, seconds: float = 0) -> list[Block]:
    """What one wants to know of a sweep while it goes on; `seconds` of training with other seeds came to its own."""
    goal = ", ".join(f"{way} {name}" for way, name in zip(found.directions, found.metrics, strict=True))
    counts = {name: f"{count} {name}" for name, count in vars(found.counts).items() if count}
    inner = ", ".join(text for name, text in counts.items() if name in FINISHED)
    outer = [text for name, text in counts.items() if name not in FINISHED]
    ended = finished(found) + (f" ({inner})" if inner else "")
    rows = [("study", f"{found.name}: {goal}"), ("finished", "; ".join([ended, *outer]))]
    if found.best:
        rows.append(("best so far", in_a_line(found)))
    rows += [("running" if each is found.running[0] else "", _running(each)) for each in found.running]
    rows += [("running", "nothing")] if found.is_idle and not found.running else []
    rows += [("time left", _left(found)), ("cost spent", _spent(found.seconds + seconds, found.budget))]
    return [pairs(rows)]


def going_on(study: Study, found: Summary, train: str) -> list[Block]:
    """What to type where trials are missing and nobody works on them."""
    words = typed_command(study)
    if not (found.is_idle and words):
        return []
    return [Paragraph("Nobody works on it. This goes on with it:"), Code(f"{train} {shlex.join(words)}")]


def in_a_line(found: Summary) -> str:
    """The best trial with its value, or how many are on the front."""
    if not found.best:
        return "none yet"
    if len(found.metrics) > 1:
        return f"{len(found.best)} on the front"
    return f"{_number(found.best[0].values[0])}, trial {found.best[0].number}"


def advice(given: Advice | None, found: Summary, train: str) -> Iterator[Block]:
    """What mattered, which values are as good as the best, and what to search next, once no trial is missing."""
    if given is None:
        scored = found.counts.complete + found.counts.pruned
        why = f"it takes {FEWEST} trials with a value, and {scored} have one"
        yield Paragraph(f"No advice yet: {why if scored < FEWEST else 'nothing differs between the trials'}.")
        return
    yield from _mattered(given)
    if given.good:
        yield Paragraph(_as_good(given, found))
    if given.again and found.missing == 0:
        narrower = given.changed or given.fixed
        yield Paragraph("The next sweep, with what was learned:" if narrower else "More trials of the same may tell:")
        yield Code(f"{train} {shlex.join(given.again)}")


def _mattered(given: Advice) -> Iterator[Block]:
    first = next(iter(given.found.values()))
    keys = list(first.shares)
    names = short_names(keys)
    columns = ["key"]
    cells = [[names[key] for key in keys]]
    for metric, each in given.found.items():
        columns += [f"share of {metric}" if len(given.found) > 1 else "share", "95 % interval"]
        shares = [each.shares[key] for key in keys]
        cells += [
            [_share(one.share) for one in shares],
            [f"{_share(one.low)} to {_share(one.high)}" for one in shares],
        ]
    if given.good:
        columns.append("as good as the best")
        cells.append([_range(given, key) for key in keys])
    if given.changed or given.fixed:
        columns.append("next")
        cells.append([_next(given, key) for key in keys])
    of = "each objective" if len(given.found) > 1 else next(iter(given.found))
    yield Paragraph(
        f"What mattered: the share of {of} that a key decides alone, beyond chance ({EVALUATOR}, {RESAMPLES} resamples "
        f"of {first.trials} trials). {_told(given, names)}"
    )
    yield Grid(tuple(columns), tuple(zip(*cells, strict=True)))


def _told(given: Advice, names: dict[str, str]) -> str:
    """What the intervals tell, and of which keys nothing."""
    if len(given.found) > 1:
        return "Where an interval holds 0, nothing can be told."
    [shares] = (each.shares for each in given.found.values())
    sure = [key for key, share in shares.items() if share.is_sure]
    if not sure:
        return "Every interval holds 0: nothing can be told yet."
    said = f"{', '.join(names[key] for key in sure)} mattered"
    if len(sure) > 1 and shares[sure[0]].low < shares[sure[1]].high:
        said += "; which of them most cannot be told, their intervals overlap"
    little = [key for key, share in shares.items() if share.is_little]
    if little:
        whose = (
            "1 key hardly did, among these trials: its interval ends"
            if len(little) == 1
            else (f"{len(little)} keys hardly did, among these trials: their intervals end")
        )
        said += f"; {whose} below {LITTLE}"
    if len(sure) + len(little) < len(shares):
        said += ". Of the others nothing can be told: their intervals hold 0"
    return said + "."


def _as_good(given: Advice, found: Summary) -> str:
    value = _number(given.best.values[0])
    if given.error is None:
        return f"How sure the best score, {value}, is is not known, so no other trial is called as good as it."
    number = "one trial" if len(given.good) == 1 else f"{len(given.good)} trials"
    return (
        f"As good as the best: {number} within one standard error ({_number(given.error)}) of its score, {value} "
        "(one-standard-error rule, Breiman et al. 1984)."
    )


def _range(given: Advice, key: str) -> str:
    """The values of a key in the trials that are as good as the best."""
    values = [trial.params[key] for trial in given.good if key in trial.params]
    if values and not isinstance(given.best.distributions.get(key), CategoricalDistribution):
        return " to ".join(dict.fromkeys(_cell(each) for each in (min(values), max(values))))
    return ", ".join(dict.fromkeys(map(_cell, values))) or "-"


def _next(given: Advice, key: str) -> str:
    if key in given.fixed:
        return f"fixed at {_cell(given.best.params[key])}"
    return given.changed.get(key, "as before")


def _running(each: Running) -> str:
    if each.dead:
        return f"trial {each.number}: its process is gone"
    if not each.planned:
        return f"trial {each.number}: {f'{duration(each.seconds)} of training so far' if each.seconds else 'begins'}"
    left = "" if each.seconds_left is None else f", about {duration(each.seconds_left)} left"
    return f"trial {each.number}: epoch {each.done} of {each.planned}{left}"


def _spent(seconds: float, spent: Budget) -> str:
    epochs = f", {spent.trained} epochs" if spent.trained else ""
    saved = {"by phases trained once for all": spent.shared, "by pruning": spent.pruned}
    parts = " and ".join(f"{count} {how}" for how, count in saved.items() if count)
    share = f"; {100 * spent.share_saved:.0f} % of all epochs saved, {parts}" if parts else ""
    return f"{duration(seconds)} of training{epochs}{share}"


def listing(studies: Sequence[Study], *, show: str) -> list[Block]:
    """A row per study: name, trials finished of those asked for, best value, last activity."""
    rows = []
    for study in studies:
        found = summarize(study)
        best = ", ".join(_number(value) for value in found.best[0].values) if found.best else "-"
        if len(found.metrics) > 1 and found.best:
            best = f"{len(found.best)} on the front"
        last = f"{found.last_activity:%Y-%m-%d %H:%M}" if found.last_activity else "-"
        rows.append((study.study_name, finished(found), best, last))
    command = f"{show} name={shlex.quote(studies[0].study_name)}"
    return [Grid(("study", "finished", "best", "last activity"), tuple(rows)), Code(command)]


def place(storage: str, studies: Sequence[Study] = ()) -> list[Block]:
    """Where the storage is, how to look at it in a browser, and which run in MLflow a study has."""
    missing = importlib.util.find_spec("optuna_dashboard") is None
    commands = [pip_install("brain-tumor[dashboard]")] if missing else []
    commands.append(program("optuna-dashboard", storage))
    runs = [("MLflow run", str(run)) for study in studies if (run := study.user_attrs.get("parent_run"))]
    return [pairs([("storage", storage), *runs]), Code("\n".join(commands))]


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
        done = f"{finished(found)} trainings of the best trials with other seeds are through"
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


def _left(found: Summary) -> str:
    if found.seconds_left is None:
        return "not known yet"
    if found.seconds_left == 0:
        return "none"
    running = found.counts.running
    return f"about {duration(found.seconds_left)}, {f'{running} trials' if running > 1 else 'one trial'} at a time"


def finished(found: Summary) -> str:
    """How many trials have ended, of how many."""
    return f"{found.counts.finished} of {'?' if found.asked is None else found.asked}"


def _share(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no -0.00


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else " ".join(text_of(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"
