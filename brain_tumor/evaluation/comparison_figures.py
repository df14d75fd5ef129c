"""The pictures of a comparison of two runs: how far apart they are, and images that one alone has right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brain_tumor.evaluation.comparison import BETTER, WORSE
from brain_tumor.evaluation.drawing import ACCENT, BEST, FAINT, INK, new_figure, short_name, shorten, tidy
from brain_tumor.evaluation.lesion_scores import LOWER_IS_BETTER, NEITHER
from brain_tumor.evaluation.lesion_scores import NAMES as LESION_NAMES
from brain_tumor.evaluation.metrics import HEADLINE, LOSSES

SHOWN = 6  # images of each change on the sheet
_LEFT: dict[str, Any] = {"loc": "left", "color": INK, "parse_math": False}


def forest(differences: pd.DataFrame, title: str, names: tuple[str, str]) -> Figure:
    """Differences of the headline metrics, of each class's recall and of lesions, b less a, with their intervals.

    Args:
        differences: of a `Comparison`.
        title: what was compared.
        names: what a and b are.
    """
    table = differences.dropna(subset="difference").set_index("metric")  # without a mistake, say, none is confident
    shown = [name for name in table.index if name in {*HEADLINE, *LESION_NAMES} or name.startswith("recall_")]
    losses = [name for name in shown if name in {*LOSSES, *LOWER_IS_BETTER}]
    scores = [name for name in shown if name not in {*losses, *NEITHER}]
    figure = new_figure(10, 3 + 0.3 * (len(scores) + len(losses)), title)
    upper, lower = figure.subplots(2, 1, height_ratios=[len(scores), len(losses)])
    upper.set_title(f"A: {shorten(names[0], 110)}\nB: {shorten(names[1], 110)}", fontsize=9, **_LEFT)
    _draw(upper, table.loc[scores], better=1)
    _draw(lower, table.loc[losses], better=-1)
    upper.set_xlabel("B − A (right: B is better)")
    lower.set_xlabel("B − A (left: B is better)")
    note = "95 % intervals by group. Blue: B is better, orange: A is better, gray: the interval holds 0."
    figure.supxlabel(note, fontsize=8, color=FAINT)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, better: int) -> None:
    """A line a metric; `better` is the sign that speaks for B. An interval that holds 0 is gray."""
    for place, (_, row) in enumerate(table.iterrows()):
        colour = FAINT
        if row.low > 0 or row.high < 0:
            colour = ACCENT if np.sign(row.difference) == better else BEST
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot([row.difference], [place], "o", color=colour, markersize=6)
        text = f"{row.difference:+.4f}  [{row.low:+.4f}, {row.high:+.4f}]"
        axes.annotate(
            text, (1, place), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            va="center", fontsize=8, color=INK, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(table)), [short_name(str(name), 24) for name in table.index], fontsize=9)
    axes.set_ylim(len(table) - 0.5, -0.5)
    tidy(axes)


def changed_sheet(changes: pd.DataFrame, images: Mapping[str, NDArray[np.uint8]], title: str) -> Figure:
    """Images that one of the two alone has right, a row for each change, the most confident mistakes first.

    Args:
        changes: as `comparison.changes` returns it.
        images: (H, W, 3) RGB 0..255, by SHA-256, at least those of `first_changes`.
        title: what was compared.
    """
    figure = new_figure(11, 6.2, f"Changed images, {title}", arranged=False)
    grid = figure.add_gridspec(2, SHOWN, left=0.02, right=0.98, bottom=0.02, top=0.83, wspace=0.06, hspace=0.42)
    first = first_changes(changes)
    for line, (change, who) in enumerate(((WORSE, "A alone is right"), (BETTER, "B alone is right"))):
        block = first[first["change"] == change]
        total = int((changes["change"] == change).sum())
        y = grid[line, 0].get_position(figure).y1 + 0.085
        figure.text(0.02, y, f"{who}: {total} images, {len(block)} shown", fontsize=10, color=INK, weight="bold")
        for column, row in enumerate(block.itertuples()):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(images[str(row.sha256)])
            axes.set_axis_off()
            axes.set_title(_answers(row), fontsize=8, **_LEFT)
    return figure


def first_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `changes` that the sheet shows."""
    return changes.groupby("change", sort=False).head(SHOWN)


def _answers(row: Any) -> str:
    said = [("A", row.prediction_a, row.probability_a), ("B", row.prediction_b, row.probability_b)]
    return "\n".join(
        [
            f"true {short_name(row.label, 24)}",
            *(f"{who}: {short_name(name, 14)} {sure:.0%}" for who, name, sure in said),
        ]
    )
