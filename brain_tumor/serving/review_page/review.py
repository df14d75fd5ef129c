"""Files that somebody has dropped on the page, and what is said of them."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import CorruptImageError, letterbox
from brain_tumor.data.scans.dicom_scale import GrayScale
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.series import SeriesScales
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE
from brain_tumor.evaluation.explanation.maps import Maps, upsample
from brain_tumor.serving.lesions import Lesion, painted
from brain_tumor.serving.predictor import Prediction, ScanPrediction, predict_scan, predict_slices
from brain_tumor.serving.review_page import pictures
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.side_marks import marked

SLICES, SAMPLES, PIXEL_BYTES = 512, 2**26, 2**28  # of a file: slices, values decoded, bytes in a model's size
VALUE_BYTES = 4  # that a value of a volume takes, about
KEPT_MAPS = 64  # of a review
DECODERS = threading.Semaphore(2)  # a picture of a few kilobytes may take a quarter GiB while it is decoded


@dataclass(frozen=True, eq=False)
class Opened:
    """One file: what is said of it by each model, or why it was refused."""

    name: str  # as the user calls it; never a path, and to be escaped
    scan: Scan | None
    pixels: Mapping[int, NDArray[np.uint8]]  # size -> (1, size, size, 3), of a picture; a volume's are fitted anew
    answers: tuple[ScanPrediction, ...]  # a model each
    refused: str | None
    held: int = 0  # bytes of memory, about

    @property
    def slices(self) -> int:
        return self.scan.count if self.scan else 0

    @property
    def first(self) -> int:
        """The slice to begin with: of a volume, the first of those to look at, or else its middle."""
        volume = self.answers[0].volume if self.answers else None
        return volume.shown[0] if volume and volume.shown else max(0, self.slices - 1) // 2


@dataclass(frozen=True, eq=False)
class Review:
    """The files of one drop; maps are made when they are looked at, and some of them kept."""

    files: tuple[Opened, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)  # a scan gives its slices to one thread at a time
    _maps: "OrderedDict[tuple[int, int, int, str], Mapping[str, Maps]]" = field(default_factory=OrderedDict)
    _maps_lock: threading.Lock = field(default_factory=threading.Lock)  # never held for long

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        with self._maps_lock:
            maps = sum(values.nbytes for found in self._maps.values() for values in found.values())
        return maps + sum(file.held for file in self.files)

    def picture(self, file: int, index: int, least: int) -> Image.Image:
        """A slice as it is shown, with the patient's sides where the file says which they are."""
        scan = self.files[file].scan
        return marked(pictures.shown(self._picture(file, index), least), scan.plane_of(index) if scan else None)

    def map(self, file: int, index: int, models: Sequence[Shown], model: int, layer: str, method: str) -> Maps:
        """What speaks for the class that a model says of a slice; or the lesion map that came with its answer."""
        lesion = self.lesion(file, index, model)
        if method == EVIDENCE and lesion is not None:
            side = models[model].predictor.size
            return np.asarray(upsample(lesion.map[None], (side, side))[0])
        key = (file, index, model, layer)
        with self._maps_lock:
            found = self._maps.get(key)
        if found is None:
            asked = models[model]
            label = asked.predictor.classes.index(self.files[file].answers[model].slices[index].label)
            found = asked.explain(self._pixels(file, index, asked.predictor.size), label, layer)
            with self._maps_lock:
                self._maps[key] = found
                while len(self._maps) > KEPT_MAPS:
                    self._maps.popitem(last=False)
        return found[method]

    def lesion(self, file: int, index: int, model: int) -> Lesion | None:
        """What a model's lesion map marks in a slice; None where it draws none."""
        return self.files[file].answers[model].slices[index].lesion

    def without(
        self, file: int, index: int, models: Sequence[Shown], model: int
    ) -> tuple[NDArray[np.uint8], Prediction] | None:
        """A slice (S, S, 3) with all that a model marks painted over, and what it says then; None: it marks nothing.

        Nothing of that is kept.
        """
        lesion, predictor = self.lesion(file, index, model), models[model].predictor
        if lesion is None or not lesion.area:
            return None
        bare = painted(self._pixels(file, index, predictor.size)[None], [lesion])
        return bare[0], predict_slices(predictor, bare)[0]

    def _pixels(self, file: int, index: int, size: int) -> NDArray[np.uint8]:
        held = self.files[file].pixels.get(size)
        if held is not None:
            return np.asarray(held[index])
        return np.asarray(letterbox(self._picture(file, index), size, Image.Resampling.BILINEAR))

    def _picture(self, file: int, index: int) -> Image.Image:
        scan = self.files[file].scan
        assert scan is not None
        with self._lock:
            return scan.picture(index)


def limits(models: Sequence[Shown], file_bytes: int) -> Limits:
    """What a file may cost here: the slices in the models' sizes are held at once."""
    largest = max(model.predictor.size for model in models)
    return Limits(file_bytes, min(SLICES, PIXEL_BYTES // (3 * largest * largest)), SAMPLES)


def review(
    files: Sequence[tuple[str, bytes]], models: Sequence[Shown], allowed: Limits, plane: Plane = "auto"
) -> Review:
    """Ask each model for each file; a file that cannot be read is said to be so, and the others are answered."""
    # By their places: two files may be called alike
    scales = SeriesScales({str(place): partial(_head, content) for place, (_, content) in enumerate(files)}, allowed)
    return Review(
        tuple(
            _open(name, content, models, allowed, plane, partial(scales.of, str(place), content))
            for place, (name, content) in enumerate(files)
        )
    )


def _head(content: bytes, size: int) -> bytes:
    return content[:size]


def _open(
    name: str,
    content: bytes,
    models: Sequence[Shown],
    allowed: Limits,
    plane: Plane,
    scale: Callable[[], GrayScale | None],
) -> Opened:
    sizes = {model.predictor.size for model in models}
    try:
        with DECODERS:
            scan = open_scan(content, plane, allowed, scale())
            fitted = {size: scan.fitted(size) for size in sizes}
            pixels = {size: found for size, (found, _) in fitted.items()}
            width, height = scan.picture(0).size
            held = len(content) + VALUE_BYTES * scan.count * width * height + scan.held
            if scan.kind == "image":  # what is not shown of it is let go
                small = pictures.shown(scan.picture(0), max(sizes))
                scan = replace(scan, picture=lambda _: small)
                held = 3 * small.width * small.height + sum(each.nbytes for each in pixels.values())
    except CorruptImageError as error:
        return Opened(name, None, {}, (), str(error))
    answers = tuple(predict_scan(model.predictor, *fitted[model.predictor.size]) for model in models)
    held += sum(each.lesion.map.nbytes for answer in answers for each in answer.slices if each.lesion)
    return Opened(name, scan, pixels if scan.kind == "image" else {}, answers, None, held)
