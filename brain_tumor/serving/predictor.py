"""What is said of a scan: the one function behind the command line, the web page and the server.

A model's probabilities are calibrated as it computes them: `evaluation.uncertainty.calibration.fold_in` has changed its
weights after training.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.blank import is_blank
from brain_tumor.data.classes import ClassList
from brain_tumor.data.scans.scan import Extent, Plane
from brain_tumor.evaluation.prediction import Outputs, Runtime, answering, observe, observing
from brain_tumor.evaluation.uncertainty.fitting import Answer, Uncertainty, answer_of_volume, answers_of
from brain_tumor.serving.lesions import Lesion, lesion_of, painted

UNFITTED = "no answer for a whole volume has been fitted: each of its slices is answered by itself"
NO_BRAIN = "none of its slices passes as brain MRI"


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
    """What is said of one slice, or of a volume as a whole."""

    label: str
    probabilities: Mapping[str, float]  # class -> calibrated probability, in the order of the outputs
    # Where the model has no fitted uncertainty: no sets, and None.
    sets: Mapping[float, tuple[str, ...]]  # level -> the classes, `label` one, that hold the true one so often
    not_sure: bool | None  # the confidence is too low to answer
    not_brain_mri: bool | None  # too far from what was trained on
    lesion: Lesion | None = None  # by a model that draws a lesion map
    without: "Prediction | None" = None  # what is said once all that is marked is painted over, where that was asked


@dataclass(frozen=True)
class VolumeCounts:
    """What the slices of a volume say, counted, and what they come to where that was fitted."""

    slices: int
    brains: int  # of them, that pass as brain MRI
    not_brain_mri: bool | None  # most of them do not; None: no more is known than that some show something
    shares: Mapping[str, float]  # class -> share of those that pass which is answered so; {} where none passes
    shown: tuple[int, ...]  # of those that pass: the most marked one, and for each class where it is most probable
    without: "VolumeCounts | None" = None  # once what is marked is painted over, where that was asked
    answer: Prediction | None = None  # for the whole; None: see `silence`

    @property
    def silence(self) -> str:
        """Why there is no answer for the whole; "" where there is one."""
        return "" if self.answer else UNFITTED if self.brains else NO_BRAIN


@dataclass(frozen=True)
class ScanPrediction:
    """What is said of a file."""

    slices: tuple[Prediction, ...]
    volume: VolumeCounts | None = None  # of several slices


def keras_predictor(model: Any, uri: str, classes: ClassList, uncertainty: Uncertainty | None) -> Predictor:
    """A Keras classifier that answers by itself; one thread at a time may ask it (see `batching.batched`)."""
    return Predictor(uri, answering(observing(model)), int(model.input_shape[1]), classes, uncertainty)


def for_plane(predictor: Predictor, plane: Plane) -> Predictor:
    """The same for volumes that are cut in `plane`: no answer for a whole was fitted where that is not their own."""
    if plane == "auto" or predictor.uncertainty is None:
        return predictor
    return replace(predictor, uncertainty=replace(predictor.uncertainty, volumes=None))


def predict_slices(
    predictor: Predictor, pixels: NDArray[np.uint8], extents: Sequence[Extent] = ()
) -> tuple[Prediction, ...]:
    """What is said of slices (N, S, S, 3) RGB 0..255, fitted to `predictor.size`; N may be 0.

    One that shows nothing is no brain MRI, whatever the model, which has learned from none, says. `extents` are those
    of the slices' pictures, for the areas of lesions; without them the pictures are taken to fill their squares.

    For a model of whole volumes these are (N, D, H, W, C), and none is blank, which reading it refuses.
    """
    found = _predictions(predictor, observe(predictor.run, pixels, np.arange(len(pixels))), extents)
    if pixels.ndim == 5:
        return found
    return tuple(
        replace(each, not_brain_mri=True) if is_blank(slice_) else each
        for each, slice_ in zip(found, pixels, strict=True)
    )


def predict_scan(predictor: Predictor, pixels: NDArray[np.uint8], extents: Sequence[Extent] = ()) -> ScanPrediction:
    """What is said of a file whose slices (N, S, S, 3) are, N at least 1; `extents` as in `predict_slices`."""
    return _summarise(predict_slices(predictor, pixels, extents), predictor)


def predict_scans(
    predictor: Predictor, scans: Sequence[NDArray[np.uint8]], extents: Sequence[Extent] = ()
) -> Iterator[ScanPrediction]:
    """`predict_scan` of one file after the other, in their order, where small ones share a batch; at least one file.

    `extents` are those of all slices of all files.
    """
    found = predict_slices(predictor, np.concatenate(scans), extents)
    yield from _summaries(found, map(len, scans), predictor)


def without_lesions(
    predictor: Predictor, scans: Sequence[NDArray[np.uint8]], found: Sequence[ScanPrediction]
) -> Iterator[ScanPrediction]:
    """The answers `found` of files, with what is said of each slice, and volume, once what is marked is painted over.

    Nothing more is said of a slice in which nothing is marked, nor of a volume in which that is so of all that pass as
    brain MRI.
    """
    slices = [each for scan in found for each in scan.slices]
    lesions = {row: each.lesion for row, each in enumerate(slices) if each.lesion and each.lesion.area}
    bare = dict(enumerate(slices))
    if lesions:
        pixels = painted(np.concatenate(scans)[list(lesions)], list(lesions.values()))
        bare |= dict(zip(lesions, predict_slices(predictor, pixels), strict=True))
    counts = [len(scan.slices) for scan in found]
    start = 0
    for scan, other in zip(found, _summaries(tuple(bare.values()), counts, predictor), strict=True):
        rows = range(start, start := start + len(scan.slices))
        own = tuple(replace(slices[row], without=bare[row] if row in lesions else None) for row in rows)
        counted = any(each.without and not each.not_brain_mri for each in own)
        volume = scan.volume and replace(scan.volume, without=other.volume if counted else None)
        yield replace(scan, slices=own, volume=volume)


def _summaries(slices: tuple[Prediction, ...], counts: Iterable[int], predictor: Predictor) -> Iterator[ScanPrediction]:
    start = 0
    for count in counts:
        yield _summarise(slices[start : start + count], predictor)
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
    return tuple(_prediction(answer, row) for answer, row in zip(answers, rows, strict=True))


def _prediction(answer: Answer, probabilities: Mapping[str, float]) -> Prediction:
    return Prediction(answer.label, probabilities, answer.sets, answer.not_sure, answer.not_brain_mri)


def brain_slices(slices: Sequence[Prediction]) -> list[int]:
    """Those that pass as brain MRI, by which a volume is answered."""
    return [index for index, each in enumerate(slices) if not each.not_brain_mri]


def _summarise(slices: tuple[Prediction, ...], predictor: Predictor) -> ScanPrediction:
    if len(slices) == 1:
        return ScanPrediction(slices)
    classes, brains = predictor.classes, brain_slices(slices)
    counts = Counter(slices[index].label for index in brains)
    shares = {name: counts[name] / len(brains) for name in classes.names} if brains else {}
    known = all(each.not_brain_mri is not None for each in slices)
    other = True if 2 * len(brains) < len(slices) else False if known else None
    shown, answer = _shown(slices, brains, classes), _whole([slices[index] for index in brains], predictor, other)
    return ScanPrediction(slices, VolumeCounts(len(slices), len(brains), other, shares, shown, answer=answer))


def _whole(brains: Sequence[Prediction], predictor: Predictor, other: bool | None) -> Prediction | None:
    """The answer for a volume by its slices that pass; None where there is none."""
    if predictor.uncertainty is None:
        return None
    rows = np.array([list(each.probabilities.values()) for each in brains])
    found = answer_of_volume(predictor.uncertainty, rows, not_brain_mri=bool(other))
    if found is None:
        return None
    answer, probabilities = found
    return _prediction(answer, dict(zip(predictor.classes.names, probabilities.tolist(), strict=True)))


def _shown(slices: Sequence[Prediction], brains: Sequence[int], classes: ClassList) -> tuple[int, ...]:
    """Those to look at: the most marked slice, then the surest of each class that is answered, the healthy one last."""
    surest: dict[str, int] = {}
    for index in sorted(brains, key=lambda index: -slices[index].probabilities[slices[index].label]):
        surest.setdefault(slices[index].label, index)
    marked = {index: lesion.area for index in brains if (lesion := slices[index].lesion) and lesion.area}
    first = [max(marked, key=marked.__getitem__)] if marked else []
    return tuple(
        dict.fromkeys([*first, *sorted(surest.values(), key=lambda each: slices[each].label == classes.healthy)])
    )
