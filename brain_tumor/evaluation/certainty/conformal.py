"""Prediction sets that hold the true class with a chosen probability, whatever the class.

Split conformal prediction with the score 1 - p(true class), calibrated class by class (Mondrian; Vovk, Gammerman &
Shafer 2005, section 4.5; Angelopoulos & Bates 2021, arXiv:2107.07511, sections 1 and 3.2). The guarantee supposes that
calibration images and later ones are exchangeable within a class; several images of one patient weaken it. The sets are
a dozen lines here since MAPIE 1.x, which has them for all classes in common, has none by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.metrics import Evaluation

Array = NDArray[np.float64]


def rank(images: int, level: float) -> int:
    """Which of the sorted calibration scores is the threshold, counted from 1: ceil((n + 1) * level); over n: none."""
    return int(np.ceil(np.round((images + 1) * level, 9)))  # 20 * 0.95 is 19, not a hair more


def thresholds(probabilities: Array, labels: NDArray[np.int64], level: float) -> Array:
    """The greatest score (C,) with which a class still joins the set.

    inf for a class with too few images for the level (9 are needed for 0.90, 19 for 0.95): it joins every set.

    Args:
        probabilities: (N, C) of the calibration images.
        labels: (N,) their true classes.
        level: coverage aimed at, in (0, 1).
    """
    found = np.full(probabilities.shape[1], np.inf)
    for index in range(len(found)):
        scores = np.sort(1 - probabilities[labels == index, index])
        place = rank(len(scores), level)
        if place <= len(scores):
            found[index] = scores[place - 1]
    return found


def prediction_sets(probabilities: Array, limits: Array) -> NDArray[np.bool_]:
    """Which classes (N, C) stand in each image's set, by the `thresholds` (C,) of one level; a set may be empty."""
    return np.asarray(1 - probabilities <= limits, dtype=np.bool_)


def covered_range(tested: Sequence[int], calibrated: Sequence[int], level: float) -> tuple[float, float]:
    """The shares of covered images between which 95 % of all draws of calibration and test images fall.

    Of m test images of a class with n calibration images, k = ceil((n + 1) level), the number covered is
    beta-binomial(m, k, n + 1 - k) if images are exchangeable and scores do not tie (Vovk 2012; Angelopoulos & Bates
    2021, section 3.2); m if k > n. Over several classes the numbers are independent and add up. The ends are the
    quantiles at 0.025 and 0.975.

    Args:
        tested: test images of each class.
        calibrated: calibration images of each class.
        level: as the thresholds were made.
    """
    from scipy.stats import betabinom

    law = np.ones(1)  # probability of each number of covered images
    for images, known in zip(tested, calibrated, strict=True):
        place = rank(known, level)
        one = np.append(np.zeros(images), 1.0)
        if place <= known:
            one = betabinom(images, place, known + 1 - place).pmf(np.arange(images + 1))
        law = np.convolve(law, one)
    below = np.cumsum(law)
    low, high = (min(int(np.searchsorted(below, tail)), len(law) - 1) for tail in (0.025, 0.975))
    return low / (len(law) - 1), high / (len(law) - 1)


def covered_range_by_group(
    images: Sequence[int], tested: Sequence[int], calibrated: Sequence[int], level: float
) -> tuple[float, float]:
    """The same as if the images of a group (a patient) were covered all or none, so that groups are what is drawn.

    Slices of a patient are alike, so the range by image is too narrow; this one is too wide, where they are not quite
    alike. With n calibration and m test groups of a class the share covered is beta-binomial(m, level (n + 1),
    (1 - level) (n + 1)) / m, and over classes its mean weighted by `images`; 20,000 draws, always the same.

    Args:
        images: test images of each class.
        tested: test groups of each class.
        calibrated: calibration groups of each class; 0: every image is covered.
        level: as the thresholds were made.
    """
    rng = np.random.default_rng(0)
    shares = np.zeros(20_000)
    for weight, groups, known in zip(images, tested, calibrated, strict=True):
        if not known or not groups:
            shares += weight / sum(images)
            continue
        covering = rng.beta(level * (known + 1), (1 - level) * (known + 1), size=len(shares))
        shares += weight / sum(images) * rng.binomial(groups, covering) / groups
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Sets:
    """Prediction sets of several levels, as they were calibrated."""

    levels: tuple[float, ...]  # L, rising; none without a calibration part
    limits: Array  # (L, C) see `thresholds`
    images: tuple[int, ...]  # calibration images of each class
    groups: tuple[int, ...]  # calibration groups of each class


def calibrate(probabilities: Array, labels: NDArray[np.int64], groups: NDArray[Any], levels: Sequence[float]) -> Sets:
    """The sets for N calibration images by their probabilities (N, C), labels (N,) and groups (N,)."""
    classes = probabilities.shape[1]
    return Sets(
        tuple(levels) if len(labels) else (),
        np.array([thresholds(probabilities, labels, level) for level in levels if len(labels)]).reshape(-1, classes),
        tuple(np.bincount(labels, minlength=classes).tolist()),
        tuple(_groups(labels, groups, classes)),
    )


def coverage(sets: Sets, evaluation: Evaluation) -> pd.DataFrame:
    """What the sets of each level hold, over all images of an evaluation and by class.

    Returns:
        Columns `level`, `class` ("all" first, a class without an image left out), `images`, `coverage`; `low` and
        `high` (`covered_range`), `low_groups` and `high_groups` (`covered_range_by_group`), all for images of the
        distribution that was calibrated on; `set_size` (mean), `single`, `empty` (shares of the images).
    """
    labels, names = evaluation.labels, evaluation.classes
    counts = np.bincount(labels, minlength=len(names))
    groups = np.array(_groups(labels, evaluation.rows["group"].to_numpy(), len(names)))
    rows = []
    for level, limits in zip(sets.levels, sets.limits, strict=True):
        found = prediction_sets(evaluation.probabilities, limits)
        known = np.where(np.isinf(limits), 0, sets.groups)
        for index, name in enumerate(("all", *names), start=-1):
            chosen = labels == index if index >= 0 else np.ones(len(labels), np.bool_)
            if not chosen.any():
                continue
            which = slice(index, index + 1) if index >= 0 else slice(None)
            size = found[chosen].sum(axis=1)
            tested = counts[which].tolist()
            row: list[Any] = [level, name, len(size), found[np.arange(len(labels)), labels][chosen].mean()]
            row += covered_range(tested, sets.images[which], level)
            row += covered_range_by_group(tested, groups[which].tolist(), known[which].tolist(), level)
            rows.append([*row, size.mean(), (size == 1).mean(), (size == 0).mean()])
    columns = ["level", "class", "images", "coverage", "low", "high", "low_groups", "high_groups"]
    return pd.DataFrame(rows, columns=[*columns, "set_size", "single", "empty"])


def _groups(labels: NDArray[np.int64], groups: NDArray[Any], classes: int) -> list[int]:
    return [len(set(groups[labels == index].tolist())) for index in range(classes)]
