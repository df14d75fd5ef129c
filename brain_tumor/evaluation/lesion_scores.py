"""What a model makes of known lesions, as scores of a part: a value for each image, and their means with intervals.

The values are columns of an evaluation's rows, NaN where an image has no say, so that they are paired, pooled and drawn
by group as its predictions are. Each mean is over the images that have a value:

- trust: over all images: whether the answer is right and, where the lesion is known, does not stay without it.
- pointing, kept_without_lesion, to_healthy_without_lesion, kept_mirrored: over the correctly classified lesions, see
  `explanation.localisation` and `explanation.removal`.
- lesion_dice, lesion_found, lesion_false: of a model that draws a lesion map, see `explanation.lesion_map`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.bootstrap import drawn_means, mean_intervals, percentiles
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.layout.blocks import Alert, Paragraph

TRUST, POINTING = "trust", "pointing"
KEPT, TO_HEALTHY, MIRRORED = "kept_without_lesion", "to_healthy_without_lesion", "kept_mirrored"
DICE, FOUND, FALSE = "lesion_dice", "lesion_found", "lesion_false"
NAMES = {  # of the scores, as a reader knows them
    TRUST: "right, and not without the lesion",
    POINTING: "maps that peak in the lesion",
    KEPT: "stay without it (lower is better)",
    TO_HEALTHY: "become the healthy class without it",
    MIRRORED: "stay without its mirror image",
    DICE: "Dice of the lesion map",
    FOUND: "lesions found by it",
    FALSE: "lesions in healthy images (lower is better)",
}
LOWER_IS_BETTER = (KEPT, FALSE)
NEITHER = (TO_HEALTHY, MIRRORED)  # what stays explains these; by itself more of them is no better
MOST = 0.5  # share of the answers: that more, or fewer, stay without the lesion is said where the interval bears it out
UNTOUCHED = 0.9  # of the answers must stay where the mirror image is painted over; otherwise the paint changes them


def trust(correct: NDArray[np.bool_], stays: NDArray[np.bool_]) -> NDArray[np.float64]:
    """0 or 1 (N,): whether each answer is right and does not stay without a lesion that is known."""
    return np.asarray(correct & ~stays, dtype=np.float64)


def lesion_intervals(evaluations: Sequence[Evaluation], resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The mean of each score over several evaluations; columns as `bootstrap.run_intervals` returns them.

    Only what every evaluation has a value of is there.
    """
    same = all(each.rows["path"].tolist() == evaluations[0].rows["path"].tolist() for each in evaluations)
    table = []
    for name in shared(evaluations):
        columns = [each.rows[name].to_numpy(np.float64) for each in evaluations]
        means = [float(np.nanmean(column)) for column in columns]
        low = high = np.nan
        if same:
            values, groups = _with_a_say(np.column_stack(columns), evaluations[0])
            low, high = percentiles(drawn_means(values, groups, resamples=resamples, seed=seed).mean(axis=1))
        spread = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
        table.append((name, float(np.mean(means)), float(low), float(high), spread))
    return pd.DataFrame(table, columns=["metric", "value", "low", "high", "sd"])


def paired_lesions(a: Evaluation, b: Evaluation, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The difference of each score that both have; arguments and columns as those of `bootstrap.paired_intervals`.

    Each is scored on its own correctly classified lesions.
    """
    table = []
    for name in shared([a, b]):
        values, groups = _with_a_say(np.column_stack([each.rows[name].to_numpy(np.float64) for each in (a, b)]), a)
        of_a, of_b = mean_intervals(values, groups, resamples=1)[0]
        drawn = drawn_means(values, groups, resamples=resamples, seed=seed)
        table.append((name, of_a, of_b, of_b - of_a, *percentiles(drawn[:, 1] - drawn[:, 0])))
    return pd.DataFrame(table, columns=["metric", "a", "b", "difference", "low", "high"])


def shared(evaluations: Iterable[Evaluation]) -> list[str]:
    """The scores of which every evaluation has a value."""
    every = [each.rows for each in evaluations]
    return [name for name in NAMES if all(name in rows and rows[name].notna().any() for rows in every)]


def _with_a_say(values: NDArray[np.float64], evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    rows = ~np.isnan(values).all(axis=1)
    return values[rows], evaluation.rows["group"].to_numpy()[rows]


def opening(scores: Mapping[Any, Mapping[Any, Any]]) -> list[Alert | Paragraph]:
    """One plain sentence on whether the answers rest on the lesion; nothing where that was not asked.

    `scores` by name, each with `value`, `low` and `high`: of what stays the interval counts, where there is one. That
    answers rest on the lesion does not follow where they change with paint elsewhere, too.
    """
    if (kept := scores.get(KEPT)) is None:
        return []
    low, high = (kept[name] if np.isfinite(kept[name]) else kept["value"] for name in ("low", "high"))
    said = f"{kept['value']:.1%} of the right ones stay when it is painted over"
    if low > MOST:
        return [Alert(f"Most answers do NOT need the lesion: {said}.")]
    control = scores.get(MIRRORED)
    if control is not None and control["value"] < UNTOUCHED:
        said += f", {control['value']:.1%} when its mirror image is"
        return [Paragraph(f"Whether answers need the lesion is open, for paint elsewhere changes them, too: {said}.")]
    if high < MOST:
        return [Paragraph(f"Most answers rest on the lesion: {said}.")]
    return [Paragraph(f"Some answers need the lesion, some do not: {said}.")]
