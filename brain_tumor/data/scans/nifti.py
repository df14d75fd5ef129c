"""Slices of a NIfTI volume."""

import math
import struct
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.packed import gunzipped, is_gzip
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.volume import Grid, Volume, grid, one_volume, remark_on, slices_of
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

HEADER_1, HEAD = 348, 540  # bytes of the header of NIfTI-1, and of NIfTI-2
MM = {1: 1000.0, 3: 0.001}  # that the units of distances are, by their codes in xyzt_units; of all others, 1
UNPLACED = "the file does not say which side is which: shown as if its axes ran to the left, front and head"

TWICE = "its header says twice how its axes run (qform, sform), and not alike: the sform is taken"


@dataclass(frozen=True)
class _Layout:
    """What a header says, checked."""

    grid: Grid
    offset: int  # bytes before the first value
    negative: bool  # the scaling turns bright to dark
    zero: float  # the stored value that is scaled to 0
    placed: bool  # it says where the patient's sides are
    affine: NDArray[np.float64]  # (4, 4) from voxels, RAS+
    mm: float  # that a unit of the affine is
    remarks: tuple[str, ...]


def is_nifti(head: bytes) -> bool:
    """Whether a NIfTI or Analyze header begins with `head`: its first field is its own length (348, or 540)."""
    return head[:4] in {struct.pack(order + "i", size) for order in "<>" for size in (HEADER_1, HEAD)}


def open_nifti(content: bytes, plane: Plane, limits: Limits, volume: int | None = None) -> Scan:
    """The slices of a NIfTI file, see `read_nifti` and `slices_of`."""
    return slices_of(read_nifti(content, limits, volume), plane, limits)


def read_nifti(content: bytes, limits: Limits, volume: int | None = None) -> Volume:
    """The only volume of a NIfTI-1 or NIfTI-2 file (`.nii`, `.nii.gz`), or `volume`.

    `scl_slope` and `scl_inter` are applied.

    Source: the NIfTI-1.1 and NIfTI-2 header definitions (nifti1.h, nifti2.h).

    Raises:
        CorruptImageError: no single-file NIfTI, no such volume, values that are no gray levels, over a limit, or not
            what its header says.
    """
    packed = is_gzip(content)
    head = bytes(gunzipped(content, HEAD)) if packed else content[:HEAD]
    if packed and not is_nifti(head):
        raise CorruptImageError(
            "gzip holds no NIfTI volume: unpack the file, or convert it (FreeSurfer: mri_convert in.mgz out.nii.gz)"
        )
    layout = _layout(head, limits)
    unpacked = partial(gunzipped, content) if packed else lambda _: content
    values = one_volume(layout.grid, volume, unpacked, layout.offset, limits)
    unplaced, remarks = "" if layout.placed else UNPLACED, (*layout.remarks, *remark_on(volume, layout.grid.volumes))
    return Volume("nifti", values, layout.affine, unplaced, remarks, layout.negative, layout.zero, layout.mm)


def _layout(head: bytes, limits: Limits) -> _Layout:
    header = _header(head)
    magic = header["magic"].item()
    if magic[:2] == b"ni" and magic[2:3] in b"12":
        raise CorruptImageError("half of a pair of files (.hdr, .img): convert the pair to one .nii file")
    if magic[:2] != b"n+":
        raise CorruptImageError("an Analyze header, which does not say where left is: convert it to NIfTI")
    count, *sides = (int(each) for each in header["dim"])
    if not 2 <= count <= 7:
        raise CorruptImageError("its header has impossible dimensions")
    try:
        dtype, offset = header.get_data_dtype(), float(header["vox_offset"])
        slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
        with np.errstate(all="ignore"):
            affine = np.asarray(header.get_best_affine(), np.float64)
    except Exception:  # nibabel lets errors of several kinds through
        dtype, offset, slope, inter, affine = np.dtype("V"), 0.0, 1.0, 0.0, np.eye(4)
    sizes = grid([*sides[:count], *[1] * (3 - count)], dtype, limits)
    if not HEADER_1 <= offset <= limits.file_bytes or offset != int(offset):
        raise CorruptImageError("its header has an impossible offset of the data")
    scaled = math.isfinite(slope) and slope != 0  # nifti1.h: else the values are as they are stored
    zero = -inter / slope if scaled and math.isfinite(inter) else 0.0
    placed = int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0  # nifti1.h, method 1: else nobody knows
    mm = MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return _Layout(sizes, int(offset), scaled and slope < 0, zero, placed, affine, mm, _remarks(header))


def _remarks(header: Any) -> tuple[str, ...]:
    """What to say where a header places its volume twice, with the patient's sides along other axes or other ways."""
    if int(header["qform_code"]) <= 0 or int(header["sform_code"]) <= 0:
        return ()
    try:
        with np.errstate(all="ignore"):
            ways = [nibabel.aff2axcodes(found) for found in (header.get_sform(), header.get_qform())]
    except Exception:  # nibabel lets errors of several kinds through; what is used of it has been checked
        return ()
    return () if ways[0] == ways[1] else (TWICE,)


def _header(head: bytes) -> Any:
    little = head[0] != 0
    first = struct.unpack("<i" if little else ">i", head[:4])[0]
    kind = nibabel.nifti2.Nifti2Header if first == HEAD else nibabel.nifti1.Nifti1Header
    if len(head) < first:
        raise CorruptImageError("truncated: the header of a NIfTI file ends early")
    return kind(head[:first], endianness="<" if little else ">", check=False)
