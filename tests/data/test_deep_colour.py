"""Pictures of 16 bits: the same pixels in any lossless form give the same picture."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data import decode as module
from brain_tumor.data.decode import CorruptImageError, decode, open_picture

GRAY = np.random.default_rng(0).integers(100, 4096, (20, 30)).astype(np.uint16)  # 12 bits of 16, as scanners store
COLOUR = np.random.default_rng(1).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type (PNG specification, 11.2.1)


def png(values: NDArray[np.uint16], *before: tuple[bytes, bytes]) -> bytes:
    """A PNG, written byte by byte: nothing else here writes gray with alpha of 16 bits."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, PNG_KINDS[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), *before, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def opencv(kind: str, values: NDArray[np.uint16], *options: int) -> bytes:
    """By OpenCV, which has blue first, and filters the rows of a PNG."""
    order = [2, 1, 0, 3][: values.shape[2]]
    done, encoded = cv2.imencode(kind, values[..., order], options)
    assert done
    return bytes(encoded)


def with_alpha(values: NDArray[np.uint16], alpha: Any = 0xFFFF) -> NDArray[np.uint16]:
    grays = values[..., None] if values.ndim == 2 else values
    return np.concatenate([grays, np.broadcast_to(alpha, (*values.shape[:2], 1)).astype(np.uint16)], axis=-1)


def shown(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(open_picture(content)[0])


def stretched(values: NDArray[Any]) -> NDArray[Any]:
    low, high = values.min(), values.max()
    return np.rint((values.astype(float) - low) / (high - low) * 255)


def forms(values: NDArray[np.uint16]) -> dict[str, bytes]:
    deflate, raw, lzw = ((cv2.IMWRITE_TIFF_COMPRESSION, each) for each in (8, 1, 5))
    return {
        "PNG": png(values), "PNG, filtered": opencv(".png", values), "PNG, alpha": png(with_alpha(values)),
        "PNG, alpha, filtered": opencv(".png", with_alpha(values)), "TIFF": opencv(".tiff", values, *raw),
        "TIFF, LZW": opencv(".tiff", values, *lzw), "TIFF, alpha": opencv(".tiff", with_alpha(values), *raw),
        "TIFF, alpha, deflated": opencv(".tiff", with_alpha(values), *deflate),
    }  # fmt: skip


@pytest.mark.parametrize("form", forms(COLOUR))
def test_colours_are_scaled_from_their_least_to_their_largest_value(form: str) -> None:
    assert np.array_equal(shown(forms(COLOUR)[form]), stretched(COLOUR))
    assert decode(forms(COLOUR)[form], 32).pixels.max() > 200  # and were all but black


def test_a_gray_picture_is_the_same_in_every_form() -> None:
    plain = shown(png(GRAY))
    assert np.array_equal(plain[..., 0], stretched(GRAY))
    for name, content in forms(np.stack([GRAY] * 3, axis=-1)).items():
        assert np.array_equal(shown(content), plain), name
    assert np.array_equal(shown(png(with_alpha(GRAY))), plain)
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "TIFF")
    assert np.array_equal(shown(file.getvalue()), plain)


@pytest.mark.parametrize("values", [GRAY, COLOUR], ids=["gray", "colour"])
def test_what_is_transparent_is_laid_on_black(values: NDArray[np.uint16]) -> None:
    alpha = np.zeros((20, 30, 1), np.uint16)
    alpha[:, 10:20], alpha[:, 20:] = 0x8000, 0xFFFF
    over = values[..., None] if values.ndim == 2 else values
    laid = np.rint(over * (alpha / 0xFFFF))
    expected = np.broadcast_to(stretched(laid), (20, 30, 3))
    assert np.array_equal(shown(png(with_alpha(values, alpha))), expected)


def test_a_colour_that_is_named_as_transparent_is_black() -> None:
    hidden = COLOUR[3, 4]
    picture = shown(png(COLOUR, (b"tRNS", hidden.astype(">u2").tobytes())))
    expected = COLOUR.copy()
    expected[3, 4] = 0
    assert np.array_equal(picture, stretched(expected))


def test_it_is_turned_as_it_says() -> None:
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6: a quarter to the right
    assert np.array_equal(shown(png(COLOUR, (b"eXIf", exif))), np.rot90(stretched(COLOUR), -1))


def test_a_tiff_with_a_plane_for_each_colour_is_refused() -> None:
    """Pillow reads its bytes as if they were of 8 bits."""
    planes, count, start = COLOUR.transpose(2, 0, 1).astype("<u2").tobytes(), 9, 8
    after = start + 2 + 12 * count + 4
    sizes = struct.pack("<3L", *[1200] * 3)
    offsets = struct.pack("<3L", *(after + 30 + 1200 * each for each in range(3)))
    tags = [(256, 3, 1, 30), (257, 3, 1, 20), (258, 3, 3, after), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 3, after + 6), (277, 3, 1, 3), (279, 4, 3, after + 18), (284, 3, 1, 2)]
    head = b"II*\0" + struct.pack("<LH", start, count) + b"".join(struct.pack("<HHLL", *each) for each in tags)
    content = head + bytes(4) + struct.pack("<3H", 16, 16, 16) + offsets + sizes + planes
    assert Image.open(io.BytesIO(content)).size == (30, 20)
    with pytest.raises(CorruptImageError, match="of 16 bits in planes"):
        open_picture(content)


def test_limits_and_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (png(COLOUR), png(with_alpha(GRAY))):
        with pytest.raises(CorruptImageError) as caught:
            open_picture(content[: len(content) // 2])
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(module, "MAX_DEEP", 599)
    with pytest.raises(CorruptImageError, match=r"30 x 20 is over the limit of 599 pixels for colours of 16 bits"):
        open_picture(png(COLOUR))
    assert open_picture(png(GRAY))[0].size == (30, 20)
