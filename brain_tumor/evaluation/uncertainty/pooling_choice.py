"""Chooses a pooling on labelled volumes by its log loss, and says what the chosen one is worth on others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.split import folds
from brain_tumor.evaluation.uncertainty import abstention, conformal
from brain_tumor.evaluation.uncertainty.pooling import (
    KINDS,
    Array,
    Kind,
    Pooling,
    as_they_are,
    log_odds,
    regressed,
    regression,
)

STRENGTHS = (0.1, 1.0, 10.0)  # of which the penalty of the regression is chosen, beside the pooling
FOLDS, INNER = 10, 5  # at most: as many as the class of the fewest patients has of them
LEAST_PATIENTS = 5  # of a class, to fit on: each of five folds then has one


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pooling that was tried, on the N volumes."""

    kind: Kind
    strength: float  # of STRENGTHS the one of the least log loss
    before: Array  # (N, C) probabilities without a calibration
    after: Array  # (N, C) calibrated, each volume by the volumes of other folds


@dataclass(frozen=True, eq=False)
class Choice:
    """A pooling, and what it was chosen by."""

    pooling: Pooling  # fitted to all volumes
    strength: float
    candidates: tuple[Candidate, ...]  # in the order of KINDS
    honest: Array  # (N, C) by poolings that were chosen and fitted without the volume's fold


def choose(
    volumes: Sequence[Array],
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    *,
    levels: Sequence[float],
    accuracy: float,
) -> Choice:
    """The pooling and penalty of the least log loss out of fold, fitted to all volumes.

    The folds keep patients whole. The log loss of the chosen one flatters it, being the least of several; so all is
    done once more within the volumes of all folds but one, for each fold (nested cross-validation), and what that says
    of the fold left out is `honest`. Sets and the least confidence are fitted on it.

    Args:
        volumes: of each its slices' probabilities (n, C), n at least 1.
        labels: (N,) true classes; each has LEAST_PATIENTS groups.
        groups: (N,) whose they are.
        levels: coverages of the prediction sets, rising.
        accuracy: wanted of the answers that are given, in (0, 1).
    """
    odds = {kind: np.stack([log_odds(kind, slices) for slices in volumes]) for kind in KINDS}
    outer = _folds(labels, groups, FOLDS)
    honest = np.zeros_like(odds["mean"])
    for fold in range(outer.max() + 1):
        out = outer == fold
        best = _best(_tried({kind: odds[kind][~out] for kind in KINDS}, labels[~out], groups[~out]), labels[~out])
        line = regression(odds[best.kind][~out], labels[~out], best.strength)
        honest[out] = regressed(odds[best.kind][out], line)
    candidates = _tried(odds, labels, groups)
    best = _best(candidates, labels)
    right = honest.argmax(axis=1) == labels
    confidence = abstention.threshold(honest.max(axis=1), right, accuracy)
    pooling = Pooling(
        best.kind,
        *regression(odds[best.kind], labels, best.strength),
        sets=conformal.fit_sets(honest, labels, groups, levels),
        accuracy=accuracy,
        confidence=confidence,
        answered=int((honest.max(axis=1) >= confidence).sum()),
    )
    return Choice(pooling, best.strength, candidates, honest)


def log_loss(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """In nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(float).tiny)).mean())


def _tried(odds: Mapping[Kind, Array], labels: NDArray[np.int64], groups: NDArray[Any]) -> tuple[Candidate, ...]:
    """Each pooling with its best penalty, out of fold."""
    inner = _folds(labels, groups, INNER)
    found = []
    for kind, values in odds.items():
        tried = {strength: _out_of_fold(values, labels, inner, strength) for strength in STRENGTHS}
        strength = min(tried, key=lambda each: log_loss(tried[each], labels))
        found.append(Candidate(kind, strength, as_they_are(values), tried[strength]))
    return tuple(found)


def _best(candidates: Sequence[Candidate], labels: NDArray[np.int64]) -> Candidate:
    return min(candidates, key=lambda each: log_loss(each.after, labels))


def _out_of_fold(values: Array, labels: NDArray[np.int64], fold: NDArray[np.intp], strength: float) -> Array:
    found = np.zeros_like(values)
    for each in range(fold.max() + 1):
        out = fold == each
        found[out] = regressed(values[out], regression(values[~out], labels[~out], strength))
    return found


def _folds(labels: NDArray[np.int64], groups: NDArray[Any], most: int) -> NDArray[np.intp]:
    """The fold (N,) of each volume, of as many as each has a patient of every class, `most` at most."""
    table = pd.DataFrame({"label": labels, "group": groups})
    return folds(table, min(most, int(table.groupby("label")["group"].nunique().min())), seed=0)
