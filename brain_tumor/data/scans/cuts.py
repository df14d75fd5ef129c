"""The three planes through a volume, each cut at its own voxels when it is looked at, and a map over any of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.data.scans.levels import PICTURE_PIXELS, Reals, levels, stretched
from brain_tumor.data.scans.volume import Volume, canonical, gray_range
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")
scipy = lazy("scipy")

Point = tuple[int, int, int]  # a voxel, towards the patient's right, front and head


@dataclass(frozen=True, eq=False)
class Cuts:
    """A volume that is cut as radiologists look at it: the patient's right on the left, the front or the head above.

    A picture (rows, columns) of a plane has the volume's own voxels, which need not be as wide as high.
    """

    volume: Volume
    values: NDArray[Any]  # (X, Y, Z), a view: towards the patient's right, front and head
    spacing: tuple[float, ...]  # between voxels along these, in the file's unit
    affine: NDArray[np.float64]  # (4, 4) from them to mm, RAS+
    stacked: tuple[int, bool]  # which of them the file's slices are, and whether they come in that order

    @cached_property
    def _range(self) -> tuple[float, float, float | None]:
        return gray_range(self.volume)

    def gray(self, plane: str, index: int, level: float = 50, width: float = 100) -> NDArray[np.uint8]:
        """A picture of a slice, its index as in `slices_of`.

        Between the volume's black (0) and white (100), see `slices_of`, `level` is middle gray and `width` leads from
        black to white.
        """
        black, white, background = self._range
        low, high = (black + (level + side * width / 2) / 100 * (white - black) for side in (-1, 1))

        def shown(band: Reals) -> Reals:
            grays = stretched(band, low, high)
            return grays if background is None else np.where(band == background, 0.0, grays)

        return levels(_seen(np.moveaxis(self.values, PLANES.index(plane), 0)[index]), shown)

    def over(
        self, plane: str, index: int, values: NDArray[np.float32], grid: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """A map (D, H, W) whose voxels lie at `grid` (4, 4, to mm) where it lies in a slice's picture; 0 beyond it."""
        axis = PLANES.index(plane)
        to_map = np.linalg.inv(grid) @ self.affine
        shape = tuple(1 if each == axis else count for each, count in enumerate(self.values.shape))
        offset = to_map[:3, 3] + index * to_map[:3, axis]
        found = scipy.ndimage.affine_transform(values, to_map[:3, :3], offset, output_shape=shape, order=1)
        return _seen(np.moveaxis(found, axis, 0)[0])

    def voxel(self, mm: NDArray[np.float64]) -> Point:
        """The voxel nearest to a place (x, y, z)."""
        place = np.linalg.inv(self.affine) @ [*mm, 1.0]
        x, y, z = np.clip(np.rint(place[:3]), 0, np.array(self.values.shape) - 1).astype(int).tolist()
        return x, y, z


def cuts_of(volume: Volume) -> Cuts:
    """The planes of a volume. Raises CorruptImageError where it lies as nothing can, or its slices are too large."""
    values, spacing, orientation = canonical(volume)
    first, second = sorted(values.shape)[1:]
    if first * second > PICTURE_PIXELS:
        raise CorruptImageError(f"too large: a slice is over the limit of {PICTURE_PIXELS:,} pixels")
    affine = np.eye(4)
    affine[: len(volume.affine), : volume.affine.shape[1]] = volume.affine
    affine[:3] *= volume.mm or 1.0
    affine = affine @ nibabel.orientations.inv_ornt_aff(orientation, volume.values.shape)
    return Cuts(volume, values, spacing, affine, (int(orientation[2, 0]), bool(orientation[2, 1] > 0)))


def _seen(values: NDArray[Any]) -> NDArray[Any]:
    """A slice (across, up) as rows and columns of a picture, see `slices_of`."""
    return values.T[::-1, ::-1]
