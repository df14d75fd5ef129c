"""Whether activation maps peak where the lesion is, beside what knowing nothing would score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Localisation:
    """The pointing game of Zhang et al. 2018 ("Top-down neural attention by excitation backprop")."""

    images: int
    hits: float  # share of images, 0..1, whose map peaks in the dilated mask
    centre_hits: float  # the same if every map peaked in the centre of the image
    covered: float  # mean share of the image, 0..1, that the dilated mask covers: what a random point would score


def peak_in_mask(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> Localisation:
    """Score the peaks of maps against masks, each dilated by half a cell of the map to every side.

    A map's peak is the pixel in the centre of its greatest cell (the first of equals, row by row), not of the
    upsampled map, whose resolution is only apparent. The dilation is by a box of the cell's size, so that a
    peak hits exactly if its cell touches the mask (where cells are whole pixels; else to within a pixel).
    A map without a value above 0 has no peak and misses.

    Args:
        maps: (N, h, w), N at least 1, no map finer than its mask.
        masks: (N, H, W), no mask empty.

    Raises:
        ValueError: the shapes do not fit, or a mask is empty.
    """
    from scipy.ndimage import maximum_filter

    if len(maps) != len(masks) or not len(maps) or maps.ndim != 3 or masks.ndim != 3:
        raise ValueError(f"maps {maps.shape} and masks {masks.shape} must be (N, h, w) and (N, H, W)")
    if not masks.any(axis=(1, 2)).all():
        raise ValueError("a mask is empty: score only images with a lesion")
    (rows, columns), (height, width) = maps.shape[1:], masks.shape[1:]
    # At the centre pixel of a cell this filter's window is that very cell, for even and odd cells alike.
    box = (1, round(height / rows), round(width / columns))
    dilated = maximum_filter(masks.astype(np.uint8), size=box, mode="constant") > 0
    row, column = np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), (rows, columns))
    y, x = (2 * row + 1) * height // (2 * rows), (2 * column + 1) * width // (2 * columns)
    hit = dilated[np.arange(len(maps)), y, x] & (maps.max(axis=(1, 2)) > 0)
    return Localisation(
        images=len(maps),
        hits=float(hit.mean()),
        centre_hits=float(dilated[:, height // 2, width // 2].mean()),
        covered=float(dilated.mean()),
    )
