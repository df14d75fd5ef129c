"""What a compressed picture says of itself, before a decoder reserves memory for it."""

import struct

from brain_tumor.data.decode import CorruptImageError

END = b"\xff\xd9"  # of a JPEG or JPEG-LS picture
J2K_START = b"\xff\x4f\xff\x51"
TILES = 4096  # of a JPEG 2000 picture; decoders reserve kilobytes for each
# Start of frame: all JPEG processes, and JPEG-LS (ITU-T T.81 table B.1, T.87 table C.1).
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


def jpeg_size(frame: bytes) -> tuple[int, int, int]:
    """Width, height (pixels) and components of a JPEG or JPEG-LS picture (ITU-T T.81, B.2.2).

    Raises:
        CorruptImageError: there is no frame header.
    """
    position = 2
    while frame[:2] == b"\xff\xd8" and position + 10 <= len(frame) and frame[position] == 0xFF:
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if marker in FRAMES:
            height, width, components = struct.unpack(">HHB", frame[position + 5 : position + 10])
            return width, height, components
        position += 1 if marker == 0xFF else 2 + length
    raise CorruptImageError("a compressed picture has no header")


def j2k_codestream(frame: bytes) -> bytes:
    """The JPEG 2000 codestream of a frame, without the boxes of a .jp2 file that some writers leave around it."""
    start = frame.find(J2K_START)
    if start < 0:
        raise CorruptImageError("a compressed picture has no header")
    return frame[start:]


def j2k_size(codestream: bytes) -> tuple[int, int, int]:
    """Width, height (pixels) and components of a JPEG 2000 picture (ITU-T T.800, A.5.1).

    Raises:
        CorruptImageError: the header is cut, or has more tiles than any true picture.
    """
    if len(codestream) < 42:
        raise CorruptImageError("a compressed picture has no header")
    x1, y1, x0, y0, tile_width, tile_height, tile_x, tile_y, components = struct.unpack(">8IH", codestream[8:42])
    if not tile_width or not tile_height or x1 <= x0 or y1 <= y0:
        raise CorruptImageError("a compressed picture has an impossible header")
    if (-(-(x1 - tile_x) // tile_width)) * (-(-(y1 - tile_y) // tile_height)) > TILES:
        raise CorruptImageError("a compressed picture has too many tiles")
    return x1 - x0, y1 - y0, components
