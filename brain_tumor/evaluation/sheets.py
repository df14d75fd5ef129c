"""Contact sheets of single images: the most confident mistakes, and activation maps beside their images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from brain_tumor.evaluation.drawing import ALARM, FAINT, INK, class_colour, new_figure, short_name, shorten
from brain_tumor.evaluation.metrics import Evaluation

COLUMNS = 4  # of the sheet of mistakes
KINDS = 2  # cases of each class that are right, and as many that are wrong


def select_mistakes(evaluation: Evaluation, limit: int = 12) -> NDArray[np.int64]:
    """Positions of the wrong rows, the most confident first (ties by path), at most `limit`."""
    wrong = np.flatnonzero(~evaluation.correct)
    return _ranked(evaluation, wrong, -evaluation.confidences[wrong])[:limit]


def to_relabel(evaluation: Evaluation) -> pd.DataFrame:
    """All mistakes in the order of their sheet, with an empty column `new_label` that a person fills in."""
    table = evaluation.table().assign(confidence=evaluation.confidences, new_label="")
    chosen = select_mistakes(evaluation, len(table))
    return table.iloc[chosen][["path", "label", "prediction", "confidence", "new_label", "sha256"]]


def select_cases(evaluation: Evaluation) -> NDArray[np.int64]:
    """Positions of the rows that the Grad-CAM sheet shows, class by class of the truth.

    Of each class up to 2 right ones, then up to 2 wrong ones; each time those whose confidence is nearest to
    the median of their kind, so that the sheet shows what is usual (ties by path). Selecting from the rows
    that were selected changes nothing, so that maps need to be computed for these only:
    `evaluation.take(select_cases(evaluation))`.
    """
    chosen: list[NDArray[np.int64]] = []
    for index in range(len(evaluation.classes)):
        for kind in (evaluation.correct, ~evaluation.correct):
            members = np.flatnonzero((evaluation.labels == index) & kind)
            confidences = evaluation.confidences[members]
            distances = abs(confidences - np.median(confidences)) if len(members) else confidences
            nearest = _ranked(evaluation, members, distances)[:KINDS]
            chosen.append(_ranked(evaluation, nearest, -evaluation.confidences[nearest]))
    return np.concatenate(chosen)


def _ranked(evaluation: Evaluation, members: NDArray[np.int64], keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """The members by ascending key; equal ones, which rounding must not part, by path."""
    paths = evaluation.rows["path"].to_numpy(dtype=str)[members]
    return np.asarray(members[np.lexsort((paths, np.round(keys, 9)))], dtype=np.int64)


def mistakes(
    evaluation: Evaluation, images: NDArray[np.uint8] | Mapping[int, NDArray[np.uint8]], limit: int = 12
) -> Figure:
    """The most confident mistakes: image, truth, prediction, its probability, path.

    Args:
        evaluation: N rows.
        images: (N, H, W, 3) RGB 0..255, of the same rows, or those of `select_mistakes` by position.
        limit: number of images at most.
    """
    chosen = select_mistakes(evaluation, limit)
    total = int((~evaluation.correct).sum())
    if not total:
        figure = new_figure(8, 2.2, f"Mistakes: {evaluation.title}")
        text = f"None: all {len(evaluation.rows)} images are classified correctly."
        figure.text(0.5, 0.45, text, ha="center", va="center", fontsize=12, color=INK)
        return figure
    title = f"Most confident mistakes ({len(chosen)} of {total}): {evaluation.title}"
    lines = -(-len(chosen) // COLUMNS)
    height = 0.5 + 3.25 * lines
    figure = new_figure(11, height, title, arranged=False)
    grid = figure.add_gridspec(
        lines, COLUMNS,
        left=0.02, right=0.98, bottom=0.1 / height, top=1 - 1.05 / height, wspace=0.06, hspace=0.27,
    )  # fmt: skip
    for place, position in enumerate(chosen):
        axes = figure.add_subplot(grid[place // COLUMNS, place % COLUMNS])
        axes.imshow(np.asarray(images[position]))
        axes.set_axis_off()
        truth, said = evaluation.labels[position], evaluation.predictions[position]
        caption(axes, 28, f"true {_name(evaluation, truth)}", color=class_colour(truth), weight="bold")
        caption(axes, 15, f"predicted {_said(evaluation, position)}", color=class_colour(said))
        caption(axes, 4, _path(evaluation, position, 44), color=FAINT, fontsize=6.5)
    return figure


def gradcam_sheet(
    evaluation: Evaluation,
    images: NDArray[np.uint8],
    maps: NDArray[np.float32],
    masks: NDArray[np.bool_] | None = None,
    *,
    how: str,
) -> Figure:
    """Image, map and overlay of the rows of `select_cases`, with truth, prediction and probability.

    Args:
        evaluation: N rows.
        images: (N, H, W, 3) RGB 0..255, of the same rows.
        maps: (N, H, W) 0..1, of the predicted class.
        masks: (N, H, W), outlined where they are not empty.
        how: the maps were made, for the title.
    """
    chosen = select_cases(evaluation)
    labels = evaluation.labels[chosen]
    blocks = [chosen[labels == index] for index in range(len(evaluation.classes))]
    lines = sum(-(-len(block) // 2) for block in blocks)
    tall = images.shape[1] / images.shape[2]  # of a picture: 1, or less of the planes of a volume
    height = 1.3 + (0.5 + 1.55 * tall) * lines
    figure = new_figure(11.2, height, f"{how}: {evaluation.title}", arranged=False)
    outlined = "" if masks is None else "; outlined: the lesion's mask"
    note = f"each image, the map of its predicted class, and both in one{outlined}"
    figure.text(0.5, 1 - 0.5 / height, note, ha="center", va="top", fontsize=9, color=FAINT)
    grid = figure.add_gridspec(
        lines, 7, width_ratios=[1, 1, 1, 0.16, 1, 1, 1],
        left=0.045, right=0.99, bottom=0.1 / height, top=1 - 1.1 / height, wspace=0.04, hspace=0.25 / tall,
    )  # fmt: skip
    line = 0
    for index, block in enumerate(blocks):
        for place, position in enumerate(block):
            row, column = line + place // 2, 4 * (place % 2)
            panels = [figure.add_subplot(grid[row, column + step]) for step in range(3)]
            mask = None if masks is None else np.asarray(masks[position])
            _explain(panels, np.asarray(images[position]), maps[position], mask)
            right = evaluation.correct[position]
            verdict = f"{'right' if right else 'WRONG'}: predicted {_said(evaluation, position)}"
            caption(panels[0], 13, verdict, color=INK if right else ALARM, weight="bold")
            caption(panels[0], 3, _path(evaluation, position, 80), color=FAINT, fontsize=6.5)
            if place % 2 == 0:
                mark(panels[0], f"true {short_name(evaluation.classes[index], 16)}", class_colour(index))
        line += -(-len(block) // 2)
    return figure


def _explain(panels: list[Axes], image: NDArray[np.uint8], values: Any, mask: NDArray[np.bool_] | None) -> None:
    """The image, the map, and both in one: the map covers the image the more, the greater it is."""
    panels[0].imshow(image)
    panels[1].imshow(values, cmap="inferno", vmin=0, vmax=1)
    panels[2].imshow(image)
    panels[2].imshow(values, cmap="inferno", vmin=0, vmax=1, alpha=0.65 * values)
    outline(panels, mask)


def outline(panels: list[Axes], mask: NDArray[np.bool_] | None) -> None:
    """Take the axes away, and draw a mask's outline into each panel where there is one."""
    for axes in panels:
        axes.set_axis_off()
        if mask is not None and mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors="#56E0FF", linewidths=1.2)


def caption(axes: Axes, points: float, text: str, **style: Any) -> None:
    """Write above an image, from its left edge, `points` above it."""
    style = {"fontsize": 8.5, "parse_math": False, "annotation_clip": False} | style
    axes.annotate(text, (0, 1), (0, points), xycoords="axes fraction", textcoords="offset points", **style)


def mark(axes: Axes, text: str, colour: str) -> None:
    """Write upwards along the left edge of an image."""
    style: dict[str, Any] = {
        "rotation": 90,
        "va": "center",
        "ha": "right",
        "weight": "bold",
        "parse_math": False,
    }
    axes.text(-0.06, 0.5, text, transform=axes.transAxes, fontsize=9.5, color=colour, **style)


def _name(evaluation: Evaluation, index: int) -> str:
    return short_name(evaluation.classes[index], 20)


def _said(evaluation: Evaluation, position: int) -> str:
    name = _name(evaluation, evaluation.predictions[position])
    return f"{name} {evaluation.confidences[position]:.1%}"


def _path(evaluation: Evaluation, position: int, limit: int) -> str:
    return shorten(str(evaluation.rows["path"].iloc[position]), limit)
