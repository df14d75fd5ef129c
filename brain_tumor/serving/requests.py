"""The files of a request, as a server is sent them: base64 in JSON, from whoever can reach it."""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Extent, Limits, Plane, Scan
from brain_tumor.data.scans.series import SeriesScales
from brain_tumor.errors import InputError

LIMITS = Limits(file_bytes=64 * 2**20, slices=512, samples=2**27)  # of a file
MOST_FILES = 32  # in a request
_BLANKS = str.maketrans("", "", "\r\n")  # what `base64` breaks its lines with


@dataclass(frozen=True)
class SentFile:
    """One file of a request."""

    name: str  # file 1 of 3
    content: bytes
    plane: Plane
    scales: SeriesScales | None = field(default=None, compare=False)  # of all files of the request


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
    contents = {name: _decoded(text, name) for name, text in zip(names, texts, strict=True)}
    scales = SeriesScales({name: partial(_head, content) for name, content in contents.items()}, limits)
    return [
        SentFile(name, content, _plane(row.get("plane"), name), scales)
        for (name, content), row in zip(contents.items(), rows, strict=True)
    ]


def fitted(file: SentFile, size: int, limits: Limits = LIMITS) -> tuple[Scan, NDArray[np.uint8], tuple[Extent, ...]]:
    """The scan in a file, and its slices (N, size, size, 3) with their extents as `Scan.fitted` gives them.

    Raises InputError if it is none, is over a limit, or a slice cannot be decoded.
    """
    try:
        scale = file.scales.of(file.name, file.content) if file.scales else None
        scan = open_scan(file.content, file.plane, limits, scale)
        return scan, *scan.fitted(size)
    except CorruptImageError as error:
        raise InputError(f"{file.name}: {error}") from error


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
