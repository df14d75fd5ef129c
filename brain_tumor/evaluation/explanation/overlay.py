"""A map laid over its picture."""

import matplotlib
import numpy as np
from numpy.typing import NDArray

OPACITY = 0.65


def overlay(
    images: NDArray[np.uint8], maps: NDArray[np.float32], opacity: float | NDArray[np.float32] = OPACITY
) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) RGB under maps (N, H, W) in [0, 1], whose colour is inferno's.

    A map covers its picture by `opacity` where it is 1, and not at all where it is 0, so that what it does not point at
    is left as it was.
    """
    colours = matplotlib.colormaps["inferno"](maps)[..., :3] * 255
    weight = (maps * opacity)[..., None]
    return np.asarray(np.rint(images * (1 - weight) + colours * weight), np.uint8)
