"""Calibration of the logits: temperature scaling, and vector scaling where it helps (Guo et al. 2017, section 4.2).

Both are affine in the logits, class by class, and so can be folded into the model's last dense layer.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.config.train import Calibrate
from brain_tumor.data.split import folds
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

Array = NDArray[np.float64]

_RANGE = (0.05, 20.0)  # of a factor on the logits: beyond it the images do not determine one
_SHIFT = 10.0  # greatest shift of a logit
_FOLDS = 5
_ERRORS = 2.0  # standard errors by which vector scaling must beat the temperature


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the logits z are replaced by: `scale * z + shift`, class by class."""

    kind: Literal["none", "temperature", "vector"]
    scale: Array  # (C,) > 0; of a temperature T all 1 / T
    shift: Array  # (C,), sums to 0
    why: str  # in a few words, why this one

    @property
    def temperature(self) -> float:
        """1 / the mean factor; of a temperature scaling the temperature itself."""
        return float(1 / self.scale.mean())

    def apply(self, logits: Array) -> Array:
        """The calibrated logits (N, C) of a model's own ones."""
        return logits * self.scale + self.shift

    def undo(self, logits: Array) -> Array:
        """The model's own logits (N, C) of calibrated ones."""
        return np.asarray((logits - self.shift) / self.scale)


def identity(classes: int, why: str) -> Scaling:
    """The scaling that changes nothing."""
    return Scaling("none", np.ones(classes), np.zeros(classes), why)


def softmax(logits: Array) -> Array:
    """Probabilities (N, C) of logits (N, C)."""
    return np.asarray(scipy.special.softmax(logits, axis=1), dtype=np.float64)


def nll(logits: Array, labels: NDArray[np.int64]) -> Array:
    """Negative log-likelihood (N,), in nats, of the true classes."""
    return np.asarray(-scipy.special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def fit(logits: Array, labels: NDArray[np.int64], groups: NDArray[Any], how: Calibrate) -> Scaling:
    """The scaling with the least mean negative log-likelihood on the images given.

    Args:
        logits: (N, C) of images that were not trained on.
        labels: (N,) true classes.
        groups: (N,) images of one group are never separated in the comparison.
        how: "auto" takes vector scaling if out of sample (5 folds over groups) it beats the temperature by more than
            two standard errors of the mean difference, the groups being the independent draws; else the temperature.

    Returns:
        The scaling. Without a mistake among the images, or with as many as by chance, the likelihood has no maximum
        at a factor from 0.05 to 20: then nothing is scaled, and `why` says so.
    """
    classes = logits.shape[1]
    if how == "none":
        return identity(classes, "calibrate=none")
    if np.all(logits.argmax(axis=1) == labels):
        return identity(classes, f"none of the {len(labels)} validation images is misclassified")
    plain = _temperature(logits, labels)
    if plain is None:
        return identity(classes, f"{len(labels)} validation images do not determine a temperature")
    if how == "temperature":
        return plain
    if how == "vector":
        return _vector(logits, labels, plain, "calibrate=vector")
    compared = _gain_of_vector(logits, labels, groups)
    if compared is None:
        return Scaling(
            plain.kind,
            plain.scale,
            plain.shift,
            "too few validation groups, or mistakes in them, to try vector scaling",
        )
    gain, error = compared
    why = f"vector scaling changes the log loss by {-gain:+.4f} (standard error {error:.4f})"
    if gain > _ERRORS * error:
        return _vector(logits, labels, plain, why)
    return Scaling(plain.kind, plain.scale, plain.shift, f"{why}: no more than noise")


def fold_in(model: Any, scaling: Scaling) -> None:
    """Apply a scaling for good, in the weights of the Keras model's linear layer `logits`: no layer is added."""
    layer = model.get_layer("logits")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * scaling.scale, bias * scaling.scale + scaling.shift])


def _temperature(logits: Array, labels: NDArray[np.int64]) -> Scaling | None:
    """None where the likelihood, which is concave in 1 / T, has its maximum at a bound."""

    # By its logarithm, so that T and 1 / T are treated alike.
    low, high = np.log(_RANGE)
    found = scipy.optimize.minimize_scalar(
        lambda log: float(nll(np.exp(log) * logits, labels).mean()),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-8},
    )
    if min(found.x - low, high - found.x) < 1e-3:
        return None
    classes = logits.shape[1]
    return Scaling("temperature", np.full(classes, np.exp(found.x)), np.zeros(classes), "calibrate=temperature")


def _vector(logits: Array, labels: NDArray[np.int64], start: Scaling, why: str) -> Scaling:
    classes = logits.shape[1]
    truth = np.eye(classes)[labels]

    def loss(values: Array) -> tuple[float, Array]:
        scaled = logits * values[:classes] + values[classes:]
        residual = (softmax(scaled) - truth) / len(labels)
        gradient = np.concatenate([(residual * logits).sum(axis=0), residual.sum(axis=0)])
        return float(nll(scaled, labels).mean()), gradient

    bounds = np.array([_RANGE] * classes + [(-_SHIFT, _SHIFT)] * classes)
    found = scipy.optimize.minimize(
        loss,
        np.concatenate([start.scale, start.shift]),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    ).x
    if np.isclose(found[:, None], bounds).any():
        why += "; the images do not determine all of it: a factor or a shift is at its bound"
    # The softmax knows shifts up to a constant.
    return Scaling("vector", found[:classes], found[classes:] - found[classes:].mean(), why)


def _gain_of_vector(logits: Array, labels: NDArray[np.int64], groups: NDArray[Any]) -> tuple[float, float] | None:
    """What vector scaling takes off the temperature's out-of-sample log loss, and its standard error by group.

    None where there are too few groups of a class to tell, or mistakes to determine a temperature without a fold.
    """
    member, names = pd.factorize(np.asarray(groups))
    count = min(_FOLDS, *(len(set(member[labels == index])) for index in range(logits.shape[1])))
    if count < 2:
        return None
    fold = folds(pd.DataFrame({"label": labels, "group": member}), count, seed=0)
    difference = np.zeros(len(labels))
    for each in range(count):
        out = fold == each
        plain = _temperature(logits[~out], labels[~out])
        if plain is None:
            return None
        vector = _vector(logits[~out], labels[~out], plain, "")
        difference[out] = nll(plain.apply(logits[out]), labels[out]) - nll(vector.apply(logits[out]), labels[out])
    gain = difference.mean()
    sums = np.bincount(member, difference - gain)
    error = np.sqrt(len(names) / (len(names) - 1) * np.square(sums).sum()) / len(labels)
    return float(gain), float(error)
