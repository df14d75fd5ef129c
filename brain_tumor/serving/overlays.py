"""Pictures with the map of their class laid over them, a file a slice."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brain_tumor import CLASSES
from brain_tumor.command_config import MapsConfig
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import Kind
from brain_tumor.evaluation.explanation.maps import check_layer, mapper
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.models.registry import get_backbone
from brain_tumor.serving.files import Read
from brain_tumor.serving.predictor import ScanPrediction

BATCH = 16


def kind_of(config: MapsConfig, model: Any, backbone: str) -> Kind:
    """Method and layer that are configured; InputError if the model has no such layer."""
    layer = config.layer or get_backbone(backbone).cam_layer
    check_layer(model, layer)
    return config.method, layer


def overlay_writer(model: Any, kind: Kind, views: int, folder: Path) -> Callable[[Read, ScanPrediction], None]:
    """Function that writes the overlays of a file into `folder`: NAME.png; of a volume NAME/SLICE.png.

    Of a volume only the slices that speak for it are drawn. Raises InputError where nothing can be written.
    """
    explain = mapper(model, [kind], views)

    def write(file: Read, found: ScanPrediction) -> None:
        assert file.pixels is not None
        several = len(found.slices) > 1
        shown = found.decisive if several else (0,)
        for start in range(0, len(shown), BATCH):
            chosen = list(shown[start : start + BATCH])
            images = file.pixels[chosen]
            classes = np.array([CLASSES.index(found.slices[index].label) for index in chosen])
            for index, picture in zip(chosen, overlay(images, explain(images, classes)[0]), strict=True):
                _save(picture, folder / file.name / f"{index:04d}.png" if several else folder / f"{file.name}.png")

    return write


def _save(picture: Any, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(temporary, "PNG")
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
