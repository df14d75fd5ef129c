"""Pictures that would cost Pillow far more than their pixels, known by their bytes before it decodes them."""

import struct
from collections.abc import Iterator

MAX_SCANNED = 16 * 89_478_485  # pixels of a JPEG, times the scans that each of them is refined in
MAX_SCANS = 2**13  # of all frames; each has its cost, however small the picture
SCAN = b"\xff\xda"  # begins one; markers never stand in compressed data (ITU-T T.81, B.1.1.5), so it can be counted
MAX_VALUES = 2**16  # of an entry of a TIFF directory: strips or tiles, of which Pillow makes a Python object each
MAX_ANIMATED = 2**24  # pixels of an animated WebP, whose decoder keeps two canvases and Pillow copies of them
MAX_WEBP = 2**25  # of one that does not move, which Pillow decodes as if it did: half a GiB
COLOUR_MAP = 320
# Types of a TIFF's values (TIFF 6.0, section 2; 13, 16, 17 and 18: later ones) that are taken apart one by one
NUMBERS = frozenset({3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16, 17, 18})
PUBLIC = 0x8000  # tags from here on are others' own, and never looked at
MAX_EXIF = 2**20  # bytes; Pillow makes Python objects of the numbers in it
OVER_EXIF = "a picture with more EXIF data than can be true"


def costly(content: bytes) -> str | None:
    """Why a picture is not to be opened, or None."""
    if content.startswith(b"BM"):
        return _bmp(content)
    if content.startswith((b"II", b"MM")) and any(
        tag < PUBLIC and kind in NUMBERS and count > (3 * MAX_VALUES if tag == COLOUR_MAP else MAX_VALUES)
        for tag, kind, count in _directory(content)
    ):
        return "a TIFF file with more strips or tiles than can be true"
    if content.startswith(b"RIFF"):
        return _webp(content)
    # Of up to 64 KiB each, which Pillow joins; a file has one, and pictures within it theirs
    if content.startswith(b"\xff\xd8") and content.count(b"Exif\0\0") > MAX_EXIF // 2**16:
        return OVER_EXIF
    return None


def scanned(scans: int, pixels: int) -> str | None:
    """Why a JPEG of so many scans of so many pixels is not to be decoded, or None."""
    return (
        f"too large: {scans:,} scans of {pixels:,} pixels"
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED
        else None
    )


def _bmp(content: bytes) -> str | None:
    """Pillow unpacks run lengths in Python, a pixel at a time."""
    size, compression = content[14:18], content[30:34]
    if size != struct.pack("<I", 12) and compression in (struct.pack("<I", 1), struct.pack("<I", 2)):
        return "a BMP file with run-length compression: save it uncompressed, or as PNG"
    return None


def _directory(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Tag, type and number of values of each entry of a TIFF's first directory (TIFF 6.0, section 2; BigTIFF)."""
    order = "<" if content.startswith(b"II") else ">"
    big = content[2:3] == b"+"  # to Pillow, whatever the order of bytes
    offset, number, entry = ("Q", "Q", "HHQ8x") if big else ("L", "H", "HHL4x")
    try:
        (start,) = struct.unpack_from(order + offset, content, 8 if big else 4)
        (entries,) = struct.unpack_from(order + number, content, start)
        start += struct.calcsize(order + number)
        for index in range(min(entries, MAX_VALUES)):
            yield struct.unpack_from(order + entry, content, start + index * struct.calcsize(order + entry))
    except (struct.error, OverflowError):
        return  # cut: Pillow says so


def _webp(content: bytes) -> str | None:
    """https://developers.google.com/speed/webp/docs/riff_container, and RFC 9649: a canvas of the three kinds."""
    moving = content[12:16] == b"VP8X" and ((content[20:21] > b"" and content[20] & 2) or b"ANMF" in content)
    width, height = _canvas(content)
    limit = MAX_ANIMATED if moving else MAX_WEBP
    if width * height > limit:
        kind = "moving picture" if moving else "WebP picture"
        return f"too large: {width} x {height} is over the limit of {limit:,} pixels for a {kind}"
    return None


def _canvas(content: bytes) -> tuple[int, int]:
    """Width and height of a WebP in pixels; (0, 0) of what is none, which Pillow refuses."""
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(content[26:28], "little") & 0x3FFF, int.from_bytes(content[28:30], "little") & 0x3FFF
    return 0, 0
