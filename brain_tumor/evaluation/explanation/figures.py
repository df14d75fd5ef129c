"""Figures of how well maps point: which kind does it best, on which images, and whether the model is needed for it."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from brain_tumor.evaluation.drawing import (
    ACCENT,
    ALARM,
    BEST,
    FAINT,
    INK,
    class_colour,
    new_figure,
    short_name,
    shorten,
    tidy,
)
from brain_tumor.evaluation.explanation.gradcam import PRODUCT
from brain_tumor.evaluation.explanation.localisation import SCORES, Maps, Masks
from brain_tumor.evaluation.explanation.map_scores import VERDICTS
from brain_tumor.evaluation.explanation.sanity import verdict
from brain_tumor.evaluation.sheets import caption, mark, outline

RANKS = ("best", "median", "worst")


def kinds(table: pd.DataFrame, title: str) -> Figure:
    """A heat-map of pointing, method by layer, from `compare_kinds`; the best is framed."""
    grid = table.pivot(index="layer", columns="method", values="pointing")
    order = table.groupby("layer")["pointing"].max().sort_values(ascending=False).index
    grid = grid.loc[order, list(dict.fromkeys(table["method"]))]
    figure = new_figure(3 + 1.2 * len(grid.columns), 1.6 + 0.5 * len(grid), f"Which kind of map points best\n{title}")
    axes = figure.add_subplot()
    axes.imshow(grid.to_numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.set_yticks(range(len(grid)), ["\nx ".join(name.split(PRODUCT)) for name in grid.index], fontsize=7.5)
    axes.set_xlabel("share of maps that peak in the lesion")
    for (row, column), value in np.ndenumerate(grid.to_numpy()):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else INK)
    best = list(grid.columns).index(table["method"].iloc[0]), list(grid.index).index(table["layer"].iloc[0])
    frame = Rectangle((best[0] - 0.5, best[1] - 0.5), 1, 1, fill=False, edgecolor=BEST, linewidth=2.5)
    axes.add_patch(frame)
    return figure


def select_ranks(scores: NDArray[np.float64], names: NDArray[np.str_]) -> list[tuple[str, str, int]]:
    """Class, rank and position of the best, the median and the worst of each class by energy (N,); ties by position.

    A class of fewer than three images shows them once.
    """
    chosen = []
    for name in sorted(set(names)):
        members = np.flatnonzero(names == name)
        ranked = members[np.argsort(-scores[members], kind="stable")]
        places = dict(zip(RANKS, (0, (len(ranked) - 1) // 2, len(ranked) - 1), strict=True))
        seen: set[int] = set()
        for rank, place in places.items():
            if place not in seen:
                chosen.append((str(name), rank, int(ranked[place])))
            seen.add(place)
    return chosen


def cases(
    shown: list[tuple[str, str, int]],
    images: NDArray[np.uint8],
    maps: Maps,
    masks: Masks,
    scores: NDArray[np.float64],
    paths: list[str],
    *,
    classes: tuple[str, ...],
    title: str,
) -> Figure:
    """Best, median and worst map of each class: the image, and the map on it, both with the mask's outline.

    Args:
        shown: from `select_ranks`; the other arguments hold a row for each of them.
        images: (n, H, W, 3) RGB 0..255.
        maps: (n, H, W) 0..1.
        masks: (n, H, W).
        scores: (n, 3) in the order of SCORES.
        paths: of the images.
        classes: in the order of their colours.
        title: what was measured, and how.
    """
    names = list(dict.fromkeys(name for name, _, _ in shown))
    tall = images.shape[1] / images.shape[2]  # of a picture: 1, or less of the planes of a volume
    height = 1.2 + (0.5 + 1.85 * tall) * len(names)
    figure = new_figure(11.2, height, title, arranged=False)
    note = "outlined: the lesion's mask; best, median and worst by the share of the map in it (energy)"
    figure.text(0.5, 1 - 0.5 / height, note, ha="center", va="top", fontsize=9, color=FAINT)
    grid = figure.add_gridspec(
        len(names), 8, width_ratios=[1, 1, 0.12, 1, 1, 0.12, 1, 1],
        left=0.04, right=0.99, bottom=0.1 / height, top=1 - 1.15 / height, wspace=0.04, hspace=0.3 / tall,
    )  # fmt: skip
    for index, (name, rank, _) in enumerate(shown):
        row, column = names.index(name), 3 * RANKS.index(rank)
        panels = [figure.add_subplot(grid[row, column + step]) for step in range(2)]
        for axes in panels:
            axes.imshow(images[index])
        panels[1].imshow(maps[index], cmap="inferno", vmin=0, vmax=1, alpha=0.75 * maps[index])
        outline(panels, masks[index])
        values = dict(zip(SCORES, scores[index], strict=True))
        verdict = "peak inside" if values["pointing"] else "peak OUTSIDE"
        more = "".join(f", {score} {values[score]:.2f}" for score in SCORES[1:] if np.isfinite(values[score]))
        colour = INK if values["pointing"] else ALARM
        caption(panels[0], 13, f"{rank}: {verdict}{more}", color=colour, weight="bold")
        caption(panels[0], 3, shorten(paths[index], 52), color=FAINT, fontsize=6.5)
        if rank == RANKS[0]:
            mark(panels[0], short_name(name, 20), class_colour(classes.index(name)))
    return figure


def randomisation(table: pd.DataFrame, title: str) -> Figure:
    """Scores against the depth of randomisation, from `sanity.randomise`, with 95 % intervals under the verdict."""
    figure = new_figure(9.6, 4.8, f"{VERDICTS[verdict(table)]}\n{title}")
    axes = figure.add_subplot()
    for score, colour in (("pointing", ACCENT), ("energy", BEST)):
        axes.plot(table["depth"], table[score], marker="o", color=colour, label=score)
        axes.fill_between(table["depth"], table[f"{score}_low"], table[f"{score}_high"], color=colour, alpha=0.18)
    axes.set_xticks(table["depth"], ["trained", *table["block"].iloc[1:]], rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("weights randomised from the logits down to")
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)
    tidy(axes)
    return figure
