"""What a lesion map marks in an image: where it is 0.5 and more, at the image's own resolution."""

import numpy as np
from numpy.typing import NDArray

from brain_tumor.evaluation.explanation.localisation import LESION_FROM, Masks
from brain_tumor.evaluation.explanation.maps import Maps, upsample
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

COLOUR = (57, 255, 20)  # of an outline: none of inferno's, nor of a radiologist's mask in the figures


def marked(maps: Maps, side: int) -> Masks:
    """What maps (N, h, w) mark in images (N, side, side, 3)."""
    return np.asarray(upsample(maps, (side, side)) >= LESION_FROM)


def outline(masks: Masks, width: int = 1) -> Masks:
    """A line of `width` pixels around each mask (N, H, W), outside it, so that what is marked stays in sight."""
    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], np.bool_)
    return np.asarray(scipy.ndimage.binary_dilation(masks, cross, iterations=width) & ~masks)


def outlined(images: NDArray[np.uint8], masks: Masks) -> NDArray[np.uint8]:
    """Copies of images (N, H, W, 3) with the `outline` of each mask (N, H, W)."""
    return np.where(outline(masks)[..., None], np.array(COLOUR, np.uint8), images)
