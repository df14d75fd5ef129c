"""A head on a grid of its own: turned, cropped to what is no air, resampled, and its intensities standardised.

Every volume becomes an array (D, H, W) in which the same place lies at about the same index, whatever its spacing,
its field of view and the way of its axes: slices from the feet to the head, the front above and the patient's right on
the left, as radiologists look at axial slices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.volume import RINGING, ZEROS_LEAST
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

CLIPPED = (0.5, 99.5)  # percentiles of the head's values beyond which they are cut off
AIR = 0.1  # of the way from the 2nd to the 98th percentile: what is darker, all over the volume, is air
MEAN, DEVIATION = 128.0, 42.5  # grays of the head's mean and of its standard deviation: 3 of them reach the ends
BINS, LEAST = 64, 0.02  # parts of the head along an axis; those at the ends with less of the largest are left out
COARSE = 96  # voxels a side, at most, of the copy in which the head is looked for
Shape = tuple[int, int, int]  # D, H, W
Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Placed:
    """Values with the place of each in the patient."""

    values: NDArray[Any]  # (X, Y, Z), any order of the axes
    affine: NDArray[np.float64]  # (4, 4) from voxels to mm, RAS+


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a fitted array lie in the patient."""

    shape: Shape
    affine: NDArray[np.float64]  # (4, 4) from (d, h, w) to mm, RAS+


def head_of(volume: Placed) -> Placed:
    """What is no air, with all that it encloses: its largest piece, as bool values that may be coarser than the volume.

    Where 0 is a background in the midst of the values, as of a head that was cut out and normalised, air is what is 0.

    Raises CorruptImageError where there is nothing to see.
    """
    coarse = _coarse(volume)
    values = coarse.values
    zeros = values == 0
    beyond = np.count_nonzero(values < 0)
    if zeros.mean() >= ZEROS_LEAST and not zeros.all() and beyond >= RINGING * (zeros.size - zeros.sum()):
        seen = ~zeros
    else:
        dark, bright = np.percentile(values, (2, 98))
        if bright <= dark:  # a small head in a large field of view
            dark, bright = values.min(), values.max()
        if bright <= dark:
            raise CorruptImageError("there is nothing to see: all its values are the same")
        seen = scipy.ndimage.gaussian_filter(values, 0.5) > dark + AIR * (bright - dark)
    pieces, count = scipy.ndimage.label(seen)
    if not count:
        raise CorruptImageError("there is nothing to see: no part of it stands out")
    head = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    # Slice by slice along every axis: at the volume's edge, such as the neck, a cavity is open to one side.
    for axis in range(3):
        for plane in np.moveaxis(head, axis, 0):
            plane[:] = scipy.ndimage.binary_fill_holes(plane)
    return Placed(head, coarse.affine)


def _coarse(volume: Placed) -> Placed:
    """The volume with at most COARSE voxels along each axis, the same ones whichever way the axes run."""
    counts = np.minimum(volume.values.shape, COARSE)
    steps = np.array(volume.values.shape) / counts
    to_voxel = np.eye(4)
    to_voxel[:3, :3], to_voxel[:3, 3] = np.diag(steps), (steps - 1) / 2
    values = _finite(volume.values)
    if (steps > 1).any():
        values = scipy.ndimage.affine_transform(
            values, steps, to_voxel[:3, 3], output_shape=tuple(counts), order=0 if (values < 0).any() else 1
        )
    return Placed(values, volume.affine @ to_voxel)


def grid_around(head: Placed, shape: Shape, spacing: Spacing | None = None) -> Grid:
    """The grid of a head: the smallest box of canonical axes around it, on which `shape` voxels are spread.

    Args:
        head: see `head_of`.
        shape: voxels from the feet to the head, from the front to the back, and from right to left.
        spacing: mm between voxels along these; None: as much as the box needs, the same within a slice.
    """
    axes = head.affine[:3, :3]
    places = np.argwhere(head.values) @ axes.T + head.affine[:3, 3]
    half = np.abs(axes).sum(axis=1) / 2  # how far a voxel reaches from its centre
    ends = np.array([_ends(places[:, axis]) for axis in range(3)])
    least, most = ends[:, 0] - half, ends[:, 1] + half
    centre, extent = (least + most) / 2, most - least  # mm along right, front, head
    if spacing is None:
        within = max(extent[1] / shape[1], extent[0] / shape[2])
        steps = np.array([extent[2] / shape[0], within, within])
    else:
        steps = np.array(spacing, np.float64)
    affine = np.eye(4)
    # d runs to the head, h to the back, w to the left
    affine[:3, :3] = np.column_stack([[0, 0, steps[0]], [0, -steps[1], 0], [-steps[2], 0, 0]])
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _ends(places: NDArray[np.float64]) -> tuple[float, float]:
    """The least and the largest of places (N,) along an axis, but for thin ends: a coil, noise, the last of a neck."""
    counts, edges = np.histogram(places, bins=BINS)
    inside = np.flatnonzero(counts >= LEAST * counts.max())
    kept = places[(places >= edges[inside[0]]) & (places <= edges[inside[-1] + 1])]
    return float(kept.min()), float(kept.max())


def resampled(volume: Placed, grid: Grid) -> NDArray[np.float32]:
    """float32 (D, H, W): the values on a grid, trilinear; beyond the volume those of its edge, of a mask 0.

    Where the grid is coarser than the volume, values are smoothed first, so that nothing finer than the grid shows up
    as something coarser: with a Gaussian of half the excess, as in scikit-image's `resize`.
    """
    values = _finite(volume.values)
    to_voxel = np.linalg.inv(volume.affine) @ grid.affine
    steps = np.abs(to_voxel[:3, :3]).max(axis=1)
    values = scipy.ndimage.gaussian_filter(values, np.maximum(0, (steps - 1) / 2))
    mode = "grid-constant" if volume.values.dtype == np.bool_ else "nearest"
    return np.asarray(
        scipy.ndimage.affine_transform(
            values, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=grid.shape, order=1, output=np.float32, mode=mode
        )
    )


def standardised(values: NDArray[np.float32], head: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """uint8 of the values' shape: the head's mean at 128 and its deviation 42.5 grays; 0 outside it, 1..255 inside.

    Values are cut off at percentiles of the head first, so that vessels and artefacts have no say in it. Raises
    CorruptImageError where nothing of it is head, or all of that is one value.
    """
    if not head.any():
        raise CorruptImageError(
            "there is nothing to see: its head is smaller than a voxel of the size that is asked for"
        )
    low, high = np.percentile(values[head], CLIPPED)
    inside = np.clip(values[head], low, high)
    deviation = float(inside.std())
    if deviation == 0:
        raise CorruptImageError("there is nothing to see: its head is of one value")
    grays = np.zeros(values.shape, np.uint8)
    grays[head] = np.clip(np.rint(MEAN + DEVIATION * (inside - inside.mean()) / deviation), 1, 255)
    return grays


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
