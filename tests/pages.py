"""A stand-in for a model, whose answers and maps are known."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.explanation.gradcam import METHODS
from brain_tumor.evaluation.prediction import Answers

SIZE = 8


def run(images: NDArray[np.uint8]) -> Answers:
    """The mean of red, of 100, is the probability of glioma, notumor has the rest; that of green is the distance."""
    glioma = np.minimum(images[..., 0].mean(axis=(1, 2)) / 100, 1).astype(np.float32)
    probabilities = np.zeros((len(images), 4), np.float32)
    probabilities[:, STANDARD.names.index("glioma")], probabilities[:, STANDARD.names.index("notumor")] = (
        glioma,
        1 - glioma,
    )
    return Answers(probabilities, np.log(probabilities + 1e-9), images[..., 1].mean(axis=(1, 2))[:, None])


def explain(pixels: NDArray[np.uint8], label: int, layer: str) -> Mapping[str, NDArray[np.float32]]:
    """A corner, of another height for each method; nothing at the layer `blind`."""
    found = {}
    for height, method in enumerate(METHODS, start=1):
        found[method] = np.zeros(pixels.shape[:2], np.float32)
        found[method][:height, 0] = layer != "blind"
    return found


def flat(red: int, green: int = 0, side: int = 20) -> Image.Image:
    """A picture of one red and one green, with a ramp in blue, so that there is something to see."""
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[...] = red, green, 0
    pixels[..., 2] = np.linspace(0, 255, side)
    return Image.fromarray(pixels)


def drawn(images: NDArray[np.uint8]) -> Answers:
    """As `run`, with a map: the red of each pixel, of 255."""
    return run(images)._replace(lesion_map=images[..., :1].astype(np.float32) / 255)


def spotted() -> Image.Image:
    """A picture of a red of 10, with a spot of four by three pixels that are as red as can be."""
    pixels = np.array(flat(10, side=SIZE))
    pixels[2:6, 3:6, 0] = 255
    return Image.fromarray(pixels)


WHOLE = (10, 16, 16, 1)  # what the stand-in for a model of whole volumes takes


def run_whole(volumes: NDArray[np.uint8]) -> Answers:
    """Glioma is as probable as a volume has something white in it, of ten voxels; notumor has the rest."""
    glioma = np.minimum((volumes == 255).sum(axis=(1, 2, 3, 4)) / 10, 1).astype(np.float32)
    probabilities = np.zeros((len(volumes), 4), np.float32)
    probabilities[:, STANDARD.names.index("glioma")] = glioma
    probabilities[:, STANDARD.names.index("notumor")] = 1 - glioma
    return Answers(probabilities, np.log(probabilities + 1e-9), np.zeros((len(volumes), 1), np.float32))


def explain_whole(volume: NDArray[np.uint8], label: int, layer: str) -> Mapping[str, NDArray[np.float32]]:
    """The brightest of the volume (D, H, W, 1); nothing at the layer `blind`."""
    bright = volume[..., 0].astype(np.float32)
    return dict.fromkeys(METHODS, (bright == bright.max()) * np.float32(layer != "blind"))


def weighed(volume: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A slice of (1, D, H, W, 1) counts as much as it has white voxels."""
    white = (volume == 255).sum(axis=(0, 2, 3, 4)).astype(np.float32)
    return white / white.sum()
