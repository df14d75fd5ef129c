"""Slices of a volume in NRRD."""

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.on_disk import Beside, values_beside
from brain_tumor.data.scans.packed import Bytes, bunzipped, gunzipped
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.volume import NO_GRAYS, Grid, Volume, grid, one_volume, remark_on, slices_of
from brain_tumor.lazy import lazy

pynrrd = lazy("nrrd")

DAMAGED = "its header is damaged, or of a later version than NRRD0005"
UNPLACED = "the file does not say which side is which: shown as if its axes ran to the left, back and head"
LONGEST = 2**20  # bytes of a header; of a diffusion series it holds a line for each direction
LINES = 2**12  # that a header may have skipped before the values
# The fields that are read. What a tool has added, or the file says of a patient, is not looked at.
_PARSED = frozenset(
    {"type", "dimension", "sizes", "endian", "encoding", "kinds", "space", "space dimension", "space directions"}
    | {"spacings"}
)
_OTHERS = frozenset({"line skip", "lineskip", "byte skip", "byteskip", "data file", "datafile"})
_UNITS = frozenset({"units", "space units"})
_MILLIMETRES = re.compile(r'(\s*"(mm|millimet(er|re)s?)?")*\s*', re.IGNORECASE)  # or nothing is said
# Signs that lead to the patient's right, front and head
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
}
_SPACES |= {"".join(word[0] for word in name.split("-")): signs for name, signs in _SPACES.items()}  # ras, las, lps
_IN_THE_PATIENT = frozenset({"domain", "space"})
_VOLUMES = _IN_THE_PATIENT | {"list", "time", "none", "???"}  # kinds of an axis along which there are volumes


@dataclass(frozen=True)
class _Layout:
    """What a header says, checked."""

    grid: Grid
    encoding: str
    lines: int  # before the values, as they are packed
    skipped: int  # bytes before the values, as they are unpacked; -1: all but those that the values take
    affine: NDArray[np.float64]
    unplaced: str
    mm: float | None  # that a unit of the affine is


def is_nrrd(head: bytes) -> bool:
    return head.startswith(b"NRRD000")


def open_nrrd(
    content: bytes, plane: Plane, limits: Limits, volume: int | None = None, beside: Beside | None = None
) -> Scan:
    """The slices of a NRRD file, see `read_nrrd` and `slices_of`."""
    return slices_of(read_nrrd(content, limits, volume, beside), plane, limits)


def read_nrrd(content: bytes, limits: Limits, volume: int | None = None, beside: Beside | None = None) -> Volume:
    """The volume of a NRRD file (`.nrrd`), or of a header (`.nhdr`) with the file beside it.

    Values are raw, or packed by gzip or bzip2. Where the patient's sides are say `space` and `space directions`.

    Source: http://teem.sourceforge.net/nrrd/format.html.

    Args:
        content: of the file.
        limits: what it may cost.
        volume: which of its volumes, from 0; None: there is but one.
        beside: gives the file that a header names; None: it is not opened.

    Raises:
        CorruptImageError: no such volume, values that are no gray levels or in another file that is not to be had,
            over a limit, or not what its header says.
    """
    fields, start = _fields(content)
    layout = _layout(content[:8], fields, limits)
    name = _values_name(fields)
    there = memoryview(content)[start:] if name is None else values_beside(beside, name, ".nhdr, .raw", ".nrrd")
    packed = _without_lines(there, layout.lines)
    unpacked = _decoder(layout.encoding, packed)
    skipped = layout.skipped if layout.skipped >= 0 else max(0, len(packed) - layout.grid.bytes)
    values = one_volume(layout.grid, volume, unpacked, skipped, limits)
    remarks = remark_on(volume, layout.grid.volumes)
    return Volume("nrrd", values, layout.affine, layout.unplaced, remarks, mm=layout.mm)


def values_name(head: bytes) -> str | None:
    """The name of the file that a header gives for its values; None where they are in the same file."""
    return _values_name(_fields(head)[0])


def _values_name(fields: Mapping[str, str]) -> str | None:
    return fields.get("data file", fields.get("datafile"))


def _layout(magic: bytes, fields: Mapping[str, str], limits: Limits) -> _Layout:
    def skip(what: str) -> int:
        return int(fields.get(f"{what} skip", fields.get(f"{what}skip", "0")))

    try:
        with np.errstate(all="ignore"):
            taken = [f"{name}: {value}" for name, value in fields.items() if name in _PARSED]
            header = pynrrd.read_header([magic.decode(), *taken])
            encoding, lines, skipped = str(header["encoding"]).lower(), skip("line"), skip("byte")
            sizes = [int(each) for each in header["sizes"]]
            if header["dimension"] != len(sizes) or not 0 <= lines <= LINES:
                raise CorruptImageError(DAMAGED)
            if skipped < (-1 if encoding == "raw" else 0):
                raise CorruptImageError(DAMAGED)
            spatial = _spatial(header, len(sizes))
            affine, unplaced = _affine(header, spatial)
            values = grid(sizes, _dtype(header), limits, spatial)
            return _Layout(values, encoding, lines, skipped, affine, unplaced, _mm(header, fields))
    except CorruptImageError:
        raise
    except Exception as error:  # pynrrd lets errors of several kinds through, with words of the file
        raise CorruptImageError(DAMAGED) from error


def _fields(content: bytes) -> tuple[dict[str, str], int]:
    """Those fields of a header that are read, as text, and where the values begin."""
    end = re.compile(rb"\r?\n\r?\n").search(content, 0, LONGEST)
    if end is None and len(content) > LONGEST:
        raise CorruptImageError(DAMAGED)
    found = {}
    for line in content[: end.start() if end else None].splitlines()[1:]:
        name, colon, value = os.fsdecode(line).partition(":")
        name = name.strip().lower()
        if colon and name in _PARSED | _OTHERS | _UNITS and not value.startswith("="):  # name:=value is somebody's own
            if name in found:
                raise CorruptImageError(DAMAGED)
            found[name] = value.strip()
    return found, end.end() if end else len(content)


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    if header["type"] == "block":
        raise CorruptImageError(NO_GRAYS)
    nothing = {**header, "encoding": "raw", "dimension": 1, "sizes": np.zeros(1, int)}
    dtype: np.dtype[Any] = pynrrd.read_data(nothing, io.BytesIO()).dtype
    return dtype


def _spatial(header: Mapping[str, Any], axes: int) -> list[int]:
    """Which axes lie in the patient; CorruptImageError where what lies along another is no gray level."""
    directions, kinds = header.get("space directions"), header.get("kinds")
    if directions is not None:
        if len(directions) != axes:
            raise CorruptImageError(DAMAGED)
        found = [axis for axis, row in enumerate(directions) if not np.isnan(row).all()]
    elif kinds is not None:
        found = [axis for axis, kind in enumerate(kinds) if kind.lower() in _IN_THE_PATIENT]
    else:
        found = list(range(axes))
    for axis, size in enumerate(header["sizes"]):
        if kinds is not None and axis not in found[:3] and size > 1 and kinds[axis].lower() not in _VOLUMES:
            raise CorruptImageError(NO_GRAYS)
    return found[:3]


def _affine(header: Mapping[str, Any], spatial: Sequence[int]) -> tuple[NDArray[np.float64], str]:
    """From voxels to mm (3, 3), RAS+, and what to say where the header does not say so."""
    signs = _SPACES.get(str(header.get("space", "")).lower().removesuffix("-time"))
    directions = header.get("space directions")
    lengths = np.ones(3)
    if directions is not None:
        axes = np.array([directions[axis] for axis in spatial], np.float64)
        if signs and axes.shape[1] >= 3:
            axes = axes[:, :3] * signs
            if len(axes) == 2:
                across = np.cross(*axes)
                axes = np.vstack([axes, across / np.linalg.norm(across)])
            return axes.T, ""
        lengths[: len(axes)] = np.linalg.norm(axes, axis=1)
    elif "spacings" in header:
        given = np.array([header["spacings"][axis] for axis in spatial], np.float64)
        lengths[: len(given)] = np.where(np.isnan(given), 1.0, given)
    return np.diag(lengths * (-1, -1, 1)), UNPLACED


def _mm(header: Mapping[str, Any], fields: Mapping[str, str]) -> float | None:
    given = "space directions" in header or "spacings" in header
    said = all(_MILLIMETRES.fullmatch(fields[name]) for name in _UNITS & fields.keys())
    return 1.0 if given and said else None


def _without_lines(packed: Bytes, lines: int) -> Bytes:
    content, start = bytes(packed) if lines else b"", 0
    for _ in range(lines):
        start = content.find(b"\n", start) + 1
        if not start:
            raise CorruptImageError(DAMAGED)
    return packed[start:] if lines else packed


def _decoder(encoding: str, packed: Bytes) -> Callable[[int], Bytes]:
    if encoding == "raw":
        return lambda _: packed
    if encoding in ("gzip", "gz"):
        return partial(gunzipped, packed)
    if encoding in ("bzip2", "bz2"):
        return partial(bunzipped, packed)
    raise CorruptImageError("its values are written as text: save it as raw or gzip")
