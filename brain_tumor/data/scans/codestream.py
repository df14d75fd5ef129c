"""Size and structure in the header of a JPEG or JPEG 2000 picture, read before a decoder reserves memory for it."""

import re
import struct
from collections.abc import Iterator

from brain_tumor.data.decode import CorruptImageError

END = b"\xff\xd9"  # of a JPEG or JPEG-LS picture
J2K_START = b"\xff\x4f\xff\x51"
SEGMENTS = 4096  # of a header of a JPEG; an ICC profile may take 255
TILES = 4096  # of a JPEG 2000 picture; decoders reserve kilobytes for each
BLOCKS = 2**18  # of all tiles and components of a JPEG 2000 picture; decoders reserve half a kilobyte for each
PACKETS = 2**24  # layers times blocks; decoders reserve some bytes for each
MARKERS = 2**14  # in all headers of a JPEG 2000 picture
SOT, SOD, COD, COC, EOC = 0xFF90, 0xFF93, 0xFF52, 0xFF53, 0xFFD9  # ITU-T T.800, table A.2
FILL = re.compile(rb"\xff+")  # ITU-T T.81, B.1.1.2: any number of them may come before a marker
# Start of frame: all JPEG processes, and JPEG-LS (ITU-T T.81 table B.1, T.87 table C.1).
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


def jpeg_size(frame: bytes) -> tuple[int, int, int]:
    """Width, height (pixels) and components of a JPEG or JPEG-LS picture (ITU-T T.81, B.2.2).

    Raises:
        CorruptImageError: there is no frame header.
    """
    position = 2
    for _ in range(SEGMENTS if frame[:2] == b"\xff\xd8" else 0):
        fill = FILL.match(frame, position)
        if fill is None:
            break
        position = fill.end() - 1
        head = frame[position + 1 : position + 10]
        if len(head) < 9:
            break
        if head[0] in FRAMES:
            height, width, components = struct.unpack(">HHB", head[4:])
            return width, height, components
        position += 2 + int.from_bytes(head[1:3], "big")
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


def j2k_parts(codestream: bytes) -> None:
    """Look whether a decoder would make too many parts of a picture whose size is looked at (A.4, A.5).

    Raises:
        CorruptImageError: a header is cut, or has more blocks or layers than any true picture.
    """
    width, height, components = j2k_size(codestream)
    layers, blocks = 1, 0
    for marker, style in _styles(codestream, components):
        # Of COD: 1 byte of flags, then order, layers (2) and transform of components, then as in COC (A.6.1, A.6.2)
        if marker == COD:
            layers = max(layers, int.from_bytes(style[2:4], "big"))
            style = style[:1] + style[5:]
        blocks = max(blocks, components * _blocks(style, width, height))
    if blocks > BLOCKS or layers * blocks > PACKETS:
        raise CorruptImageError("a compressed picture is in more parts than can be true")


def _styles(codestream: bytes, components: int) -> Iterator[tuple[int, bytes]]:
    """COD and COC segments, without the component's number, of the main header and of those of the tile parts."""
    position, end, tile = 2, len(codestream), False
    for _ in range(MARKERS):
        head = codestream[position : position + 4]
        marker, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
        if tile and marker == SOD:
            if not end:
                return
            position, tile = end, False
            continue
        if len(head) < 4 or marker == EOC or (not tile and end != len(codestream) and marker != SOT):
            return  # cut, or over
        # A length like a marker: decoders take it for one, after a marker that they do not know
        if not 2 <= length < 0xFF00 or marker < 0xFF00 or len(codestream) < position + 2 + length:
            raise CorruptImageError("a compressed picture has an impossible header")
        body = codestream[position + 4 : position + 2 + length]
        if marker == SOT:
            size = int.from_bytes(body[2:6], "big")
            if tile or (size and size < 12):
                raise CorruptImageError("a compressed picture has an impossible header")
            end, tile = position + size if size else 0, True
        elif marker == COD:
            yield COD, body
        elif marker == COC:
            yield COC, body[1 if components < 257 else 2 :]
        position += 2 + length
    raise CorruptImageError("a compressed picture is in more parts than can be true")


def _blocks(style: bytes, width: int, height: int) -> int:
    """How many code blocks one component has, about (B.6, B.7), were it one tile; at least one for each precinct."""
    if len(style) < 6:
        raise CorruptImageError("a compressed picture has no header")
    levels, across, down = style[1], (style[2] & 15) + 2, (style[3] & 15) + 2
    found = 0
    for resolution in range(min(levels, 32) + 1):
        size = style[6 + resolution] if style[0] & 1 and 6 + resolution < len(style) else 0xFF
        # Of all but the lowest resolution there are three bands of half its size, and precincts are halved with them
        halved = min(resolution, 1)
        shift = levels - resolution + halved
        columns = ((width >> shift) + 1 >> min(across, max(0, (size & 15) - halved))) + 1
        rows = ((height >> shift) + 1 >> min(down, max(0, (size >> 4) - halved))) + 1
        found += rows * columns * (3 if halved else 1)
    return found
