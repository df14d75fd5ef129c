"""One answer for a volume out of those for its slices: pooled over the slices, and calibrated on labelled volumes.

A pooling makes one number for each class of all slices that pass as brain MRI, its log odds. A multinomial logistic
regression of these (Platt 1999, for several classes), held back by an L2 penalty since volumes are few, turns them into
probabilities: of a tumour most slices show no tumour, so that what is pooled is no probability of the volume by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from brain_tumor.evaluation.uncertainty.calibration import softmax
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.lazy import lazy

scipy = lazy("scipy")
sklearn = lazy("sklearn")

Array = NDArray[np.float64]
Kind = Literal["mean", "share", "noisy_or", "top"]

LEAST = 1e-6  # a probability below it, or as near to 1, counts as that: its odds would have no end
TOP = 0.1  # share of the slices, one at least, that `top` is the mean of


@dataclass(frozen=True, eq=False)
class Pooling:
    """How a model's slices answer for their volume, and what else is then said; fitted once."""

    kind: Kind
    weights: Array  # (C, C): logits of the volume's classes are `weights @ log_odds + shift`
    shift: Array  # (C,)
    sets: Sets  # calibrated out of fold; `images` are volumes there
    accuracy: float  # wanted of the answers that are given
    confidence: float  # least confidence that is answered: out of fold it gave that accuracy; inf: none did
    answered: int  # volumes that reach it out of fold

    def probabilities(self, slices: Array) -> Array:
        """Those of a volume (C,) by those of its slices (n, C), n at least 1, which are calibrated one by one."""
        return np.asarray(softmax((self.weights @ log_odds(self.kind, slices) + self.shift)[None])[0])


def log_odds(kind: Kind, slices: Array) -> Array:
    """What the slices (n, C) of a volume come to, class by class (C,)."""
    return _POOLED[kind](slices)


def as_they_are(odds: Array) -> Array:
    """The probabilities (N, C) that pooled log odds (N, C) would be without a calibration: scaled to the sum of 1."""
    values = scipy.special.expit(odds)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _mean(slices: Array) -> Array:
    return _logit(slices.mean(axis=0))


def _share(slices: Array) -> Array:
    """Of the slices that are answered so; half a slice is added to either side, so that neither is none."""
    count = np.bincount(slices.argmax(axis=1), minlength=slices.shape[1])
    return np.asarray(np.log((count + 0.5) / (len(slices) - count + 0.5)))


def _noisy_or(slices: Array) -> Array:
    """That any slice shows the class, were slices independent: 1 - prod(1 - p)."""
    none = np.log1p(-_clipped(slices)).sum(axis=0)  # log of the product
    return np.asarray(np.log1p(-np.exp(none)) - none)


def _top(slices: Array) -> Array:
    """The mean over those of the slices in which the class is most probable."""
    count = max(1, int(np.ceil(np.round(TOP * len(slices), 9))))
    return _logit(np.sort(slices, axis=0)[-count:].mean(axis=0))


_POOLED: Mapping[Kind, Callable[[Array], Array]] = MappingProxyType(
    {"mean": _mean, "share": _share, "noisy_or": _noisy_or, "top": _top}
)
KINDS: tuple[Kind, ...] = get_args(Kind)


def _clipped(values: Array) -> Array:
    return np.clip(values, LEAST, 1 - LEAST)


def _logit(values: Array) -> Array:
    return np.asarray(scipy.special.logit(_clipped(values)))


def regression(odds: Array, labels: NDArray[np.int64], strength: float) -> tuple[Array, Array]:
    """Weights (C, C) and shift (C,) of scikit-learn's logistic regression of the labels on pooled log odds (N, C).

    Each column is standardised for it, so that the penalty, weaker the greater `strength` (scikit-learn's C), is the
    same for all. A class without a volume has the odds of less than one of all of them.
    """
    centre, deviation = odds.mean(axis=0), odds.std(axis=0)
    deviation = np.where(deviation > LEAST, deviation, 1.0)
    found = sklearn.linear_model.LogisticRegression(C=strength, max_iter=1000).fit((odds - centre) / deviation, labels)
    lines, starts = found.coef_, found.intercept_
    if len(lines) == 1:  # of two classes there is one line, the second's odds
        lines, starts = np.concatenate([-lines / 2, lines / 2]), np.concatenate([-starts / 2, starts / 2])
    weights, shift = np.zeros((odds.shape[1],) * 2), np.full(odds.shape[1], -np.log(len(labels) + 1.0))
    weights[found.classes_], shift[found.classes_] = lines / deviation, starts
    return weights, shift - weights @ centre


def regressed(odds: Array, line: tuple[Array, Array]) -> Array:
    """Probabilities (N, C) of pooled log odds (N, C) by a `regression`."""
    weights, shift = line
    return softmax(odds @ weights.T + shift)


def read_pooling(facts: Mapping[str, Any], sets: Sets, classes: int) -> Pooling:
    """A pooling out of plain values, see `plain`. Raises ValueError or KeyError where they are none."""
    weights, shift = np.array(facts["weights"], dtype=float), np.array(facts["shift"], dtype=float)
    if facts["kind"] not in KINDS or weights.shape != (classes, classes) or shift.shape != (classes,):
        raise ValueError(f"no pooling of {classes} classes: {facts['kind']}, {weights.shape}, {shift.shape}")
    confidence = np.inf if facts["confidence"] is None else facts["confidence"]
    return Pooling(facts["kind"], weights, shift, sets, facts["accuracy"], confidence, facts["answered"])


def plain(pooling: Pooling) -> dict[str, Any]:
    """All but the sets, for JSON."""
    return {
        "kind": pooling.kind,
        "weights": pooling.weights.tolist(),
        "shift": pooling.shift.tolist(),
        "accuracy": pooling.accuracy,
        "confidence": None if np.isinf(pooling.confidence) else pooling.confidence,  # JSON knows no infinite number
        "answered": pooling.answered,
    }
