"""Prediction sets that hold the true class with at least a chosen probability, whatever the class.

Split conformal prediction with the score 1 - p(true class), calibrated class by class (Mondrian; Vovk, Gammerman &
Shafer 2005, section 4.5; Angelopoulos & Bates 2021, arXiv:2107.07511, sections 1 and 3.2). The guarantee supposes that
calibration images and later ones are exchangeable within a class; several images of one patient weaken it. The sets are
a dozen lines here since MAPIE 1.x, which has them for all classes in common, has none by class.

The most probable class, which is the answer, is in every set, whether it passes its class's threshold or not. By the
thresholds alone it may stand outside a set that names another class, and a set may be empty. Adding it can only raise
the coverage, so the promise becomes "at least"; nothing is fitted anew for it, so earlier models answer so too. APS
(Romano, Sesia & Candes 2020, arXiv:2006.02544), by class, does not always hold the answer either, and its sets are
larger, as are those of RAPS (Angelopoulos et al. 2021, arXiv:2009.14193), whose code adds the answer: experiments/sets.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

Array = NDArray[np.float64]
TAIL = 0.025  # share of draws that fall short of what is said to be reached: the lower end of a 95 % range


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
    """Which classes (N, C) stand in each image's set: the most probable one, and those within the `thresholds` (C,)."""
    chosen = np.asarray(1 - probabilities <= limits, dtype=np.bool_)
    chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
    return chosen


def least_covered(tested: Sequence[int], calibrated: Sequence[int], level: float) -> float:
    """The share of covered images that 97.5 % of all draws of calibration and test images reach.

    Of m test images of a class with n calibration images, k = ceil((n + 1) level), the number covered is
    beta-binomial(m, k, n + 1 - k) if images are exchangeable and scores do not tie (Vovk 2012; Angelopoulos & Bates
    2021, section 3.2); m if k > n. Over several classes the numbers are independent and add up. That is the law of the
    thresholds; the most probable class, which every set holds, adds to what they cover.

    Args:
        tested: test images of each class.
        calibrated: calibration images of each class.
        level: as the thresholds were made.
    """
    law = np.ones(1)  # probability of each number of covered images
    for images, known in zip(tested, calibrated, strict=True):
        place = rank(known, level)
        one = np.append(np.zeros(images), 1.0)
        if place <= known:
            one = scipy.stats.betabinom(images, place, known + 1 - place).pmf(np.arange(images + 1))
        law = np.convolve(law, one)
    return int(np.searchsorted(np.cumsum(law), TAIL)) / (len(law) - 1)


def least_covered_by_group(
    tested: Sequence[Sequence[int]], images: Sequence[int], groups: Sequence[float], level: float
) -> float:
    """The same if the images of a group (a patient) are covered all or none, so that groups are what is drawn.

    Slices of a patient are alike, so the share by image is too high. Of a class with n calibration images, k =
    ceil((n + 1) level), in g groups the probability to be covered is taken as beta(q (g + 1), (1 - q) (g + 1)),
    q = k / (n + 1), and each test group as covered with it. 20,000 draws, always the same. An approximation: where
    groups differ much in size, 93 rather than 97.5 % of the draws reach it.

    Args:
        tested: of each class the test images of each group.
        images: calibration images of each class; where they are too few for the level, all are covered.
        groups: calibration groups of each class, see `effective_groups`.
        level: as the thresholds were made.
    """
    rng = np.random.default_rng(0)
    covered = np.zeros(20_000)
    for sizes, known, effective in zip(tested, images, groups, strict=True):
        place = rank(known, level)
        if place > known:
            covered += sum(sizes)
            continue
        share = place / (known + 1)
        chance = rng.beta(share * (effective + 1), (1 - share) * (effective + 1), size=len(covered))
        for size, count in Counter(sizes).items():
            covered += size * rng.binomial(count, chance)
    return float(np.quantile(covered / sum(map(sum, tested)), TAIL))


def effective_groups(sizes: Sequence[int]) -> float:
    """How many groups of equal size tell as much as groups of these `sizes` (Kish 1965): (sum w)^2 / sum w^2."""
    return float(sum(sizes) ** 2 / sum(size**2 for size in sizes)) if sizes else 0.0


@dataclass(frozen=True, eq=False)
class Sets:
    """Prediction sets of several levels, as they were calibrated."""

    levels: tuple[float, ...]  # L, rising; none without a calibration part
    limits: Array  # (L, C) see `thresholds`
    images: tuple[int, ...]  # calibration images of each class
    groups: tuple[float, ...]  # calibration groups of each class, see `effective_groups`


def fit_sets(probabilities: Array, labels: NDArray[np.int64], groups: NDArray[Any], levels: Sequence[float]) -> Sets:
    """The sets for N calibration images by their probabilities (N, C), labels (N,) and groups (N,)."""
    classes = probabilities.shape[1]
    return Sets(
        tuple(levels) if len(labels) else (),
        np.array([thresholds(probabilities, labels, level) for level in levels if len(labels)]).reshape(-1, classes),
        tuple(np.bincount(labels, minlength=classes).tolist()),
        tuple(effective_groups(sizes) for sizes in _sizes(labels, groups, classes)),
    )


def coverage(sets: Sets, evaluation: Evaluation) -> pd.DataFrame:
    """What the sets of each level hold, over all images of an evaluation and by class.

    Returns:
        Columns `level`, `class` ("all" first, a class without an image left out), `images`, `coverage`; `low`
        (`least_covered`) and `low_groups` (`least_covered_by_group`), both for images of the distribution that was
        calibrated on; `set_size` (mean), `single` (share of the images).
    """
    labels, names = evaluation.labels, evaluation.classes
    counts = np.bincount(labels, minlength=len(names))
    sizes = _sizes(labels, evaluation.rows["group"].to_numpy(), len(names))
    rows = []
    for level, limits in zip(sets.levels, sets.limits, strict=True):
        found = prediction_sets(evaluation.probabilities, limits)
        for index, name in enumerate(("all", *names), start=-1):
            chosen = labels == index if index >= 0 else np.ones(len(labels), np.bool_)
            if not chosen.any():
                continue
            which = slice(index, index + 1) if index >= 0 else slice(None)
            size = found[chosen].sum(axis=1)
            tested = counts[which].tolist()
            row: list[Any] = [level, name, len(size), found[np.arange(len(labels)), labels][chosen].mean()]
            row.append(least_covered(tested, sets.images[which], level))
            row.append(least_covered_by_group(sizes[which], sets.images[which], sets.groups[which], level))
            rows.append([*row, size.mean(), (size == 1).mean()])
    columns = ["level", "class", "images", "coverage", "low", "low_groups", "set_size", "single"]
    return pd.DataFrame(rows, columns=columns)


def _sizes(labels: NDArray[np.int64], groups: NDArray[Any], classes: int) -> list[list[int]]:
    """Of each class the images of each group that has any."""
    return [list(Counter(groups[labels == index].tolist()).values()) for index in range(classes)]
