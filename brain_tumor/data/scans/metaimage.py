"""Slices of a volume in MetaImage."""

import os
import re
from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.nrrd import UNPLACED
from brain_tumor.data.scans.on_disk import Beside, values_beside
from brain_tumor.data.scans.packed import inflated
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.volume import NO_GRAYS, Volume, grid, one_volume, remark_on, slices_of

DAMAGED = "its header is damaged"
HEAD = 4096  # bytes in which a header begins, whatever remarks stand before it
LINES = 1024  # of a header
TYPES = {  # as ITK writes them: MET_LONG has four bytes
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4"},
    **{"MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8"},
    **{"MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
_REMARKS = rb"(?:(?:#|Comment)[^\n]*\n|[ \t\r]*\n)*"
_BEGINNING = re.compile(_REMARKS + rb"(?:ObjectType|NDims)[ \t]*[=:]")
_LINE = re.compile(rb"[ \t]*(\w+)[ \t]*[=:]([^\n]*)(?:\n|\Z)|[^\n]*\n")
_TRUE = ("true", "1", "t", "y", "yes")


def is_metaimage(head: bytes) -> bool:
    return _BEGINNING.match(head, 0, HEAD) is not None


def open_metaimage(
    content: bytes, plane: Plane, limits: Limits, volume: int | None = None, beside: Beside | None = None
) -> Scan:
    """The slices of a MetaImage file, see `read_metaimage` and `slices_of`."""
    return slices_of(read_metaimage(content, limits, volume, beside), plane, limits)


def read_metaimage(content: bytes, limits: Limits, volume: int | None = None, beside: Beside | None = None) -> Volume:
    """The volume of a MetaImage file (`.mha`), or of a header (`.mhd`) with the file beside it.

    Values are raw, or one zlib stream. Axes run as TransformMatrix says, in ITK's (and DICOM's) space: to the patient's
    left, back and head.

    Source: https://itk.org/Wiki/ITK/MetaIO/Documentation, and what ITK 5.4 writes and reads.

    Args:
        content: of the file.
        limits: what it may cost.
        volume: which of its volumes, from 0; None: there is but one.
        beside: gives the file that a header names; None: it is not opened.

    Raises:
        CorruptImageError: no image, no such volume, values that are no gray levels or in another file that is not to
            be had, over a limit, or not what its header says.
    """
    fields, start = _fields(content)
    if fields.get("objecttype", "Image").lower() != "image":
        raise CorruptImageError("a MetaIO file that holds no image")
    if fields.get("elementnumberofchannels", "1") != "1" or fields.get("elementtype") not in TYPES:
        raise CorruptImageError(NO_GRAYS)
    if fields.get("binarydata", "True").lower() not in _TRUE:
        raise CorruptImageError("its values are written as text: save it as binary")
    try:
        sizes = [int(each) for each in fields["dimsize"].split()]
        header_size = int(fields.get("headersize", "0"))
        affine, unplaced = _affine(fields, len(sizes))
        mm = 1.0 if "elementspacing" in fields or "elementsize" in fields else None
        if int(fields["ndims"]) != len(sizes):
            raise ValueError
    except (KeyError, ValueError) as error:
        raise CorruptImageError(DAMAGED) from error
    swapped = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "False")).lower() in _TRUE
    dtype = np.dtype((">" if swapped else "<") + TYPES[fields["elementtype"]])
    values = grid(sizes, dtype, limits, range(min(len(sizes), 3)))
    name = fields["elementdatafile"]
    if name.upper() == "LOCAL":
        packed = memoryview(content)[start if header_size <= 0 else header_size :]  # from the file's first byte
    else:
        packed = memoryview(values_beside(beside, name, ".mhd, .raw", ".mha"))[max(0, header_size) :]
    if fields.get("compresseddata", "False").lower() in _TRUE:
        stored = one_volume(values, volume, partial(inflated, packed), 0, limits)
    else:  # -1: the values end the file
        skipped = max(0, len(packed) - values.bytes) if header_size < 0 else 0
        stored = one_volume(values, volume, lambda _: packed, skipped, limits)
    return Volume("metaimage", stored, affine, unplaced, remark_on(volume, values.volumes), mm=mm)


def values_name(head: bytes) -> str | None:
    """The name of the file that a header gives for its values; None where they are in the same file."""
    name = _fields(head)[0]["elementdatafile"]
    return None if name.upper() == "LOCAL" else name


def _fields(content: bytes) -> tuple[dict[str, str], int]:
    """The fields of a header, by their names in small letters, and where the values begin."""
    found: dict[str, str] = {}
    start = 0
    for _ in range(LINES):
        line = _LINE.match(content, start)
        if line is None:
            break
        start = line.end()
        if line[1] is not None:
            name = line[1].decode("ascii", "replace").lower()
            found[name] = os.fsdecode(line[2]).strip()
            if name == "elementdatafile":
                return found, start
    raise CorruptImageError(DAMAGED)


def _affine(fields: Mapping[str, str], axes: int) -> tuple[NDArray[np.float64], str]:
    """From voxels to mm (3, 3), RAS+, and what to say where the header does not say so. Raises ValueError."""
    spacing = np.ones(3)
    given = [float(each) for each in fields.get("elementspacing", fields.get("elementsize", "")).split()][:3]
    spacing[: len(given)] = given
    matrix = next((fields[name] for name in ("transformmatrix", "rotation", "orientation") if name in fields), "")
    if axes < 3 or not matrix:
        return np.diag(spacing * (-1, -1, 1)), UNPLACED
    rows = np.array([float(each) for each in matrix.split()]).reshape(axes, axes)[:3, :3]  # a row is an axis' direction
    return (rows * (-1, -1, 1)).T * spacing, ""
