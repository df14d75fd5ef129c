"""A study in pictures: PNGs, and one interactive page that needs no network.

Most are drawn by Optuna, from a copy of the study whose parameters have short names.
"""

import html
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.dates
import optuna
from matplotlib import pyplot
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from brain_tumor import NOTICE
from brain_tumor.evaluation.drawing import save
from brain_tumor.layout.blocks import Block
from brain_tumor.layout.html import render_blocks
from brain_tumor.layout.html_page import document
from brain_tumor.lazy import lazy
from brain_tumor.sweep.importances import Importances, snapshot, with_pruned
from brain_tumor.sweep.own_figures import BestAgainstCost, Shares
from brain_tumor.sweep.summary import is_scored, metric_names, quiet, short_names

plotly = lazy("plotly")

COLUMNS = 4  # parameters beside each other in a slice figure
PAGE = "study.html"


@dataclass(frozen=True, eq=False)
class Plot:
    """One figure: its file's name, its heading, what makes it from a backend (`optuna.visualization[.matplotlib]`)."""

    name: str
    heading: str
    make: Callable[[Any], Any]
    size: tuple[float, float]  # inches, of the PNG


def write_figures(
    study: Study, folder: Path, opening: Sequence[Block] = (), mattered: Mapping[str, Importances] | None = None
) -> list[str]:
    """Draw what can be drawn of a study into `folder`: a PNG a figure, and `study.html`; returns the files' names.

    `opening` stands above the page's figures; `mattered`, by objective, is drawn among them. Figures for which
    there are too few trials are left out. One that fails is left out with a line on stderr.
    """
    drawn = _copy(study)
    plots = list(_plots(drawn, mattered or {}))
    names, parts = [], []
    for plot in plots:
        with _forgiven(f"{plot.name} of study {study.study_name}"):
            _write_png(plot, study.study_name, folder / f"{plot.name}.png")
            names.append(f"{plot.name}.png")
        with _forgiven(f"{plot.name} of study {study.study_name} for {PAGE}"):
            parts.append(_section(plot))
    if parts:
        (folder / PAGE).write_text(_page(study, [render_blocks(opening), *parts]), encoding="utf-8")
        names.append(PAGE)
    return names


def _plots(study: Study, mattered: Mapping[str, Importances]) -> Iterator[Plot]:
    """The figures that a study (a copy with short names) has trials enough for.

    What is drawn by parameter shows pruned trials too, with their last report.
    """
    trials = study.get_trials(deepcopy=False)
    every = with_pruned(study)
    scored = [trial for trial in every.get_trials(deepcopy=False) if is_scored(trial)]
    keys = list(dict.fromkeys(key for trial in scored for key in trial.params))
    metrics = metric_names(study)
    if scored and len(metrics) in (2, 3):
        yield Plot("pareto_front", "Pareto front", lambda by: by.plot_pareto_front(study, target_names=metrics), (8, 6))
    for index, metric in enumerate(metrics if scored else []):
        target = _target(index) if len(metrics) > 1 else None
        ending, of = (f"_{metric.replace('/', '_')}", f" of {metric}") if target else ("", "")
        named: dict[str, Any] = {"target": target, "target_name": metric}
        if any(map(is_scored, trials)):
            yield _best(study, metrics, index)
        if (found := mattered.get(metric)) is not None:
            high = 2 + 0.35 * len(found.shares)
            yield Plot(f"importances{ending}", f"What mattered{of and f' to {metric}'}", _own(Shares(found)), (9, high))
        if len(scored) > 1:
            for page, start in enumerate(range(0, len(keys), COLUMNS), start=1):
                some = sorted(keys)[start : start + COLUMNS]
                number = f"_{page}" if len(keys) > COLUMNS else ""
                make = _call("plot_slice", every, params=some, **named)
                yield Plot(f"slice{ending}{number}", f"Slices{of}", make, (1.5 + 3.2 * len(some), 4))
    if len(scored) > 1 and keys:
        size = (3.5 + 1.5 * len(keys), 6.0)
        make = _call("plot_parallel_coordinate", every, params=keys, target_name=metrics[0])
        yield Plot("parallel", "Parallel coordinates", make, size)
    if any(trial.datetime_start for trial in trials):
        yield Plot("timeline", "Timeline", lambda by: by.plot_timeline(study), (9, min(12, 3 + 0.12 * len(trials))))


def _call(function: str, study: Study, **options: Any) -> Callable[[Any], Any]:
    return lambda backend: getattr(backend, function)(study, **options)


def _target(index: int) -> Callable[[FrozenTrial], float]:
    """One of several values."""
    return lambda trial: float(trial.values[index])


def _own(drawn: BestAgainstCost | Shares) -> Callable[[Any], Any]:
    """What makes a figure of ours, as one of Optuna's is made."""
    return lambda by: drawn.matplotlib() if by is optuna.visualization.matplotlib else drawn.plotly()


def _best(study: Study, metrics: Sequence[str], index: int) -> Plot:
    of = f" of {metrics[index]}" if len(metrics) > 1 else ""
    drawn = BestAgainstCost.of(study, index, metrics[index])
    return Plot(best_name(metrics, index).removesuffix(".png"), f"Best so far{of}", _own(drawn), (4.5, 3))


def best_name(metrics: Sequence[str], index: int = 0) -> str:
    """The file of the figure of an objective's best value so far."""
    return f"best_{metrics[index].replace('/', '_')}.png" if len(metrics) > 1 else "best.png"


def write_best(study: Study, folder: Path) -> bool:
    """Draw the first objective's best value so far alone, which is quick; False before a trial is complete."""
    if not any(map(is_scored, study.get_trials(deepcopy=False))):
        return False
    metrics = metric_names(study)
    _write_png(_best(study, metrics, 0), study.study_name, folder / best_name(metrics))
    return True


def _copy(study: Study) -> Study:
    """The study in memory, under short parameter names, without the trials that still wait at its end."""
    trials = study.get_trials(deepcopy=False)
    while trials and trials[-1].state == TrialState.WAITING:
        trials = trials[:-1]
    return snapshot(study, trials, short_names([key for trial in trials for key in trial.params]))


def _write_png(plot: Plot, title: str, path: Path) -> None:
    matplotlib.use("Agg")

    logging.getLogger("matplotlib.category").setLevel(logging.WARNING)  # it remarks on choices that are numbers
    # Optuna draws through pyplot, and sets a style for the whole process.
    with pyplot.rc_context():
        before = set(pyplot.get_fignums())
        try:
            axes = plot.make(optuna.visualization.matplotlib)
            axes = list(axes.ravel()) if hasattr(axes, "ravel") else [axes]
            figure = axes[0].figure
            _arrange(plot, figure, axes, title)
            save(figure, path)
        finally:
            for number in set(pyplot.get_fignums()) - before:
                pyplot.close(number)


def _arrange(plot: Plot, figure: Any, axes: Sequence[Any], title: str) -> None:
    """Size, title, and room for what Optuna lets overlap."""
    width, height = plot.size
    figure.set_size_inches(width, height)
    for each in axes:
        each.set_title("", loc="left")
        each.set_title("")
    figure.suptitle(f"{title}: {plot.heading.lower()}", y=1 - 0.15 / height, va="top", fontsize=12, parse_math=False)
    [first, *_] = axes
    if plot.name == "parallel":  # its colour bar shares a grid with the axes, which the constrained layout cannot take
        figure.subplots_adjust(left=1.2 / width, right=1 - 0.2 / width, bottom=1.1 / height, top=1 - 0.6 / height)
        for label in first.get_xticklabels():
            label.set(rotation=25, ha="right", rotation_mode="anchor")
        for label in (label for each in figure.axes[1:] for label in each.get_yticklabels()):
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1})
        return
    # A slice alone has a colour bar of that kind too, which the tight layout takes.
    engine = "tight" if plot.name.startswith("slice") and len(axes) == 1 else "constrained"
    figure.set_layout_engine(engine, rect=(0, 0, 1, 1 - 0.35 / height))
    if plot.name == "timeline":
        axis = first.xaxis
        axis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(axis.get_major_locator()))  # type: ignore[no-untyped-call]
        first.set_xlabel("local time")


def _section(plot: Plot) -> str:
    figure = plot.make(optuna.visualization)
    figure.update_layout(title=None, margin={"t": 30}, template="plotly_white")
    drawing = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return f"<h2>{html.escape(plot.heading)}</h2>\n{drawing}"


def _page(study: Study, parts: Sequence[str]) -> str:
    goals = " and ".join(
        f"{direction.name.lower()} {metric}"
        for metric, direction in zip(metric_names(study), study.directions, strict=True)
    )
    searched = [key for key in study.user_attrs.get("space", {}) if not key.startswith("sweep.")]
    about = (
        f"A search of {', '.join(searched) or 'parameters'} to {goals} on the validation part. Pruned trials are "
        "drawn with the value of their last report."
    )
    script = f"<script>{plotly.offline.get_plotlyjs()}</script>"
    note = f'<p class="note">{html.escape(f"{about} {NOTICE}")}</p>'
    return document(f"Study {study.study_name}", script, *parts, note)


@contextmanager
def _forgiven(what: str) -> Iterator[None]:
    """Say in one line what could not be drawn, and go on."""
    try:
        with quiet():
            yield
    except Exception as error:  # whatever a plotting library raises must not end a sweep
        print(f"could not draw {what}: {' '.join(f'{type(error).__name__}: {error}'.split())[:200]}", file=sys.stderr)
