"""Colours of 16 bits in PNG and TIFF files, of which Pillow keeps the upper eight.

Pillow is asked twice for the same pixels, by the name of the order of their bytes: the second time by that of the other
order, so that it keeps the lower eight. So the decoders are those of all other pictures, and so are their limits.
"""

import io
import struct
import sys
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

MAX_DEEP = 2**24  # pixels; at four channels they take 0.7 GiB and some seconds
_MODES = ("RGB", "RGBA")  # as Pillow keeps them, gray with alpha, too
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # N: this machine's own
# In a PNG's header: gray and alpha of 16 bits are RGBA of 8 (PNG specification, 11.2.1: bit depth, colour type)
_GRAY_ALPHA, _AS_RGBA = b"\x10\x04", b"\x08\x06"
_PLANES, _BITS = 284, 258  # tags of TIFF 6.0, section 8: Planar Configuration, Bits Per Sample


def depth_lost(image: ImageFile.ImageFile) -> bool:
    """Whether a picture that is opened, and not loaded, has colours of 16 bits of which Pillow would keep eight."""
    return image.mode in _MODES and any(";16" in _raw_mode(each) for each in image.tile)


def in_planes(image: Image.Image) -> bool:
    """Whether it is a TIFF with a plane for each colour, in 16 bits, of which Pillow makes nonsense."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.mode in _MODES and tags.get(_PLANES) == 2 and max(tags.get(_BITS, (8,))) > 8


def deep_colours(content: bytes, formats: tuple[str, ...]) -> tuple[NDArray[np.uint16], Image.Image]:
    """Colours (H, W, 3), or grays (H, W), of 16 bits, laid on black where they are transparent; and Pillow's picture.

    Raises whatever Pillow raises of a damaged one.
    """
    with Image.open(io.BytesIO(content), formats=formats) as image:
        if any(_raw_mode(each).startswith("LA") for each in image.tile):
            with Image.open(io.BytesIO(_as_rgba(content)), formats=formats) as four:
                bytes_ = np.asarray(four)
            image.load()
            values = _joined(bytes_[..., ::2], bytes_[..., 1::2])
            return _on_black(values[..., 0], values[..., 1]), image
        laid = any(_raw_mode(each).startswith("RGBa") for each in image.tile)  # colours times alpha: as on black
        high = _loaded(image, swap=False)
        with Image.open(io.BytesIO(content), formats=formats) as again:
            values = _joined(high, _loaded(again, swap=True))
        colours, hidden = values[..., :3], image.info.get("transparency")
        if image.mode == "RGBA" and not laid:
            colours = _on_black(colours, values[..., 3:])
        elif isinstance(hidden, tuple):
            colours = np.where((colours == np.array(hidden, np.uint16)).all(axis=-1, keepdims=True), 0, colours)
        return np.ascontiguousarray(colours, np.uint16), image


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values = high.astype(np.uint16)
    values <<= 8
    values |= low
    return values


def _raw_mode(tile: Any) -> str:
    """Pillow's name of how the pixels of a part of a picture are stored."""
    how = tile[3]
    return str(how if isinstance(how, str) else how[0])


def _loaded(image: ImageFile.ImageFile, *, swap: bool) -> NDArray[np.uint8]:
    tiles: list[Any] = []
    parts: list[Any] = image.tile
    for each in parts:
        name = _raw_mode(each).replace("RGBa", "RGBA")
        name = name[:-1] + _OTHER[name[-1]] if swap else name
        how = name if isinstance(each[3], str) else (name, *each[3][1:])
        tiles.append(each._replace(args=how) if hasattr(each, "_replace") else (*each[:3], how))  # Pillow 11; before it
    image.tile = tiles
    return np.asarray(image)


def _on_black(values: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[np.uint16]:
    if (alpha == 0xFFFF).all():
        return values
    return ((values.astype(np.uint32) * alpha + 0x7FFF) // 0xFFFF).astype(np.uint16)


def _as_rgba(content: bytes) -> bytes:
    """The same PNG with a header that says four channels of 8 bits where it has two of 16: the bytes are alike."""
    head = content[12:24] + _AS_RGBA + content[26:29]  # IHDR: width, height, depth and kind, three methods
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
