"""Where a slice lies in the patient, and pixels that are as wide as high."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.levels import PICTURE_PIXELS

PLANES = ("sagittal", "coronal", "axial")  # perpendicular to the patient's axis 0 (left), 1 (front) and 2 (head)
STRETCH = 32.0  # the most that a pixel may be longer than wide


def plane_of(orientation: Sequence[float]) -> str | None:
    """The plane nearest to a slice whose rows and columns run along `orientation`; None where it says nothing.

    Args:
        orientation: the direction cosines of a row, then those of a column, in the patient's axes
            (DICOM PS3.3, C.7.6.2.1.1, Image Orientation (Patient)).
    """
    if len(orientation) != 6 or not all(math.isfinite(each) and abs(each) <= 2 for each in orientation):
        return None
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return PLANES[int(normal.argmax())] if normal.max() > 0.5 else None


def square_pixels(picture: Image.Image, height: float, width: float) -> Image.Image:
    """The picture with pixels as wide as high: stretched, bilinearly, along the side where they are longer.

    Args:
        picture: of any mode that Pillow resizes.
        height: of one of its pixels, in any unit.
        width: of one of its pixels, in the same unit.

    Raises:
        CorruptImageError: the two are no lengths, or the picture would be stretched beyond what is read.
    """
    ratio = height / width if min(height, width) > 0 else 0.0
    if not 1 / STRETCH <= ratio <= STRETCH:
        raise CorruptImageError("the distances between its pixels cannot be true")
    size = (max(picture.width, round(picture.width / ratio)), max(picture.height, round(picture.height * ratio)))
    if size == picture.size:
        return picture
    if size[0] * size[1] > PICTURE_PIXELS:
        raise CorruptImageError(f"too large: with square pixels it is over the limit of {PICTURE_PIXELS:,} pixels")
    return picture.resize(size, Image.Resampling.BILINEAR)
