"""What is said of a scan: the one function behind the command line, the web page and the server.

A model's probabilities are calibrated as it computes them: `evaluation.uncertainty.calibration.fold_in` has changed its
weights after training.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.blank import is_blank
from brain_tumor.data.classes import ClassList
from brain_tumor.data.scans.scan import Extent
from brain_tumor.evaluation.prediction import Outputs, Runtime, answering, observe, observing
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, answers_of
from brain_tumor.serving.lesions import Lesion, lesion_of, painted

VOLUME_SHARE, VOLUME_LEAST = 0.1, 3


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model that answers."""

    uri: str  # models:/NAME/VERSION or runs:/…
    run: Runtime
    size: int  # pixels a side that it takes
    classes: ClassList
    uncertainty: Uncertainty | None  # None: it says a class and probabilities alone


@dataclass(frozen=True)
class Prediction:
    """What is said of one slice, or of a volume."""

    label: str
    probabilities: Mapping[str, float]  # class -> calibrated probability, in the order of the outputs
    # Where the model has no fitted uncertainty, and of volumes, which it was not fitted to: no sets, and None.
    sets: Mapping[float, tuple[str, ...]]  # level -> the classes, `label` one, that hold the true one so often
    not_sure: bool | None  # the confidence is too low to answer
    not_brain_mri: bool | None  # too far from what was trained on
    lesion: Lesion | None = None  # of a slice, by a model that draws a lesion map
    without: "Prediction | None" = None  # what is said once all that is marked is painted over, where that was asked


@dataclass(frozen=True)
class ScanPrediction:
    """What is said of a file."""

    slices: tuple[Prediction, ...]
    volume: Prediction | None  # of several slices, by `rule`; None of a single one, or where no slice is a brain
    decisive: tuple[int, ...]  # the slices that speak for the volume
    rule: str = ""  # how they do; "" where there is no volume

    @property
    def overall(self) -> Prediction:
        """Of the volume, or of the one slice (of a volume without a brain: of its first)."""
        return self.volume or self.slices[0]


def volume_rule(classes: ClassList) -> str:
    """How slices speak for a volume; without a healthy class none of them can be told to show no lesion."""
    which = "all of its slices that"
    if classes.healthy is not None:
        which = f"the tenth of its slices (at least three) that look least like {classes.healthy}, of those that"
    return f"a volume's probabilities are the mean over {which} pass as brain MRI; they are not calibrated for volumes"


def keras_predictor(model: Any, uri: str, classes: ClassList, uncertainty: Uncertainty | None) -> Predictor:
    """A Keras classifier that answers by itself; one thread at a time may ask it (see `batching.batched`)."""
    return Predictor(uri, answering(observing(model)), int(model.input_shape[1]), classes, uncertainty)


def predict_slices(
    predictor: Predictor, pixels: NDArray[np.uint8], extents: Sequence[Extent] = ()
) -> tuple[Prediction, ...]:
    """What is said of slices (N, S, S, 3) RGB 0..255, fitted to `predictor.size`; N may be 0.

    One that shows nothing is no brain MRI, whatever the model, which has learned from none, says. `extents` are those
    of the slices' pictures, for the areas of lesions; without them the pictures are taken to fill their squares.
    """
    found = _predictions(predictor, observe(predictor.run, pixels, np.arange(len(pixels))), extents)
    return tuple(
        replace(each, not_brain_mri=True) if is_blank(slice_) else each
        for each, slice_ in zip(found, pixels, strict=True)
    )


def predict_scan(predictor: Predictor, pixels: NDArray[np.uint8], extents: Sequence[Extent] = ()) -> ScanPrediction:
    """What is said of a file whose slices (N, S, S, 3) are, N at least 1; `extents` as in `predict_slices`."""
    return _summarise(predict_slices(predictor, pixels, extents), predictor.classes)


def predict_scans(
    predictor: Predictor, scans: Sequence[NDArray[np.uint8]], extents: Sequence[Extent] = ()
) -> Iterator[ScanPrediction]:
    """`predict_scan` of one file after the other, in their order, where small ones share a batch; at least one file.

    `extents` are those of all slices of all files.
    """
    found = predict_slices(predictor, np.concatenate(scans), extents)
    yield from _summaries(found, map(len, scans), predictor.classes)


def without_lesions(
    predictor: Predictor, scans: Sequence[NDArray[np.uint8]], found: Sequence[ScanPrediction]
) -> Iterator[ScanPrediction]:
    """The answers `found` of files, with what is said of each slice, and volume, once what is marked is painted over.

    Nothing more is said of a slice in which nothing is marked, nor of a volume that no marked slice speaks for.
    """
    slices = [each for scan in found for each in scan.slices]
    lesions = {row: each.lesion for row, each in enumerate(slices) if each.lesion and each.lesion.area}
    bare = dict(enumerate(slices))
    if lesions:
        pixels = painted(np.concatenate(scans)[list(lesions)], list(lesions.values()))
        bare |= dict(zip(lesions, predict_slices(predictor, pixels), strict=True))
    counts = [len(scan.slices) for scan in found]
    start = 0
    for scan, other in zip(found, _summaries(tuple(bare.values()), counts, predictor.classes), strict=True):
        rows = range(start, start := start + len(scan.slices))
        own = tuple(replace(slices[row], without=bare[row] if row in lesions else None) for row in rows)
        decided = any(rows[index] in lesions for index in scan.decisive)
        volume = scan.volume and replace(scan.volume, without=other.volume if decided else None)
        yield replace(scan, slices=own, volume=volume)


def _summaries(slices: tuple[Prediction, ...], counts: Iterable[int], classes: ClassList) -> Iterator[ScanPrediction]:
    start = 0
    for count in counts:
        yield _summarise(slices[start : start + count], classes)
        start += count


def _predictions(predictor: Predictor, outputs: Outputs, extents: Sequence[Extent]) -> tuple[Prediction, ...]:
    found = _answers(predictor, outputs)
    if outputs.lesion_map is None:
        return found
    extents = extents or (Extent(predictor.size, predictor.size),) * len(found)
    return tuple(
        replace(each, lesion=lesion_of(values, predictor.size, extent))
        for each, values, extent in zip(found, outputs.lesion_map, extents, strict=True)
    )


def _answers(predictor: Predictor, outputs: Outputs) -> tuple[Prediction, ...]:
    rows = [dict(zip(predictor.classes.names, row.tolist(), strict=True)) for row in outputs.probabilities]
    if predictor.uncertainty is None:
        return tuple(Prediction(max(row, key=row.__getitem__), row, {}, None, None) for row in rows)
    answers = answers_of(predictor.uncertainty, outputs)
    return tuple(
        Prediction(answer.label, row, answer.sets, answer.not_sure, answer.not_brain_mri)
        for answer, row in zip(answers, rows, strict=True)
    )


def _summarise(slices: tuple[Prediction, ...], classes: ClassList) -> ScanPrediction:
    brains = [index for index, each in enumerate(slices) if not each.not_brain_mri]
    if len(slices) == 1 or not brains:
        return ScanPrediction(slices, None, ())
    decisive, healthy = brains, classes.healthy
    if healthy is not None:
        count = min(len(brains), max(VOLUME_LEAST, math.ceil(VOLUME_SHARE * len(brains))))
        decisive = sorted(sorted(brains, key=lambda index: slices[index].probabilities[healthy])[:count])
    mean = {name: float(np.mean([slices[index].probabilities[name] for index in decisive])) for name in classes.names}
    volume = Prediction(max(mean, key=mean.__getitem__), mean, {}, None, None)
    return ScanPrediction(slices, volume, tuple(decisive), volume_rule(classes))
