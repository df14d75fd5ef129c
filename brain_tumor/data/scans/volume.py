"""Slices of a volume, whatever the format of its file."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.geometry import PLANES, STRETCH, square_pixels
from brain_tumor.data.scans.levels import PICTURE_PIXELS, Reals, levels, robust_range, stretched
from brain_tumor.data.scans.packed import Bytes
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

ZEROS_LEAST = 0.25  # share of the voxels that are 0 where 0 is a background
RINGING = 0.05  # share of the others that may lie below it, and are no part of the head
ALIKE = 1.05  # distances whose ratio is below it count as equal
SAMPLED = 2**24  # voxels: of a larger volume, the percentile is that of every third, fifth ... one
AXES = 16  # of a file, at most (NRRD_DIM_MAX); NIfTI has 7
NO_GRAYS = "its voxels are not single numbers of 8 to 64 bits (colour, complex and others)"
_READ = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


@dataclass(frozen=True, eq=False)
class Volume:
    """One volume, as its file holds it."""

    kind: Literal["nifti", "nrrd", "metaimage", "dicom"]
    values: NDArray[Any]  # of the three axes in the order of the file, the first of which changes fastest
    affine: NDArray[np.float64]  # (3, 3) or (4, 4), from voxels to mm, RAS+
    unplaced: str = ""  # what to say where the file does not say where the patient's sides are
    remarks: tuple[str, ...] = ()
    negative: bool = False  # the scaling turns bright to dark
    zero: float = 0.0  # the stored value that is scaled to 0
    mm: float | None = 1.0  # that a unit of the affine is; None: the file gives no distances

    @property
    def said(self) -> tuple[str, ...]:
        """What should be known of it: that its sides are unknown, where they are, and its remarks."""
        return (self.unplaced, *self.remarks) if self.unplaced else self.remarks


@dataclass(frozen=True)
class Grid:
    """How a file holds its values: the first axis changes fastest."""

    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    spatial: tuple[int, int, int] = (0, 1, 2)  # which of the axes lie in the patient; along the others are volumes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.sizes[axis] for axis in self.spatial)

    @property
    def volumes(self) -> int:
        return math.prod(self.sizes) // math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of all values."""
        return math.prod(self.sizes) * self.dtype.itemsize


def grid(sizes: Sequence[int], dtype: Any, limits: Limits, spatial: Sequence[int] = (0, 1, 2)) -> Grid:
    """The grid of a header, checked; axes of one voxel are added where it has two that lie in the patient.

    Raises CorruptImageError where the sizes cannot be true, a voxel is not one number, or a volume is over the limit.
    """
    if not 2 <= len(sizes) <= AXES or min(sizes) < 1 or len(spatial) < 2:
        raise CorruptImageError("its header has impossible dimensions")
    if np.dtype(dtype).newbyteorder("=").str[1:] not in _READ:
        raise CorruptImageError(NO_GRAYS)
    if len(spatial) == 2:
        sizes, spatial = (*sizes, 1), (*spatial, len(sizes))
    found = Grid(tuple(sizes), np.dtype(dtype), (spatial[0], spatial[1], spatial[2]))
    if (samples := math.prod(found.shape)) > limits.samples:
        raise CorruptImageError(f"too large: {samples:,} voxels are over the limit of {limits.samples:,}")
    return found


def one_volume(
    grid: Grid, volume: int | None, unpacked: Callable[[int], Bytes], offset: int, limits: Limits
) -> NDArray[Any]:
    """The values of one of a file's volumes, which is unpacked no further than is needed.

    Args:
        grid: of the file.
        volume: which of them, from 0, the first axis beyond the three changing fastest; None: there is but one.
        unpacked: so many bytes of what the file holds, from the first, or fewer where there are no more.
        offset: of these, those before the first value.
        limits: what they may cost.

    Raises:
        CorruptImageError: there are several volumes and none is chosen, or there is no such one; too many bytes, or
            fewer than the header says.
    """
    index = chosen(volume, grid.volumes)
    others = [axis for axis in range(len(grid.sizes)) if axis not in grid.spatial]
    apart = not others or others[0] > grid.spatial[-1]  # each volume by itself, and not a voxel of each in turn
    count = math.prod(grid.shape) if apart else math.prod(grid.sizes)
    start = offset + (index * count * grid.dtype.itemsize if apart else 0)
    size = start + count * grid.dtype.itemsize
    if size > limits.file_bytes:
        raise CorruptImageError(f"too large: {size:,} bytes unpacked are over the limit of {limits.file_bytes:,}")
    data = unpacked(size)
    if len(data) < size:
        raise CorruptImageError("truncated: it has fewer values than its header says")
    values = np.frombuffer(data, grid.dtype, count, start)
    if apart:
        return values.reshape(grid.shape, order="F")
    places = iter(np.unravel_index(index, [grid.sizes[axis] for axis in others], order="F"))
    where = tuple(next(places) if axis in others else slice(None) for axis in range(len(grid.sizes)))
    return np.asfortranarray(values.reshape(grid.sizes, order="F")[where])


def chosen(volume: int | None, count: int) -> int:
    """The place of the volume that is asked for among `count`; CorruptImageError where that is none, or not said."""
    if volume is None and count > 1:
        raise CorruptImageError(
            f"holds {count:,} volumes: split the file, or with a model of slices choose one by predict's volume=INDEX, "
            f"from 0 to {count - 1:,}"
        )
    if volume is not None and volume >= count:
        raise CorruptImageError(f"volume={volume} is none of its volumes, of which the last is {count - 1:,}")
    return volume or 0


def remark_on(volume: int | None, count: int) -> tuple[str, ...]:
    """Which of several volumes an answer is of."""
    return (f"volume {volume} of 0 to {count - 1}",) if count > 1 else ()


def slices_of(volume: Volume, plane: Plane, limits: Limits) -> Scan:
    """The slices of a volume.

    It is turned to the closest canonical axes (RAS+), and its slices are shown in radiological convention: the
    patient's right on the left of axial and coronal ones, the front on the left of sagittal ones; the front above in
    axial ones, the head above in the others. They come in the order left to right, back to front, feet to head. Pixels
    are made square by the voxels' sizes. `plane="auto"` is perpendicular to the axis with the largest distance
    between voxels, axial where the others are not 5 % above its own; a volume of one slice is that slice.

    One linear scale for the volume leads from its 0.1st percentile (black) to its 99.5th (white; of volumes of more
    than 16 million voxels, those of every third, fifth … one), over finite values. NaN is black, and so is 0 where a
    quarter of all voxels have it: it is the background of a head that was cut out, below which interpolation leaves a
    few values, and normalisation half of them.

    Raises:
        CorruptImageError: it lies as nothing can, or is over a limit.
    """
    values, spacing, _ = canonical(volume)
    axis = _axis(plane, values.shape, spacing)
    count = values.shape[axis]
    if count > limits.slices:
        raise CorruptImageError(f"too large: {count:,} slices are over the limit of {limits.slices:,}")
    across, up = (each for each in range(3) if each != axis)
    if values.shape[across] * values.shape[up] > PICTURE_PIXELS:
        raise CorruptImageError(f"too large: a slice is over the limit of {PICTURE_PIXELS:,} pixels")
    if not 1 / STRETCH <= spacing[up] / spacing[across] <= STRETCH:
        raise CorruptImageError("the distances between its voxels cannot be true")
    black, white, background = gray_range(volume)

    def shown(band: Reals) -> Reals:
        grays = stretched(band, black, white)
        return grays if background is None else np.where(band == background, 0.0, grays)

    def picture(index: int) -> Image.Image:
        pixels = np.moveaxis(values, axis, 0)[index].T[::-1, ::-1]  # a view; take would copy the volume
        gray = Image.fromarray(levels(pixels, shown)).convert("RGB")
        return square_pixels(gray, spacing[up], spacing[across])

    # Made square, a pixel is as large as its shorter side was
    sides = () if volume.mm is None else (volume.mm * min(spacing[across], spacing[up]),) * count
    planes = (None,) * count if volume.unplaced else ()
    return Scan(volume.kind, count, PLANES[axis], picture, remarks=volume.said, planes=planes, pixel_mm=sides)


def canonical(volume: Volume) -> tuple[NDArray[Any], tuple[float, ...], NDArray[np.float64]]:
    """A view of the volume whose axes run to the right, front and head, and the distances along them.

    And how it was turned (3, 2): for each axis of the file which of those it is, and 1, or -1 where it runs against it.
    """
    with np.errstate(all="ignore"):
        axes = volume.affine[:3, :3]
        lengths = np.sqrt((axes**2).sum(axis=0))
        believable = np.isfinite(volume.affine).all() and (lengths > 1e-6).all() and (lengths < 1e6).all()
        if not believable or abs(np.linalg.det(axes / lengths)) < 1e-3:
            raise CorruptImageError("its header has an impossible orientation")
    affine = np.eye(4)
    affine[:3, :3] = axes
    orientation = nibabel.orientations.io_orientation(affine)
    if np.isnan(orientation).any():
        raise CorruptImageError("its header has an impossible orientation")
    turned = nibabel.orientations.apply_orientation(volume.values, orientation)
    return turned, tuple(lengths[np.argsort(orientation[:, 0])].tolist()), orientation


def _axis(plane: Plane, shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    if plane != "auto":
        return PLANES.index(plane)
    if shape.count(1) == 1:
        return shape.index(1)
    return 2 if max(spacing) <= ALIKE * spacing[2] else int(np.argmax(spacing))


def gray_range(volume: Volume) -> tuple[float, float, float | None]:
    """The stored values of black and of white, and one of the background that lies between them, or None.

    A scale between percentiles is the same before and after `scl_slope * value + scl_inter`, but for the side from
    which they count: so that no scaled copy of the volume is needed.
    """
    stored = volume.values.ravel(order="K")  # a view, where the values lie together
    sample = stored[:: -(-stored.size // SAMPLED) | 1]
    sample = sample[np.isfinite(sample)]
    falling, zero, background = volume.negative, volume.zero, None
    zeros = np.count_nonzero(sample == zero)
    if zeros >= ZEROS_LEAST * sample.size and zeros < sample.size:
        beyond = np.count_nonzero(sample > zero if falling else sample < zero)
        if beyond < RINGING * (sample.size - zeros):  # what interpolation leaves beside an edge
            sample = np.minimum(sample, zero) if falling else np.maximum(sample, zero)
        else:  # values of a head around 0: a head that was cut out and then normalised
            sample, background = sample[sample != zero], zero
    black, white = robust_range(sample, falling)
    if black == white:  # the few other values may not be in the sample
        white = _extreme(stored, least=falling)
    return black, white, background


def _extreme(stored: NDArray[Any], *, least: bool) -> float:
    """The smallest or the largest finite value; 0 where there is none."""
    found = []
    for start in range(0, stored.size, SAMPLED):
        band = stored[start : start + SAMPLED]
        finite = band[np.isfinite(band)] if band.dtype.kind == "f" else band
        if finite.size:
            found.append(float(finite.min() if least else finite.max()))
    return (min(found) if least else max(found)) if found else 0.0
