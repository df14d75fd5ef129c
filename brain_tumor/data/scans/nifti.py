"""Slices of a NIfTI volume."""

import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.geometry import PLANES, STRETCH, square_pixels
from brain_tumor.data.scans.levels import PICTURE_PIXELS, Reals, levels, robust_range, stretched
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

HEADER_1, HEAD = 348, 540  # bytes of the header of NIfTI-1, and of NIfTI-2
ZEROS_LEAST = 0.25  # share of the voxels that are 0 where 0 is a background
RINGING = 0.05  # share of the others that may lie below it, and are no part of the head
ALIKE = 1.05  # distances whose ratio is below it count as equal
SAMPLED = 2**24  # voxels: of a larger volume, the percentile is that of every third, fifth ... one
MEMBERS = 2**16  # of a gzip file; some tools write one for each 64 KiB
PIECE = 2**16  # bytes of a gzip file that are unpacked at once
ZEROS = re.compile(rb"\0*")  # which may follow a member
UNPLACED = "the file does not say which side is which: shown as if its axes ran to the left, front and head"
READ = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


@dataclass(frozen=True)
class _Layout:
    """What a header says, checked."""

    shape: tuple[int, int, int]  # voxels
    dtype: np.dtype[Any]
    offset: int  # bytes before the first value
    negative: bool  # the scaling turns bright to dark
    zero: float  # the stored value that is scaled to 0
    placed: bool  # it says where the patient's sides are
    affine: NDArray[np.float64]  # (4, 4) from voxels to mm, RAS+


def is_gzip(content: bytes) -> bool:
    return content[:3] == b"\x1f\x8b\x08"


def is_nifti(head: bytes) -> bool:
    """Whether a NIfTI or Analyze header begins with `head`: its first field is its own length (348, or 540)."""
    return head[:4] in {struct.pack(order + "i", size) for order in "<>" for size in (HEADER_1, HEAD)}


def open_nifti(content: bytes, plane: Plane, limits: Limits) -> Scan:
    """The slices of a NIfTI-1 or NIfTI-2 file (`.nii`, `.nii.gz`) with one volume.

    The volume is turned to the closest canonical axes (RAS+), and its slices are shown in radiological convention: the
    patient's right on the left of axial and coronal ones, the front on the left of sagittal ones; the front above in
    axial ones, the head above in the others. They come in the order left to right, back to front, feet to head. Pixels
    are made square by the voxels' sizes. `plane="auto"` is perpendicular to the axis with the largest distance
    between voxels, axial where the others are not 5 % above its own; a volume of one slice is that slice.

    `scl_slope` and `scl_inter` are applied; then one linear scale for the volume leads from its 0.1st percentile
    (black) to its 99.5th (white; of volumes of more than 16 million voxels, those of every third, fifth … one), over
    finite values. NaN is black, and so is 0 where a quarter of all voxels have it: it is the background of a head that
    was cut out, below which interpolation leaves a few values, and normalisation half of them.

    Source: the NIfTI-1.1 and NIfTI-2 header definitions (nifti1.h, nifti2.h).

    Raises:
        CorruptImageError: no single-file NIfTI, several volumes, values that are no gray levels, over a limit, or not
            what its header says.
    """
    packed = is_gzip(content)
    head = bytes(_unpack(content, HEAD)) if packed else content[:HEAD]
    if packed and not is_nifti(head):
        raise CorruptImageError("gzip holds no NIfTI volume: unpack the file first")
    layout = _layout(head, limits)
    stored = _stored(content, layout, limits)
    volume, spacing = _canonical(stored.reshape(layout.shape, order="F"), layout.affine)
    axis = _axis(plane, volume.shape, spacing)
    if volume.shape[axis] > limits.slices:
        raise CorruptImageError(f"too large: {volume.shape[axis]:,} slices are over the limit of {limits.slices:,}")
    across, up = (each for each in range(3) if each != axis)
    if volume.shape[across] * volume.shape[up] > PICTURE_PIXELS:
        raise CorruptImageError(f"too large: a slice is over the limit of {PICTURE_PIXELS:,} pixels")
    if not 1 / STRETCH <= spacing[up] / spacing[across] <= STRETCH:
        raise CorruptImageError("the distances between its voxels cannot be true")
    black, white, background = _range(stored, layout)

    def shown(band: Reals) -> Reals:
        grays = stretched(band, black, white)
        return grays if background is None else np.where(band == background, 0.0, grays)

    def picture(index: int) -> Image.Image:
        values = np.moveaxis(volume, axis, 0)[index].T[::-1, ::-1]  # a view; take would copy the volume
        gray = Image.fromarray(levels(values, shown)).convert("RGB")
        return square_pixels(gray, spacing[up], spacing[across])

    count = volume.shape[axis]
    if layout.placed:
        return Scan("nifti", count, PLANES[axis], picture)
    return Scan("nifti", count, PLANES[axis], picture, remarks=(UNPLACED,), planes=(None,) * count)


def _stored(content: bytes, layout: _Layout, limits: Limits) -> NDArray[Any]:
    """The values of a file, flat, as they are stored."""
    count = math.prod(layout.shape)
    size = layout.offset + count * layout.dtype.itemsize
    if size > limits.file_bytes:
        raise CorruptImageError(f"too large: {size:,} bytes unpacked are over the limit of {limits.file_bytes:,}")
    data = _unpack(content, size) if is_gzip(content) else content
    if len(data) < size:
        raise CorruptImageError("truncated: it has fewer values than its header says")
    return np.frombuffer(data, layout.dtype, count, layout.offset)


def _layout(head: bytes, limits: Limits) -> _Layout:
    header = _header(head)
    magic = header["magic"].item()
    if magic[:2] == b"ni" and magic[2:3] in b"12":
        raise CorruptImageError("half of a pair of files (.hdr, .img): convert the pair to one .nii file")
    if magic[:2] != b"n+":
        raise CorruptImageError("an Analyze header, which does not say where left is: convert it to NIfTI")
    count, *sides = (int(each) for each in header["dim"])
    if not 2 <= count <= 7 or min(sides[:count]) < 1:
        raise CorruptImageError("its header has impossible dimensions")
    shape = (sides[0], sides[1], sides[2] if count > 2 else 1)
    volumes = math.prod(sides[3:count])
    if volumes > 1:
        raise CorruptImageError(f"holds {volumes:,} volumes: split it into files of one volume each")
    samples = math.prod(shape)
    if samples > limits.samples:
        raise CorruptImageError(f"too large: {samples:,} voxels are over the limit of {limits.samples:,}")
    try:
        dtype, offset = header.get_data_dtype(), float(header["vox_offset"])
        slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
        with np.errstate(all="ignore"):
            affine = np.asarray(header.get_best_affine(), np.float64)
    except Exception:  # nibabel lets errors of several kinds through
        dtype, offset, slope, inter, affine = np.dtype("V"), 0.0, 1.0, 0.0, np.eye(4)
    if dtype.newbyteorder("=").str[1:] not in READ:
        raise CorruptImageError("its voxels are not single numbers of 8 to 64 bits (colour, complex and others)")
    if not HEADER_1 <= offset <= limits.file_bytes or offset != int(offset):
        raise CorruptImageError("its header has an impossible offset of the data")
    with np.errstate(all="ignore"):
        lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        believable = np.isfinite(affine).all() and (lengths > 1e-6).all() and (lengths < 1e6).all()
        if not believable or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
            raise CorruptImageError("its header has an impossible orientation (qform, sform)")
    scaled = math.isfinite(slope) and slope != 0  # nifti1.h: else the values are as they are stored
    zero = -inter / slope if scaled and math.isfinite(inter) else 0.0
    placed = int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0  # nifti1.h, method 1: else nobody knows
    return _Layout(shape, dtype, int(offset), scaled and slope < 0, zero, placed, affine)


def _header(head: bytes) -> Any:
    little = head[0] != 0
    first = struct.unpack("<i" if little else ">i", head[:4])[0]
    kind = nibabel.nifti2.Nifti2Header if first == HEAD else nibabel.nifti1.Nifti1Header
    if len(head) < first:
        raise CorruptImageError("truncated: the header of a NIfTI file ends early")
    return kind(head[:first], endianness="<" if little else ">", check=False)


def _unpack(content: bytes, size: int) -> bytes | bytearray:
    """The first `size` bytes, or fewer where there are no more, of what a gzip file holds."""
    found, start = bytearray(), 0
    try:
        for _ in range(MEMBERS):  # RFC 1952, 2.2: a file has one or several, after each other
            member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            while not member.eof and len(found) < size:
                piece = member.unconsumed_tail or content[start : start + PIECE]
                if not piece:
                    break
                start += 0 if member.unconsumed_tail else len(piece)
                found += member.decompress(piece, size - len(found))
            if len(found) == size:
                return found
            if not member.eof:
                break  # cut
            start -= len(member.unused_data)
            start = ZEROS.match(content, start).end()  # type: ignore[union-attr]  # it matches none, too
            if start == len(content):
                return found
    except zlib.error:
        pass
    raise CorruptImageError("a damaged gzip file")


def _canonical(volume: NDArray[Any], affine: NDArray[np.float64]) -> tuple[NDArray[Any], tuple[float, ...]]:
    """A view of the volume whose axes run to the right, front and head, and the distances (mm) along them."""
    orientation = nibabel.orientations.io_orientation(affine)
    if np.isnan(orientation).any():
        raise CorruptImageError("its header has an impossible orientation (qform, sform)")
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return nibabel.orientations.apply_orientation(volume, orientation), tuple(
        lengths[np.argsort(orientation[:, 0])].tolist()
    )


def _axis(plane: Plane, shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    if plane != "auto":
        return PLANES.index(plane)
    if shape.count(1) == 1:
        return shape.index(1)
    return 2 if max(spacing) <= ALIKE * spacing[2] else int(np.argmax(spacing))


def _range(stored: NDArray[Any], layout: _Layout) -> tuple[float, float, float | None]:
    """The stored values of black and of white, and one of the background that lies between them, or None.

    A scale between percentiles is the same before and after `scl_slope * value + scl_inter`, but for the side from
    which they count: so that no scaled copy of the volume is needed.
    """
    sample = stored[:: -(-stored.size // SAMPLED) | 1]
    sample = sample[np.isfinite(sample)]
    falling, zero, background = layout.negative, layout.zero, None
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
