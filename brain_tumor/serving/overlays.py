"""Pictures with the map of their class laid over them, a file a slice."""

import errno
import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.config.commands import MapsConfig
from brain_tumor.data.classes import ClassList
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation import kinds
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, Kind
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.explanation.maps import Maps, check_layer, mapper, upsample
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.evaluation.explanation.region import outlined
from brain_tumor.serving.answer_lines import printable
from brain_tumor.serving.files import Read
from brain_tumor.serving.inputs import MAPS_MARK
from brain_tumor.serving.predictor import Prediction, ScanPrediction
from brain_tumor.serving.side_marks import marked

BATCH = 16
_UNUSABLE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def kind_of(config: MapsConfig, model: Any, backbone: str) -> Kind:
    """Method and layer that are configured; InputError if the model has no such map."""
    try:
        kind = kinds.kind_of(config, model, backbone)
        check_layer(model, kind[1])
    except InputError as error:
        raise InputError(str(error).replace("explain.", "maps.")) from error
    return kind


def overlay_writer(
    model: Any, kind: Kind, views: int, folder: Path, names: ClassList
) -> Callable[[Read, ScanPrediction], None]:
    """Function that writes the overlays of a file into `folder`: NAME.png; of a volume NAME.slices/SLICE.png.

    Of a volume only the slices that speak for it are drawn. A lesion map is the answer's own, and what it marks has an
    outline. Where the file says how it lies, letters say which side is which. A name that cannot be had there, being
    too long or another's folder, is replaced by its digest. Raises InputError where nothing can be written.
    """
    draw = _drawer(model, kind, views, names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAPS_MARK).touch()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error

    def write(file: Read, found: ScanPrediction) -> None:
        assert file.pixels is not None
        several = len(found.slices) > 1
        shown = found.decisive if several else (0,)
        for start in range(0, len(shown), BATCH):
            chosen = list(shown[start : start + BATCH])
            pictures = draw(file.pixels[chosen], [found.slices[index] for index in chosen])
            for index, drawn in zip(chosen, pictures, strict=True):
                picture = marked(Image.fromarray(drawn), file.planes[index] if file.planes else None)
                _save(picture, folder, file.name, f".slices/{index:04d}.png" if several else ".png")

    return write


def _drawer(
    model: Any, kind: Kind, views: int, names: ClassList
) -> Callable[[NDArray[np.uint8], Sequence[Prediction]], NDArray[np.uint8]]:
    """Function of slices (N, S, S, 3) and what is said of them that lays their maps over them."""
    if kind[0] == EVIDENCE:

        def own(images: NDArray[np.uint8], said: Sequence[Prediction]) -> NDArray[np.uint8]:
            small: Maps = np.stack([each.lesion.map for each in said if each.lesion])
            maps = upsample(small, (images.shape[1], images.shape[2]))
            return outlined(overlay(images, maps), maps >= LESION_FROM)

        return own
    explain = mapper(model, [kind], views)

    def of_class(images: NDArray[np.uint8], said: Sequence[Prediction]) -> NDArray[np.uint8]:
        return overlay(images, explain(images, np.array([names.index(each.label) for each in said]))[0])

    return of_class


def _save(picture: Image.Image, folder: Path, name: str, suffix: str) -> None:
    try:
        try:
            _write(picture, folder / f"{name}{suffix}")
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise
            digest = hashlib.sha256(os.fsencode(name)).hexdigest()
            _write(picture, folder / f"{digest}{suffix}")
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the map of {printable(name)} cannot be written to {folder}: {reason}") from error


def _write(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")  # as short as may be
    try:
        picture.save(temporary, "PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
