"""The first bytes of what a packed file holds: never more than are asked for, whatever it unpacks to."""

import bz2
import re
import zlib

from brain_tumor.data.decode import CorruptImageError

MEMBERS = 2**16  # of a gzip file; some tools write one for each 64 KiB
PIECE = 2**16  # bytes of a gzip file that are unpacked at once
DAMAGED = "its compressed values are damaged"
ZEROS = re.compile(rb"\0*")  # which may follow a member
Bytes = bytes | bytearray | memoryview


def is_gzip(content: bytes) -> bool:
    return content[:3] == b"\x1f\x8b\x08"


def gunzipped(content: Bytes, size: int) -> bytes | bytearray:
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


def inflated(content: Bytes, size: int) -> bytes:
    """The first `size` bytes, or fewer where there are no more, of one zlib or gzip stream (RFC 1950, RFC 1952)."""
    try:
        return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(content, size)
    except zlib.error as error:
        raise CorruptImageError(DAMAGED) from error


def bunzipped(content: Bytes, size: int) -> bytearray:
    """The first `size` bytes, or fewer where there are no more, of one bzip2 stream."""
    stream, found = bz2.BZ2Decompressor(), bytearray()
    try:
        found += stream.decompress(content, size)
        while len(found) < size and not stream.eof and not stream.needs_input:
            found += stream.decompress(b"", size - len(found))
    except OSError as error:
        raise CorruptImageError(DAMAGED) from error
    return found
