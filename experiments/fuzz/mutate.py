"""Damage to a file: what is random, and what knows where sizes stand."""

import gzip
import struct
import zlib
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
EXTREMES = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
REALS = (0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf"), float("-inf"))
ENCAPSULATED = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
DEFLATED = b"1.2.840.10008.1.2.1.99"


def mutate(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    """A damaged copy. Most files that are packed are damaged inside, and half of the PNGs get true checksums."""
    if content[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        return gzip.compress(_damaged(rng, gzip.decompress(content), [gzip.decompress(each) for each in others]), 1)
    if (place := content.find(DEFLATED)) > 0 and rng.random() < 0.7:
        return _inside(rng, content, place + len(DEFLATED))
    if (place := content.find(ENCAPSULATED)) > 0 and rng.random() < 0.6:
        return _in_fragment(rng, content, place + len(ENCAPSULATED))
    found = _damaged(rng, content, others)
    return _true_checksums(found) if found[:4] == b"\x89PNG" and rng.random() < 0.5 else found


def _damaged(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    for _ in range(int(rng.choice([1, 1, 1, 1, 1, 2, 3]))):
        if content:
            content = WAYS[int(rng.integers(len(WAYS)))](rng, content, others)
    return content


def _place(rng: Rng, content: bytes) -> int:
    """Headers stand in front, so every other place is there."""
    end = len(content) if rng.random() < 0.5 else min(len(content), int(rng.choice([32, 128, 352, 1200])))
    return int(rng.integers(end))


def _bits(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        out[_place(rng, content)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _byte(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    out = bytearray(content)
    out[_place(rng, content)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, int(rng.integers(256))]))
    return bytes(out)


def _truncate(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    return content[: _place(rng, content)]


def _delete(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    start = _place(rng, content)
    return content[:start] + content[start + int(rng.choice([1, 2, 4, 8, 64, 1000])) :]


def _double(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    start, size = _place(rng, content), int(rng.choice([1, 2, 4, 8, 64, 1000]))
    return (
        content[: start + size] * 1
        + content[start : start + size] * int(rng.choice([1, 2, 50]))
        + content[start + size :]
    )


def _splice(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    other = others[int(rng.integers(len(others)))]
    return content[: _place(rng, content)] + other[_place(rng, other) if other else 0 :]


def _extreme(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    start, size = _place(rng, content), int(rng.choice([2, 4, 8]))
    if size > 2 and rng.random() < 0.2:
        field = struct.pack(
            "<>"[int(rng.integers(2))] + ("f" if size == 4 else "d"), REALS[int(rng.integers(len(REALS)))]
        )
    else:
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] & (2 ** (8 * size) - 1)
        field = value.to_bytes(size, "little" if rng.random() < 0.6 else "big")
    return content[:start] + field + content[start + size :]


def _element(rng: Rng, content: bytes, others: list[bytes]) -> bytes:
    """A DICOM element of group 28, or the pixels': another length, or another value."""
    order = "little" if rng.random() < 0.8 else "big"
    tags = [
        int(each) for each in (2, 4, 6, 8, 0x10, 0x11, 0x30, 0x100, 0x101, 0x103, 0x120, 0x1050, 0x1051, 0x1052, 0x1053)
    ]
    tag = (
        b"\xe0\x7f\x10\x00"
        if rng.random() < 0.15
        else b"\x28\x00" + tags[int(rng.integers(len(tags)))].to_bytes(2, "little")
    )
    start = content.find(tag)
    if start < 0:
        return _extreme(rng, content, others)
    start += int(rng.choice([4, 6, 8, 8, 8, 10]))
    value = EXTREMES[int(rng.integers(len(EXTREMES)))]
    size = int(rng.choice([2, 2, 4]))
    field = (value & (2 ** (8 * size) - 1)).to_bytes(size, order) if rng.random() < 0.7 else b"99999999"[:size]
    return content[:start] + field + content[start + size :]


WAYS: tuple[Callable[[Rng, bytes, list[bytes]], bytes], ...] = (
    *(_bits, _bits, _byte, _byte, _byte, _truncate, _delete, _double, _splice, _extreme, _extreme, _element, _element),
)


def _inside(rng: Rng, content: bytes, start: int) -> bytes:
    """A deflated DICOM file, whose data set begins at the first place behind `start` that unpacks."""
    for place in range(start, min(start + 400, len(content))):
        try:
            plain = zlib.decompress(content[place:], -zlib.MAX_WBITS)
        except zlib.error:
            continue
        if len(plain) > 1000:
            packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            return content[:place] + packer.compress(_damaged(rng, plain, [plain])) + packer.flush()
    return _damaged(rng, content, [content])


def _in_fragment(rng: Rng, content: bytes, start: int) -> bytes:
    """A compressed picture inside a DICOM file is damaged, and the length before it stays true."""
    items = []
    while content[start : start + 4] == b"\xfe\xff\x00\xe0":
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        if size:
            items.append((start + 8, size))
        start += 8 + size
    if not items:
        return _damaged(rng, content, [content])
    start, size = items[int(rng.integers(len(items)))]
    piece = _damaged(rng, content[start : start + size], [content[start : start + size]])
    piece += b"\0" * (len(piece) % 2)
    return content[: start - 4] + struct.pack("<I", len(piece)) + piece + content[start + size :]


def _true_checksums(content: bytes) -> bytes:
    out, place = bytearray(content), 8
    while place + 12 <= len(out):
        size = int.from_bytes(out[place : place + 4], "big")
        end = place + 8 + size
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(out)
