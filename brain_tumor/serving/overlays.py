"""Pictures with the map of their class laid over them, a file a slice."""

import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brain_tumor.config.commands import MapsConfig
from brain_tumor.data.classes import ClassList
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation import kinds
from brain_tumor.evaluation.explanation.gradcam import Kind
from brain_tumor.evaluation.explanation.maps import check_layer, mapper
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.serving.answer_lines import printable
from brain_tumor.serving.files import Read
from brain_tumor.serving.inputs import MAPS_MARK
from brain_tumor.serving.predictor import ScanPrediction
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

    Of a volume only the slices that speak for it are drawn. Where the file says how it lies, letters say which side is
    which. A name that cannot be had there, being too long or
    another's folder, is replaced by its digest. Raises InputError where nothing can be written.
    """
    explain = mapper(model, [kind], views)
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
            images = file.pixels[chosen]
            classes = np.array([names.index(found.slices[index].label) for index in chosen])
            for index, drawn in zip(chosen, overlay(images, explain(images, classes)[0]), strict=True):
                picture = marked(Image.fromarray(drawn), file.planes[index] if file.planes else None)
                _save(picture, folder, file.name, f".slices/{index:04d}.png" if several else ".png")

    return write


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
