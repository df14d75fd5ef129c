"""Fits and applies all that is said with a prediction: calibration, prediction sets, "not sure", "not a brain MRI"."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import Calibrate
from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.prediction import Outputs, observe
from brain_tumor.evaluation.uncertainty import abstention, calibration, conformal, out_of_distribution
from brain_tumor.evaluation.uncertainty.calibration import Scaling, softmax
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.pooling import Pooling

_RAISE = "raise data.calibration_fraction"  # what to do where prediction sets lack images
IN_DISTRIBUTION = 0.99  # share of held-out images of the training distribution that shall pass as brain MRI


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """All thresholds of one trained model, fitted once; its `scaling` is folded into the model's weights already."""

    classes: tuple[str, ...]  # C names
    scaling: Scaling  # fitted on the val part
    sets: Sets  # calibrated on the calibration part
    accuracy: float  # wanted of the answers that are given
    confidence: float  # least confidence that is answered: it gave that accuracy on the val part; inf: none did
    gaussians: out_of_distribution.Gaussians  # fitted on the train part
    distance: float  # greatest distance that passes as brain MRI: IN_DISTRIBUTION of the calibration (or val) part
    answered: int | None = None  # images of the val part that reach `confidence`; None: logged before it was counted
    volumes: Pooling | None = None  # how a volume is answered as a whole; None: nobody has fitted it, see jobs/pool.py


@dataclass(frozen=True)
class Answer:
    """What is said of one image, or of a volume as a whole."""

    label: str  # the most probable class
    confidence: float  # its probability, calibrated
    # level -> the classes that the image may be of, `label` always among them, in the order of the outputs
    sets: Mapping[float, tuple[str, ...]]
    not_sure: bool  # the confidence is too low to answer
    not_brain_mri: bool  # the image is too far from what was trained on


def fit_uncertainty(
    observed: Any, dataset: Dataset, *, calibrate: Calibrate, levels: Sequence[float], accuracy: float
) -> Uncertainty:
    """Fit everything that is said with a prediction to a trained model, and fold the calibration into its weights.

    The scaling and the abstention threshold are fitted on the val part, the prediction sets on the calibration part,
    which has chosen nothing, the distance on (at most FIT_IMAGES of) the train part. The test part is not read.

    Args:
        observed: `observing` a trained classifier that is not calibrated yet; its weights are changed.
        dataset: with or without a calibration part.
        calibrate: see `calibration.fit`.
        levels: coverages of the prediction sets.
        accuracy: wanted of the answers that are given, in (0, 1).
    """
    rows = {part: dataset.rows(part) for part in ("train", "val", "calibration")}
    if len(rows["train"]) > out_of_distribution.FIT_IMAGES:
        drawn = np.random.default_rng(0).choice(rows["train"], out_of_distribution.FIT_IMAGES, replace=False)
        rows["train"] = np.sort(drawn)
    outputs, labels = _outputs(observed, dataset, rows["train"], "features of train")
    gaussians = out_of_distribution.fit(outputs.features, labels, len(dataset.split.classes))
    val, labels = _outputs(observed, dataset, rows["val"], "calibrating on val")
    groups = dataset.split.table["group"].to_numpy()[rows["val"]]
    scaled = calibration.fit(val.logits, labels, groups, calibrate)
    calibration.fold_in(observed, scaled)
    probabilities = softmax(scaled.apply(val.logits))
    right = probabilities.argmax(axis=1) == labels
    confidence = abstention.threshold(probabilities.max(axis=1), right, accuracy)
    held_out, labels = _outputs(observed, dataset, rows["calibration"], "sets on calibration")
    groups = dataset.split.table["group"].to_numpy()[rows["calibration"]]
    sets = conformal.fit_sets(held_out.probabilities, labels, groups, sorted(levels))
    distances = gaussians.distance((held_out if len(labels) else val).features)
    limit = float(np.quantile(distances, IN_DISTRIBUTION, method="higher"))
    answered = int((probabilities.max(axis=1) >= confidence).sum())
    return Uncertainty(dataset.split.classes.names, scaled, sets, accuracy, confidence, gaussians, limit, answered)


def answers_of(uncertainty: Uncertainty, outputs: Outputs) -> list[Answer]:
    """An answer for each image, by what the model that the uncertainty was fitted to put out for it."""
    far = uncertainty.gaussians.distance(outputs.features) > uncertainty.distance
    return _answers(uncertainty.classes, outputs.probabilities, uncertainty.sets, uncertainty.confidence, far)


def answer_of_volume(
    uncertainty: Uncertainty, slices: NDArray[np.float64], *, not_brain_mri: bool
) -> tuple[Answer, NDArray[np.float64]] | None:
    """What is said of a volume, and its probabilities (C,), by those of its slices (n, C) that pass as brain MRI.

    None where none passes, or nothing was fitted for volumes.
    """
    pooling = uncertainty.volumes
    if pooling is None or not len(slices):
        return None
    found = pooling.probabilities(slices)
    far = np.array([not_brain_mri])
    [answer] = _answers(uncertainty.classes, found[None], pooling.sets, pooling.confidence, far)
    return answer, found


def _answers(
    classes: tuple[str, ...], probabilities: NDArray[np.float64], fitted: Sets, least: float, far: NDArray[np.bool_]
) -> list[Answer]:
    names = np.asarray(classes, dtype=object)
    sets = [conformal.prediction_sets(probabilities, limits) for limits in fitted.limits]
    return [
        Answer(
            label=str(names[row.argmax()]),
            confidence=float(row.max()),
            sets={level: tuple(names[chosen[index]]) for level, chosen in zip(fitted.levels, sets, strict=True)},
            not_sure=bool(row.max() < least),
            not_brain_mri=bool(far[index]),
        )
        for index, row in enumerate(probabilities)
    ]


def warnings(uncertainty: Uncertainty) -> list[str]:
    """What could not be fitted, one line each, with what to do."""
    found = []
    if not uncertainty.sets.levels:
        found.append("no prediction sets: there is no calibration part (data.calibration_fraction=0.1 sets one apart)")
    found += _unfitted(uncertainty.classes, uncertainty.sets, "every", "calibration images", _RAISE)
    return found + unsure(uncertainty) + warnings_of_volumes(uncertainty)


def unsure(uncertainty: Uncertainty) -> list[str]:
    """Of the `warnings`, the one that concerns "not sure": it is said of every image, or of too many."""
    if np.isinf(uncertainty.confidence):
        return [
            f"every image is answered with not sure: no confidence gives an accuracy of {uncertainty.accuracy:.1%} "
            "on the val part (lower selective_accuracy)"
        ]
    if uncertainty.answered is not None and uncertainty.answered < 1 / (1 - uncertainty.accuracy):
        return [
            f"not sure is said below a confidence that {uncertainty.answered} val images reach: too few to tell an "
            f"accuracy of {uncertainty.accuracy:.1%} (lower selective_accuracy, or raise data.val_fraction)"
        ]
    return []


def warnings_of_volumes(uncertainty: Uncertainty) -> list[str]:
    """Of the `warnings` those that concern volumes as a whole."""
    pooling = uncertainty.volumes
    if pooling is None:
        return []
    found = _unfitted(uncertainty.classes, pooling.sets, "of a volume every", "volumes", "fit pool on more")
    if np.isinf(pooling.confidence):
        found.append(
            f"every volume is answered with not sure: no confidence gives an accuracy of {pooling.accuracy:.1%} on the "
            "volumes of pool (lower its selective_accuracy)"
        )
    elif pooling.answered < 1 / (1 - pooling.accuracy):
        found.append(
            f"not sure is said of a volume below a confidence that {pooling.answered} volumes of pool reach: too few "
            f"to tell an accuracy of {pooling.accuracy:.1%} (lower its selective_accuracy, or fit it on more)"
        )
    return found


def _unfitted(classes: tuple[str, ...], sets: Sets, every: str, what: str, remedy: str) -> list[str]:
    """A line for each level at which a class has too few calibration images, or volumes, for a threshold."""
    found = []
    for level, limits in zip(sets.levels, sets.limits, strict=True):
        if few := [f"{classes[index]} ({sets.images[index]} {what})" for index in np.flatnonzero(np.isinf(limits))]:
            needed = next(n for n in itertools.count(1) if conformal.rank(n, level) <= n)
            found.append(
                f"{every} {level:.0%} set holds {', '.join(few)}, since {needed} of a class are needed ({remedy})"
            )
    return found


def _outputs(observed: Any, dataset: Dataset, rows: NDArray[np.int64], title: str) -> tuple[Outputs, NDArray[np.int64]]:
    outputs = observe(observed, dataset.pixels, dataset.pixel_rows[rows], title=title)
    return outputs, dataset.labels(rows).astype(np.int64)
