"""What people look at of the files of one drop: slices, planes, and maps, which are made when they are asked for."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import fitted_size, letterbox
from brain_tumor.data.scans.cuts import Point
from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE
from brain_tumor.evaluation.explanation.maps import Maps, upsample
from brain_tumor.evaluation.planes import peaks
from brain_tumor.serving.lesions import Lesion, painted
from brain_tumor.serving.predictor import Prediction, predict_slices
from brain_tumor.serving.review_page import pictures
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import Opened
from brain_tumor.serving.side_marks import marked

KEPT_BYTES = 2**26  # of a review's maps


def _token() -> str:
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, eq=False)
class Review:
    """The files of one drop; maps are made when they are looked at, and some of them kept."""

    files: tuple[Opened, ...]
    token: str = field(default_factory=_token)  # by which its pictures are asked for
    _lock: threading.Lock = field(default_factory=threading.Lock)  # a scan gives its slices to one thread at a time
    _maps: "OrderedDict[tuple[int, int, int, str], Mapping[str, Maps]]" = field(default_factory=OrderedDict)
    _maps_lock: threading.Lock = field(default_factory=threading.Lock)  # never held for long
    _making: threading.Lock = field(default_factory=threading.Lock)  # three planes ask for one map at the same time

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return self._maps_size() + sum(file.held for file in self.files)

    def picture(self, file: int, index: int, least: int) -> Image.Image:
        """A slice as it is shown, with the patient's sides where the file says which they are."""
        scan = self.files[file].scan
        return marked(pictures.shown(self._picture(file, index), least), scan.plane_of(index) if scan else None)

    def map(self, file: int, index: int, models: Sequence[Shown], model: int, layer: str, method: str) -> Maps:
        """What speaks for the class that a model says of a slice; or the lesion map that came with its answer.

        Of a volume that is answered whole (D, H, W).
        """
        lesion = self.lesion(file, index, model)
        if method == EVIDENCE and lesion is not None:
            side = models[model].predictor.size
            return np.asarray(upsample(lesion.map[None], (side, side))[0])
        key = (file, index, model, layer)
        with self._making:
            with self._maps_lock:
                found = self._maps.get(key)
            if found is None:
                asked = models[model]
                label = asked.predictor.classes.index(self.files[file].answers[model].slices[index].label)
                found = asked.explain(self._taken(file, index, models, model), label, layer)
                with self._maps_lock:
                    self._maps[key] = found
                while len(self._maps) > 1 and self._maps_size() > KEPT_BYTES:
                    with self._maps_lock:
                        self._maps.popitem(last=False)
        return found[method]

    def over(
        self, file: int, plane: str, index: int, models: Sequence[Shown], model: int, layer: str, method: str
    ) -> tuple[NDArray[np.float32] | None, Point | None]:
        """The map over a slice of one of the three planes, None where there is none; and where a whole one is greatest.

        It has the picture's own rows and columns.
        """
        opened = self.files[file]
        assert opened.cuts is not None
        if opened.fitted:
            values = self.map(file, 0, models, model, layer, method)
            peak = opened.place(model, peaks(values[None])[0].tolist()) if values.any() else None
            return opened.cuts.over(plane, index, values, opened.fitted[model].grid), peak
        if PLANES.index(plane) != opened.axis:
            return None, None
        values = self.map(file, index, models, model, layer, method)
        width, height = self._picture(file, index).size
        side = len(values)
        across, down = fitted_size(width, height, side)
        left, top = (side - across) // 2, (side - down) // 2  # as `letterbox` pastes it
        return np.asarray(upsample(values[None, top : top + down, left : left + across], (height, width))[0]), None

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
        bare = painted(self._taken(file, index, models, model)[None], [lesion])
        return bare[0], predict_slices(predictor, bare)[0]

    def _maps_size(self) -> int:
        with self._maps_lock:
            return sum(values.nbytes for found in self._maps.values() for values in found.values())

    def _taken(self, file: int, index: int, models: Sequence[Shown], model: int) -> NDArray[np.uint8]:
        """What a model sees of a slice (S, S, 3), or of a whole volume (D, H, W, C)."""
        opened, size = self.files[file], models[model].predictor.size
        if opened.fitted:
            return np.asarray(opened.fitted[model].grays[0])
        held = opened.pixels.get(size)
        if held is not None:
            return np.asarray(held[index])
        return np.asarray(letterbox(self._picture(file, index), size, Image.Resampling.BILINEAR))

    def _picture(self, file: int, index: int) -> Image.Image:
        scan = self.files[file].scan
        assert scan is not None
        with self._lock:
            return scan.picture(index)
