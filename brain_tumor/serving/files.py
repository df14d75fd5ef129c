"""Answers for many scans: read ahead by threads, small ones in one batch, one that cannot be read stopping no other."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.prefetch import worked_ahead
from brain_tumor.data.scans.on_disk import Beside, beginning, beside, read_content
from brain_tumor.data.scans.opening import open_scan, volume_in
from brain_tumor.data.scans.scan import Extent, Limits, Place, Plane, Scan
from brain_tumor.data.scans.series_volume import series_of, volume_of
from brain_tumor.data.scans.stacks import Content, Stack, open_stack, stacks
from brain_tumor.data.scans.volume import Volume, chosen
from brain_tumor.data.volumes.decoding import fitted
from brain_tumor.evaluation.prediction import EVALUATION_BATCH
from brain_tumor.serving.predictor import Predictor, ScanPrediction, predict_scans, without_lesions

NO_VOLUME = "no whole volume: not a NIfTI, NRRD or MetaImage file, nor several DICOM files of a series"


@dataclass(frozen=True, eq=False)
class Read:
    """The slices of a file, or of a series of files; or in a line why there are none."""

    name: str
    kind: str = ""
    plane: str | None = None
    pixels: NDArray[np.uint8] | None = None  # (N, S, S, 3) RGB; for a model of whole volumes (1, D, H, W, C)
    error: str = ""
    remarks: tuple[str, ...] = ()  # see `Scan`
    places: tuple[Place, ...] = ()  # of each slice; empty where there is none
    extents: tuple[Extent, ...] = ()  # of each slice


def find_stacks(base: Path, names: Iterable[str]) -> list[Stack]:
    """The volumes that files of a folder are, and the files that stand by themselves, see `stacks`."""
    return stacks({name: partial(beginning, base / name) for name in names}, Limits())


def read_stacks(
    base: Path, found: Iterable[Stack], size: int, *, plane: Plane, workers: int, volume: int | None = None
) -> Generator[Read, None, None]:
    """Read what was found in a folder, in that order, each slice fitted to `size` pixels a side.

    Of a file of several volumes `volume` is read.
    """
    return worked_ahead(lambda stack: _read(base, stack, size, plane, volume), found, workers)


def read_each(paths: Iterable[Path], size: int, *, workers: int) -> Generator[Read, None, None]:
    """The same of volumes each by itself, a file or a folder with the files of one DICOM series, cut in their plane."""

    def read(path: Path) -> Read:
        if not path.is_dir():
            return _read(path.parent, Stack(path.name, (path.name,)), size, "auto", None)
        try:
            return _read(path, series_of(path, Limits()), size, "auto", None)
        except CorruptImageError as error:
            return Read(path.name, error=str(error))

    return worked_ahead(read, paths, workers)


def _read(base: Path, stack: Stack, size: int, plane: Plane, volume: int | None) -> Read:
    try:
        scan = _opened(base, stack, plane, volume)
        places = tuple(map(scan.place_of, range(scan.count)))
        pixels, extents = scan.fitted(size)
        return Read(stack.name, scan.kind, scan.plane, pixels, "", scan.remarks, places, extents)
    except CorruptImageError as error:
        return Read(stack.name, error=str(error))


def _opened(base: Path, stack: Stack, plane: Plane, volume: int | None) -> Scan:
    limits = Limits()
    if len(stack.files) > 1:
        chosen(volume, 1)
        return open_stack(stack, {name: partial(beginning, base / name) for name in stack.files}, plane, limits)
    path = base / stack.files[0]
    return open_scan(read_content(path, limits), plane, limits, volume, beside(path, limits))


def read_volumes(
    base: Path, found: Iterable[Stack], shape: tuple[int, ...], spacing: Sequence[float] | None, *, workers: int
) -> Generator[Read, None, None]:
    """The same for a model of whole volumes, fitted to `shape` (D, H, W, 1) as in training; a stack is one."""

    limits = Limits()

    def read(stack: Stack) -> Read:
        contents = {name: partial(beginning, base / name) for name in stack.files}
        try:
            return whole(stack, contents, shape, spacing, limits, beside(base / stack.files[0], limits))
        except CorruptImageError as error:
            return Read(stack.name, error=str(error))

    return worked_ahead(read, found, workers)


def whole(
    stack: Stack,
    contents: Mapping[str, Content],
    shape: tuple[int, ...],
    spacing: Sequence[float] | None,
    limits: Limits,
    beside: Beside | None = None,
) -> Read:
    """A file, or several that are a series, as one volume, see `read_volumes`; CorruptImageError where it is none."""
    first, *others = stack.files
    try:
        if others:
            volume: Volume | None = volume_of(stack.files, contents, limits)
        else:
            volume = volume_in(contents[first](limits.file_bytes + 1), limits, beside)
    except OSError as error:
        raise CorruptImageError(error.strerror or str(error)) from error
    if volume is None:
        raise CorruptImageError(NO_VOLUME)
    grays, _ = fitted(volume, shape, spacing)
    remarks = (*volume.said, *stack.remarks)
    return Read(stack.name, volume.kind, None, grays[None, ..., None], "", remarks)


def answer_files(
    predictor: Predictor, files: Iterable[Read], *, without: bool = False
) -> Iterator[tuple[Read, ScanPrediction | None]]:
    """Each file with what is said of it, in their order; None of one that could not be read.

    With `without` also what is said once what a lesion map marks is painted over, see `without_lesions`. At most a
    batch of files is held (more only where one file has more slices).
    """
    held: list[Read] = []
    slices = 0
    for file in files:
        held.append(file)
        slices += 0 if file.pixels is None else len(file.pixels)
        if slices >= EVALUATION_BATCH or len(held) >= EVALUATION_BATCH:
            yield from _answer(predictor, held, without)
            held, slices = [], 0
    yield from _answer(predictor, held, without)


def _answer(predictor: Predictor, held: list[Read], without: bool) -> Iterator[tuple[Read, ScanPrediction | None]]:
    scans = [file.pixels for file in held if file.pixels is not None]
    found = predict_scans(predictor, scans, tuple(extent for file in held for extent in file.extents))
    if without and scans:
        found = without_lesions(predictor, scans, list(found))
    for file in held:
        yield file, None if file.pixels is None else next(found)
