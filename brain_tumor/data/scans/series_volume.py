"""The values of a DICOM series as one volume, with its place in the patient."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from posixpath import basename
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom import values_of
from brain_tumor.data.scans.dicom_elements import Budget, data_set, guarded
from brain_tumor.data.scans.dicom_placing import FILE_TAGS, placing_of_file
from brain_tumor.data.scans.on_disk import beginning
from brain_tumor.data.scans.placing import Placing
from brain_tumor.data.scans.scan import Limits
from brain_tumor.data.scans.stacks import Content, Stack, stacks
from brain_tumor.data.scans.volume import Volume
from brain_tumor.paths import printable

EVEN = 0.1  # share of the usual distance by which that of two slices may differ
TO_RAS = np.diag([-1.0, -1.0, 1.0])  # the patient's axes run to the left and the back in DICOM


def read_series(folder: Path, limits: Limits | None = None) -> Volume:
    """The volume that the DICOM files of a folder are, in the unit of their modality, whatever their windows.

    Raises:
        CorruptImageError: they are not one series of single slices, all of which say where they lie, evenly; or one
            cannot be read, which is named.
    """
    limits = limits or Limits()
    series = series_of(folder, limits)
    return volume_of(series.files, _contents(folder), limits)


def check_series(folder: Path) -> None:
    """Raise CorruptImageError as `read_series`, but of the slices read the first alone."""
    limits = Limits()
    _read(series_of(folder, limits).files[0], _contents(folder), limits)


def series_of(folder: Path, limits: Limits) -> Stack:
    """The one series of slices that lies in a folder. Raises CorruptImageError where there is none, or several are."""
    found = stacks(_contents(folder), limits)
    several = [each for each in found if len(each.files) > 1]
    if not several:
        raise CorruptImageError("a folder without a series of DICOM files that are a slice each: convert it to NIfTI")
    if len(several) > 1:
        raise CorruptImageError(
            f"a folder of DICOM files that are {len(several)} series of slices: give each series a folder of its own"
        )
    return several[0]


def _contents(folder: Path) -> dict[str, Content]:
    """How the files of a folder are read, by their names."""
    files = sorted(each.name for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    return {name: partial(beginning, folder / name) for name in files}


def volume_of(files: Sequence[str], contents: Mapping[str, Content], limits: Limits) -> Volume:
    """The volume that DICOM files, each a slice, are in this order. Raises CorruptImageError as `read_series`."""
    slices, placings, held = [], [], 0
    for name in files:
        placing, values = _read(name, contents, limits)
        placings.append(placing)
        slices.append(values)
        held += values.size
        if held > limits.samples:
            raise CorruptImageError(f"too large: its values are over the limit of {limits.samples:,}")
    return Volume("dicom", np.stack([each.T for each in slices], axis=-1), _affine(placings))


def _read(name: str, contents: Mapping[str, Content], limits: Limits) -> tuple[Placing, NDArray[Any]]:
    """Where a slice lies, and its values. Raises CorruptImageError, which names its file."""
    try:
        content = contents[name](limits.file_bytes + 1)
        return _placing(content, limits), values_of(content, limits)
    except (CorruptImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise CorruptImageError(f"{printable(basename(name))}: {reason or error}") from error


def _affine(placings: Sequence[Placing]) -> NDArray[np.float64]:
    """(4, 4) from (column, row, slice) to mm, RAS+."""
    first = placings[0]
    height, width = first.grid[2:]
    if not all(each.placed for each in placings) or min(height, width) <= 0:
        raise CorruptImageError("its files do not say where they lie: convert the series to NIfTI")
    row, column = (np.array(each) for each in (first.orientation[:3], first.orientation[3:]))
    places = np.array([each.position for each in placings])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.median(steps))
    if usual <= 0 or (np.abs(steps - usual) > EVEN * usual).any():
        raise CorruptImageError("its slices do not lie at even distances: one is missing or twice there")
    affine = np.eye(4)
    between = (places[-1] - places[0]) / (len(places) - 1)
    affine[:3, :3] = TO_RAS @ np.column_stack([row * width, column * height, between])
    affine[:3, 3] = TO_RAS @ places[0]
    return affine


def _placing(content: bytes, limits: Limits) -> Placing:
    _, elements = data_set(content, limits, [*FILE_TAGS], Budget())
    return guarded("a damaged header of a DICOM file", partial(placing_of_file, elements))
