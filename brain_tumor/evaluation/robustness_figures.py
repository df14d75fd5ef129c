"""The pictures of a robustness battery: accuracy against strength, and what the strengths look like."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from brain_tumor.evaluation.corruptions import Corruption, corrupter
from brain_tumor.evaluation.drawing import ACCENT, DPI, FAINT, INK, new_figure, tidy
from brain_tumor.evaluation.robustness import ALL, CLEAN, Robustness

COLUMNS = 3  # of panels
TILE = 96 / DPI  # inches a slice on the sheet


def robustness(found: Robustness, corruptions: Sequence[Corruption]) -> Figure:
    """A panel per corruption: accuracy at each strength with its interval; the clean accuracy as a dashed line."""
    overall = found.means.set_index("corruption").loc[ALL]
    means = dict(zip(found.means["corruption"], found.means["accuracy"], strict=True))
    lines = -(-len(corruptions) // COLUMNS)
    title = (
        f"Accuracy under corruption: {found.title}\n"
        f"mean {overall.accuracy:.3f} [{overall.low:.3f}, {overall.high:.3f}], clean {found.clean:.3f}"
    )
    figure = new_figure(11, 1 + 2.5 * lines, title)
    panels = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False)
    for axes, corruption in zip(panels.flat, corruptions, strict=False):
        _strengths(axes, found, corruption)
        facts = f"{_name(corruption)}: mean {means[corruption.name]:.3f}"
        axes.set_title(facts, loc="left", fontsize=10, color=INK)
    for axes in panels.flat[len(corruptions) :]:
        axes.remove()
    low = np.nanmin(found.table[["accuracy", "low"]].to_numpy())
    panels[0, 0].set_ylim(max(0.0, low - 0.03), 1.01)
    panels[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0, 0].legend(fontsize=8, loc="lower left")
    for row in panels:
        row[0].set_ylabel("accuracy")
    return figure


def _strengths(axes: Axes, found: Robustness, corruption: Corruption) -> None:
    rows = found.table[found.table["corruption"] == corruption.name]
    axes.fill_between(rows["strength"], rows["low"], rows["high"], color=ACCENT, alpha=0.2, linewidth=0)
    axes.plot(rows["strength"], rows["accuracy"], "o-", color=ACCENT, markersize=4, label="corrupted, 95 % interval")
    axes.axhline(found.clean, color=FAINT, linestyle="--", linewidth=1, label=CLEAN)
    axes.set_xticks(rows["strength"], [f"{value:g}" for value in rows["parameter"]])
    axes.set_xlabel(corruption.parameter, fontsize=8.5)
    tidy(axes)


def examples(image: NDArray[np.uint8], seed: int, title: str, corruptions: Sequence[Corruption]) -> Figure:
    """One image as it is and at every strength, a row per corruption, each slice 96 pixels wide.

    Args:
        image: uint8 (S, S, 3) RGB, at the model's resolution; of a whole volume (D, H, W, 1) the middle slice is shown.
        seed: as `robustness.seeds_of` has it, so that the sheet shows what was measured.
        title: which image it is.
        corruptions: the rows.
    """
    left, top, gap = 1.5, 0.65, 0.24  # inches
    columns = 1 + max(len(corruption.strengths) for corruption in corruptions)
    width, height = left + columns * (TILE + 0.05) + 0.1, top + len(corruptions) * (TILE + gap)
    figure = new_figure(width, height, title, arranged=False)
    for line, corruption in enumerate(corruptions):
        slices = [image]
        for strength in corruption.strengths:
            slices.append(corrupter(corruption, strength, image.shape[-2])(image[None], [seed])[0])
        bottom = height - top - line * (TILE + gap) - TILE
        beside: dict[str, Any] = {"x": (left - 0.12) / width, "ha": "right"}
        figure.text(y=(bottom + TILE) / height, s=_name(corruption), va="top", fontsize=9.5, color=INK, **beside)
        unit = fill(corruption.parameter, 22)
        figure.text(y=(bottom + 0.75 * TILE) / height, s=unit, va="top", fontsize=7, color=FAINT, **beside)
        labels = [CLEAN, *(f"{strength:g}" for strength in corruption.strengths)]
        for column, (label, pixels) in enumerate(zip(labels, slices, strict=True)):
            x = left + column * (TILE + 0.05)
            axes = figure.add_axes((x / width, bottom / height, TILE / width, TILE / height))
            axes.imshow(pixels if image.ndim == 3 else np.repeat(pixels[len(pixels) // 2], 3, axis=-1))
            axes.set_axis_off()
            axes.set_title(label, fontsize=8, color=FAINT if label == CLEAN else INK, pad=2)
    return figure


def _name(corruption: Corruption) -> str:
    return corruption.name.replace("_", " ")
