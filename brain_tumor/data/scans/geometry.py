"""Where a slice lies in the patient, and pixels that are as wide as high."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.levels import PICTURE_PIXELS

PLANES = ("sagittal", "coronal", "axial")  # perpendicular to the patient's axis 0 (left), 1 (front) and 2 (head)
STRETCH = 32.0  # the most that a pixel may be longer than wide
# Which of the patient's axes runs to the right of a shown slice, and which way along it; and which runs down. In
# DICOM's axes: 0 to the left, 1 to the back, 2 to the head (PS3.3, C.7.6.2.1.1).
_SHOWN = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}
# Left, right, top and bottom of a slice so shown: right, left, anterior, posterior, superior and inferior
SIDES = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"), "sagittal": ("A", "P", "S", "I")}
_TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}


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


def orientation_of(letters: Sequence[str]) -> tuple[float, ...]:
    """The direction cosines that Patient Orientation comes near to (DICOM PS3.3, C.7.6.1.1.1); () where it is none.

    Args:
        letters: of a row's direction and of a column's, the main one first: "L", "PH".
    """
    ways = [_TOWARDS.get(each[:1]) for each in letters]
    if len(ways) != 2 or ways[0] is None or ways[1] is None or ways[0][0] == ways[1][0]:
        return ()
    found = [0.0] * 6
    for place, way in enumerate(ways):
        assert way is not None
        found[3 * place + way[0]] = float(way[1])
    return tuple(found)


def turned(picture: Image.Image, orientation: Sequence[float]) -> Image.Image:
    """The picture as radiologists look at it: flipped and transposed, by the axes of the patient nearest to its sides.

    Axial and coronal slices have the patient's right on the left, sagittal ones the front; axial ones have the front
    above, the others the head. As it is, where the orientation says nothing.

    Args:
        picture: a slice as it is stored.
        orientation: as of `plane_of`.
    """
    plane = plane_of(orientation)
    if plane is None:
        return picture
    (across, right), (along, down) = _SHOWN[plane]
    row, column = orientation[:3], orientation[3:]
    if abs(row[across] * column[along]) < abs(row[along] * column[across]):
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
        row, column = column, row
    if row[across] * right < 0:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if column[along] * down < 0:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return picture


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
