"""Pictures that show next to nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLANK_CONTRAST = 16  # gray levels of 255: a picture whose 1st to 99th percentile span less shows next to nothing
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def contrast(pixels: NDArray[np.uint8]) -> float:
    """Gray levels between the 1st and the 99th percentile of a slice (S, S, 3) RGB, fitted into its square.

    Black bars at its sides, which may be the square's, count once and then not: the smaller of the two is given, so
    that neither a white picture between bars nor a single bright spot in the dark has any.
    """
    gray = np.rint(pixels @ np.array(_LUMA))
    rows, columns = (np.flatnonzero((gray > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0
    inner = gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return min(span(gray), span(inner))


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Whether a slice (S, S, 3) has less than BLANK_CONTRAST."""
    return contrast(pixels) < BLANK_CONTRAST


def span(gray: NDArray[Any]) -> float:
    """Gray levels between the 1st and the 99th percentile."""
    low, high = np.percentile(gray, (1, 99))
    return float(high - low)
