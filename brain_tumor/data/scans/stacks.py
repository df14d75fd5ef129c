"""Files of a DICOM series that are one volume: found by their headers, and read one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from posixpath import dirname
from typing import TYPE_CHECKING, Any

import numpy as np

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.pixels import spread
from brain_tumor.data.scans.dicom import open_dicom, sample_of
from brain_tumor.data.scans.dicom_elements import Budget, data_set, guarded, is_dicom, words
from brain_tumor.data.scans.dicom_placing import FILE_TAGS, placing_of_file
from brain_tumor.data.scans.dicom_scale import GrayScale, scale_of
from brain_tumor.data.scans.placing import Placing, volumes_of
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.paths import printable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# UID and Number of the series; of files without, those of the study and the frame of reference (PS3.3, C.7.2 to C.7.4)
UID, SERIES_NUMBER, STUDY, FRAME = 0x0020000E, 0x00200011, 0x0020000D, 0x00200052
FRAMES = 0x00280008
TAGS = [*FILE_TAGS, UID, SERIES_NUMBER, STUDY, FRAME, FRAMES]
FIRST = 4096  # bytes of a file that say whether it is a DICOM file
HEAD = 2**16  # bytes of a file in which all these stand, mostly; else it is read whole
LOOKED_AT = 256  # files of a volume, at most, for its scale; by 16 of 176, white was 1 % too low
VALUES = 2**23  # of all of them, about
Content = Callable[[int], bytes]  # so many bytes of a file, from its first


@dataclass(frozen=True)
class Stack:
    """A volume of several files, in their order; or a file by itself, of whatever kind."""

    name: str  # of the file; of several neutral, with the folder that they lie in: "sub/series 1 (176 slices)"
    files: tuple[str, ...]
    positions: tuple[float | None, ...] = ()  # of each slice, see `Place`; empty: nobody knows
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Slice:
    """What a file that is one slice says of itself; none of it is shown."""

    name: str
    series: tuple[Any, ...]  # the same of all files of a series
    order: float  # of the series among others
    placing: Placing


def stacks(files: Mapping[str, Content], limits: Limits) -> list[Stack]:
    """The volumes that files are, and the files that are none, in the order of their (first) names.

    Files of one folder with the same Series Instance UID are a series; of files without it, those of the same study and
    frame of reference that say where they lie. Which of them are a volume, and in what order, see `volumes_of`. Files
    of several frames, mosaics, and such as are damaged or hold no picture, stand by themselves.

    Args:
        files: by their names, posix.
        limits: what a file may cost.
    """
    folders: dict[str, dict[tuple[Any, ...], list[_Slice]]] = {}
    alone = []
    for name in sorted(files):
        found = _slice(name, files[name], limits)
        if found is None:
            alone.append(Stack(name, (name,)))
        else:
            folders.setdefault(dirname(name), {}).setdefault(found.series, []).append(found)
    made = [stack for folder, series in folders.items() for stack in _of_folder(folder, list(series.values()))]
    return sorted([*alone, *made], key=lambda each: min(each.files))


def open_stack(stack: Stack, files: Mapping[str, Content], plane: Plane, limits: Limits) -> Scan:
    """The scan of a stack of several files, which are read when their slices are asked for; nothing of them is kept.

    All are shown in one gray scale.

    Raises:
        CorruptImageError: it has too many slices or values, or its first file cannot be read; that of the first slice
            which cannot names its file.
    """
    count = len(stack.files)
    if count > limits.slices:
        raise CorruptImageError(f"too large: {count:,} slices are over the limit of {limits.slices:,}")
    contents = [files[name] for name in stack.files]
    scale = scale_of_files(contents, limits)

    def opened(index: int) -> Scan:
        try:
            return open_dicom(contents[index](limits.file_bytes + 1), limits, scale)
        except OSError as error:
            reason = error.strerror or str(error)
        except CorruptImageError as error:
            reason = str(error)
        raise CorruptImageError(f"{printable(stack.files[index])}: {reason}")

    first = opened(0)
    width, height = first.picture(0).size
    if count * width * height > limits.samples:
        raise CorruptImageError(
            f"too large: {count * width * height:,} values are over the limit of {limits.samples:,}"
        )
    remarks = (*stack.remarks, *first.remarks)
    if plane not in ("auto", first.plane):
        remarks = (*remarks, f"its slices are {first.plane or 'as they are stored'}: a DICOM series is not cut anew")
    return Scan(
        "dicom",
        count,
        first.plane,
        lambda index: opened(index).picture(0),
        remarks=remarks,
        pixel_mm=first.pixel_mm * count,
        positions=stack.positions,
        files=stack.files,
    )


def scale_of_files(contents: Sequence[Content], limits: Limits) -> GrayScale | None:
    """The scale of files that are shown alike; None where none of them has any grays."""
    samples, chosen = [], spread(np.arange(len(contents)), LOOKED_AT)
    for place in chosen:
        try:
            sample = sample_of(contents[place](limits.file_bytes), limits, VALUES // len(chosen))
        except (CorruptImageError, OSError):  # said when it is its turn
            continue
        if sample is not None and sample.values.size:
            samples.append(sample)
    return scale_of(samples) if samples else None


def _of_folder(folder: str, series: list[list[_Slice]]) -> list[Stack]:
    """The stacks of a folder's series, which are counted where they are volumes."""
    found, number = [], 0
    for slices in sorted(series, key=lambda each: (min(one.order for one in each), each[0].name)):
        volumes = volumes_of([each.placing for each in slices])
        number += any(len(volume.places) > 1 for volume in volumes)
        for volume in volumes:
            names = tuple(slices[index].name for index in volume.places)
            if len(names) == 1:
                found.append(Stack(names[0], names))
                continue
            called = f"series {number}{volume.called} ({len(names)} slices)"
            name = f"{folder}/{called}" if folder else called
            found.append(Stack(name, names, volume.positions, volume.remarks))
    return found


def _slice(name: str, content: Content, limits: Limits) -> _Slice | None:
    """What a file says of itself; None of one that stands by itself, for whatever reason."""
    try:
        if not is_dicom(content(FIRST)):
            return None
        for size in (HEAD, limits.file_bytes):
            head = content(size)
            whole = size != HEAD or len(head) < HEAD
            try:
                _, elements = data_set(head, limits, TAGS, Budget(), until=max(TAGS))
                if whole or "PixelSpacing" in elements:
                    return guarded("a damaged header of a DICOM file", partial(_said, name, elements))
            except CorruptImageError:  # said when it is its turn, as are errors of the disk
                if whole:
                    return None
    except OSError:
        pass
    return None


def _said(name: str, elements: "Dataset") -> _Slice | None:
    if (
        "Columns" not in elements
        or int(elements.get("NumberOfFrames") or 1) > 1
        or "MOSAIC" in words(elements, "ImageType")
    ):
        return None
    placing = placing_of_file(elements)
    series: tuple[Any, ...] = (str(elements.get("SeriesInstanceUID") or ""),)
    if not series[0]:
        if not placing.placed:
            return None
        series = tuple(str(elements.get(key) or "") for key in ("StudyInstanceUID", "FrameOfReferenceUID"))
    number = elements.get("SeriesNumber")
    return _Slice(name, series, float("inf") if number is None else float(number), placing)
