"""What is compared of two images: local contrast, in the whole frame and in the head's own, in eight orientations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

cv2 = lazy("cv2")

Image = NDArray[np.uint8]

SIDE = 96  # pixels of the pictures that confirm a pair
_SIGMA = 4.5 / 96  # of the neighbourhood whose mean and deviation are taken away, as a share of the side
_FLOOR = 8.0  # gray levels: contrast below it is taken for noise
_RANGE = 4.0  # standard deviations that 0..255 spans
BLANK = 2.0  # gray levels: an image of a smaller standard deviation shows nothing

# Every way to turn or mirror a square, (H, W) -> (H, W).
ORIENTATIONS: Mapping[str, Callable[[Image], Image]] = MappingProxyType(
    {
        "same": lambda image: image,
        "mirrored left-right": lambda image: image[:, ::-1],
        "mirrored top-bottom": lambda image: image[::-1],
        "turned by 180": lambda image: image[::-1, ::-1],
        "turned by 90": lambda image: image.T[::-1],
        "turned by 270": lambda image: image.T[:, ::-1],
        "mirrored diagonally": lambda image: image.T,
        "mirrored anti-diagonally": lambda image: image[::-1, ::-1].T,
    }
)


def kind_of(orientation: str) -> str:
    """ "same", "mirrored" or "turned"."""
    return orientation.split()[0]


def inverse(orientation: str) -> str:
    """The orientation that undoes this one: itself, but for quarter turns."""
    return {"turned by 90": "turned by 270", "turned by 270": "turned by 90"}.get(orientation, orientation)


def views(pixels: Image) -> NDArray[np.uint8] | None:
    """The two pictures of an image that are compared with those of others; None of a blank one.

    Args:
        pixels: (S, S, 3) RGB 0..255.

    Returns:
        uint8 (2, SIDE, SIDE): the whole frame, and the head alone, which does away with margins and scale. Each is
        normalised by local mean and deviation, as windows differ; 128 is the mean, 32 a standard deviation.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if float(gray.std()) < BLANK:
        return None
    return np.stack([_normalised(gray), _normalised(_head(gray))])


def _head(gray: Image) -> Image:
    """The box around what is brighter than a tenth of the brightest, in rows and columns that hold 2 % of it."""
    smooth = cv2.GaussianBlur(gray, (0, 0), 1.5)
    bright = smooth > max(8.0, 0.1 * float(np.percentile(smooth, 99)))
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > 0.02) for axis in (1, 0))
    least = gray.shape[0] // 10
    if len(rows) < least or len(columns) < least:
        return gray
    return gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _normalised(gray: Image) -> Image:
    """(H, W) -> (SIDE, SIDE): Jarrett et al. 2009 ("What is the best multi-stage architecture …"), section 2."""
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    mean = cv2.GaussianBlur(small, (0, 0), _SIGMA * SIDE)
    variance = cv2.GaussianBlur(small * small, (0, 0), _SIGMA * SIDE) - mean * mean
    values = (small - mean) / np.sqrt(np.maximum(variance, 0) + _FLOOR**2)
    return np.asarray(np.clip(values * (128 / _RANGE) + 128, 0, 255), np.uint8)
