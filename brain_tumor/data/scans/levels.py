"""Scales values of any type to 8 bits, block by block, so that large files are not copied in real numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICTURE_PIXELS = 2**25  # of a slice; a mammogram has 2**24, and no magnetic resonance image comes near it
BAND = 2**21  # values that are worked on at once

DARKEST, BRIGHTEST = 0.1, 99.5  # percentiles of the values that are black and white

Reals = NDArray[np.float64]


def bands(values: NDArray[Any]) -> Iterator[Reals]:
    """The values, flat, a part at a time."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, BAND):
        yield flat[start : start + BAND].astype(np.float64)


def levels(values: NDArray[Any], shown: Callable[[Reals], Reals]) -> NDArray[np.uint8]:
    """Levels, of the values' shape: what `shown` gives for them, rounded, within 0..255; NaN is 0."""
    out = np.empty(values.size, np.uint8)
    start = 0
    for band in bands(values):
        with np.errstate(all="ignore"):
            level = np.nan_to_num(shown(band), nan=0.0, posinf=255.0, neginf=0.0)
        out[start : start + band.size] = np.rint(np.clip(level, 0, 255))
        start += band.size
    return out.reshape(values.shape)


def robust_range(values: NDArray[Any], falling: bool = False) -> tuple[float, float]:
    """The values of black and of white: percentiles, so that a few hot pixels, or holes, do not set them.

    Args:
        values: finite, of any shape; of none, both are 0.
        falling: the smallest value is white.
    """
    if not values.size:
        return 0.0, 0.0
    dark, bright = (100 - DARKEST, 100 - BRIGHTEST) if falling else (DARKEST, BRIGHTEST)
    flat = values.reshape(-1)
    # Outwards to values that are there: of a few values, these are the least and the largest
    black = float(np.percentile(flat, dark, method="higher" if falling else "lower"))
    white = float(np.percentile(flat, bright, method="lower" if falling else "higher"))
    if black == white:  # nearly empty, such as masks: the few other values are all that there is to see
        white = float(flat.min() if falling else flat.max())
    return black, white


def stretched(values: Reals, black: float, white: float) -> Reals:
    """From `black` (0) linearly to `white` (255), which may be the smaller value; 0 where they are equal."""
    if black == white:
        return np.zeros_like(values)
    # Halved, because the distance between two finite numbers may be none.
    scaled: Reals = (values / 2 - black / 2) / (white / 2 - black / 2) * 255
    return scaled
