"""The files of a request, as a server is sent them: base64 in JSON, from whoever can reach it."""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Extent, Limits, Plane, Scan
from brain_tumor.data.scans.stacks import Content, Stack, open_stack, stacks
from brain_tumor.data.scans.zipped import is_zip, unzipped
from brain_tumor.errors import InputError
from brain_tumor.serving.files import Read, whole

LIMITS = Limits(file_bytes=64 * 2**20, slices=512, samples=2**27)  # of a file
MOST_FILES = 32  # in a request
_BLANKS = str.maketrans("", "", "\r\n")  # what `base64` breaks its lines with


@dataclass(frozen=True)
class SentFile:
    """One file of a request."""

    name: str  # file 1 of 3
    content: bytes
    plane: Plane


@dataclass(frozen=True, eq=False)
class SentScan:
    """What is answered: a file of a request, several that are a volume, or a volume in a zip file."""

    files: tuple[int, ...]  # of the request, from 1
    stack: Stack
    contents: Mapping[str, Content]
    plane: Plane


def sent_files(rows: Sequence[Mapping[Any, Any]], limits: Limits = LIMITS) -> list[SentFile]:
    """The files in a request's rows: `content`, base64, and `plane`, which may be missing.

    Nothing that a row names is ever opened. All of them together may have as many bytes as one file.

    Raises:
        InputError: a row without a file, which may be a path or an address, or more than `limits` or MOST_FILES allow.
    """
    if not 1 <= len(rows) <= MOST_FILES:
        raise InputError(f"{len(rows)} files: a request has 1 to {MOST_FILES}")
    names = [f"file {index} of {len(rows)}" for index in range(1, len(rows) + 1)]
    texts = [_text(row.get("content"), name) for name, row in zip(names, rows, strict=True)]
    # Before any of it is decoded; each file may have two bytes of padding, which count here.
    size = sum(map(len, texts)) * 3 // 4 - 2 * len(texts)
    if size > limits.file_bytes:
        raise InputError(f"too large: {size:,} bytes are over a request's limit of {limits.file_bytes:,}")
    return [
        SentFile(name, _decoded(text, name), _plane(row.get("plane"), name))
        for name, text, row in zip(names, texts, rows, strict=True)
    ]


def sent_scans(files: Sequence[SentFile], limits: Limits = LIMITS) -> list[SentScan]:
    """The scans that the files are, in their order: those of a DICOM series are one, also within a zip file.

    Raises InputError if a zip file cannot be read, is over a limit, or holds anything but DICOM files.
    """
    numbers = {file.name: number for number, file in enumerate(files, start=1)}
    found: list[SentScan] = []
    single: dict[str, Content] = {}
    left = limits  # of all zip files together
    for file in files:
        if not is_zip(file.content):
            single[file.name] = partial(_head, file.content)
            continue
        try:
            packed = {f"{file.name}, {name}": content for name, content in unzipped(file.content, left).items()}
        except CorruptImageError as error:
            raise InputError(f"{file.name}: {error}") from error
        left = replace(left, file_bytes=left.file_bytes - sum(map(len, packed.values())))
        contents: dict[str, Content] = {name: partial(_head, content) for name, content in packed.items()}
        found += [SentScan((numbers[file.name],), each, contents, file.plane) for each in stacks(contents, limits)]
    for stack in stacks(single, limits):
        places = tuple(sorted(numbers[name] for name in stack.files))
        found.append(SentScan(places, stack, single, files[places[0] - 1].plane))
    if len(found) > MOST_FILES:
        raise InputError(f"{len(found)} scans: a request has 1 to {MOST_FILES}")
    return sorted(found, key=lambda each: each.files[0])


def fitted(sent: SentScan, size: int, limits: Limits = LIMITS) -> tuple[Scan, NDArray[np.uint8], tuple[Extent, ...]]:
    """The scan, and its slices (N, size, size, 3) with their extents as `Scan.fitted` gives them.

    Raises InputError if it is none, is over a limit, or a slice cannot be decoded.
    """
    name, *others = sent.stack.files
    try:
        if others:
            scan = open_stack(sent.stack, sent.contents, sent.plane, limits)
        else:
            scan = open_scan(sent.contents[name](limits.file_bytes + 1), sent.plane, limits)
        return scan, *scan.fitted(size)
    except CorruptImageError as error:
        raise InputError(f"{sent.stack.name}: {error}") from error


def fitted_volume(
    sent: SentScan, shape: tuple[int, ...], spacing: Sequence[float] | None, limits: Limits = LIMITS
) -> Read:
    """The scan as one volume (1, D, H, W, 1) for a model of such. Raises InputError as `fitted`, and for a plane."""
    if sent.plane != "auto":
        raise InputError(f"{sent.stack.name}: the model takes whole volumes, which are not cut: leave out the plane")
    try:
        return whole(sent.stack, sent.contents, shape, spacing, limits)
    except CorruptImageError as error:
        raise InputError(f"{sent.stack.name}: {error}") from error


def _head(content: bytes, size: int) -> bytes:
    return content[:size]


def _text(content: Any, name: str) -> str:
    if not isinstance(content, str) or not content:
        raise InputError(f"{name}: content is missing, or is no text: give the file's bytes as base64")
    return content.translate(_BLANKS) if "\n" in content else content


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InputError(
            f"{name}: content is not base64: give the file's bytes; no path and no address is opened"
        ) from None


def _plane(value: Any, name: str) -> Plane:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # how pandas has what a row lacks
        return "auto"
    if value not in get_args(Plane):
        raise InputError(f"{name}: plane should be one of {', '.join(get_args(Plane))}")
    return cast(Plane, value)
