"""What a file holds for a classifier of slices, whatever its format: one picture, or the slices of a volume."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.blank import BLANK_CONTRAST, contrast
from brain_tumor.data.decode import CorruptImageError, letterbox

Plane = Literal["auto", "axial", "coronal", "sagittal"]  # auto: the one with the largest distance between slices


@dataclass(frozen=True)
class Limits:
    """What a file may cost; over one of them it is refused before it is read whole."""

    file_bytes: int = 512 * 2**20
    slices: int = 1024
    samples: int = 2**28  # values of all slices, decoded


@dataclass(frozen=True)
class Extent:
    """How large a slice's picture is."""

    width: int  # pixels, as wide as high
    height: int
    pixel_mm: float | None = None  # a pixel's side, where the file says it


@dataclass(frozen=True)
class Place:
    """Where a slice comes from."""

    plane: str | None  # see `Scan.plane_of`
    position_mm: float | None = None  # along its normal, towards the patient's right, front or head; None: unknown
    file: str = ""  # of several that are one volume; "" where there is but one


@dataclass(frozen=True, eq=False)
class Scan:
    """The slices of one file, or of a series of files."""

    kind: Literal["image", "dicom", "nifti", "nrrd", "metaimage"]
    count: int  # slices
    plane: str | None  # axial, coronal or sagittal, where the file says so of all its slices
    picture: Callable[[int], Image.Image]  # of each slice, mode RGB, pixels square, in its own size
    held: int = 0  # bytes of memory, about, besides the file's own and the pixels
    remarks: tuple[str, ...] = ()  # what whoever reads the answer should know of the file; never the file's own text
    planes: tuple[str | None, ...] = ()  # of each slice, where they differ
    pixel_mm: tuple[float | None, ...] = ()  # of each slice, the side of a picture's pixel; empty: nobody knows
    positions: tuple[float | None, ...] = ()  # of each slice, see `Place`; empty: nobody knows
    files: tuple[str, ...] = ()  # of each slice, where they are several

    def plane_of(self, index: int) -> str | None:
        """The plane of a slice, where the file says so: then the slice is shown as radiologists look at it."""
        return self.planes[index] if self.planes else self.plane

    def place_of(self, index: int) -> Place:
        position = self.positions[index] if self.positions else None
        return Place(self.plane_of(index), position, self.files[index] if self.files else "")

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """The slices of `fitted` alone."""
        return self.fitted(size)[0]

    def fitted(self, size: int) -> tuple[NDArray[np.uint8], tuple[Extent, ...]]:
        """All slices (count, size, size, 3) RGB 0..255, each fitted into a square as in training, and what they were.

        Raises CorruptImageError where a slice cannot be decoded, or none of them shows anything.
        """
        fitted, extents = np.empty((self.count, size, size, 3), np.uint8), []
        for index in range(self.count):
            picture = self.picture(index)
            extents.append(Extent(*picture.size, self.pixel_mm[index] if self.pixel_mm else None))
            fitted[index] = np.asarray(letterbox(picture, size, Image.Resampling.BILINEAR))
        most = max(map(contrast, fitted), default=0.0)
        if most < BLANK_CONTRAST:
            raise CorruptImageError(f"there is nothing to see: its grays span {most:.0f} of 255 levels")
        return fitted, tuple(extents)
