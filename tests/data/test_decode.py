import hashlib
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import MAX_PIXELS, CorruptImageError, decode, letterbox

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
RGB = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=-1)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes, size: int = 8) -> NDArray[np.uint8]:
    return decode(content, size).pixels


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_the_very_pixels(kind: str, options: dict[str, Any]) -> None:
    assert np.array_equal(pixels(encode(Image.fromarray(RGB), kind, **options)), RGB)


def test_jpeg_gives_nearly_the_pixels() -> None:
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    content = encode(Image.fromarray(flat), "JPEG", quality=95)
    assert np.abs(pixels(content).astype(int) - flat).max() <= 3
    gray = np.repeat(np.full((8, 8, 1), 90, np.uint8), 3, axis=-1)
    assert np.array_equal(pixels(encode(Image.fromarray(gray).convert("L"), "JPEG")), gray)


def test_gray_becomes_rgb() -> None:
    expected = np.repeat(GRAY[..., None], 3, axis=-1)
    assert np.array_equal(pixels(encode(Image.fromarray(GRAY), "PNG")), expected)


def test_one_bit_image_is_black_and_white() -> None:
    bits = np.eye(8, dtype=bool)
    expected = np.repeat((bits * 255).astype(np.uint8)[..., None], 3, axis=-1)
    assert np.array_equal(pixels(encode(Image.fromarray(bits), "PNG")), expected)


def test_transparency_is_laid_on_black() -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, 4:] = 255
    expected = np.where(alpha[..., None] == 255, RGB, 0)
    assert np.array_equal(pixels(encode(Image.fromarray(np.dstack([RGB, alpha])), "PNG")), expected)
    half = np.dstack([np.full((8, 8), 200, np.uint8), np.full((8, 8), 128, np.uint8)])
    composed = pixels(encode(Image.fromarray(half, "LA"), "PNG"))
    assert np.abs(composed.astype(int) - 100).max() <= 1  # 200 * 128 / 255


def test_palette_with_and_without_transparency() -> None:
    indexed = Image.new("P", (8, 8), 1)
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putpixel((0, 0), 0)
    opaque = pixels(encode(indexed, "PNG"))
    assert opaque[0, 0].tolist() == [10, 20, 30]
    assert opaque[1, 1].tolist() == [40, 50, 60]
    clear = pixels(encode(indexed, "PNG", transparency=0))
    assert clear[0, 0].tolist() == [0, 0, 0]
    assert clear[1, 1].tolist() == [40, 50, 60]


def test_cmyk() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert pixels(encode(cyan, "TIFF"))[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize(("kind", "dtype"), [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.float32)])
def test_more_than_8_bits_are_scaled_from_their_own_range(kind: str, dtype: type) -> None:
    values = np.full((8, 8), 1000, dtype)
    values[0, 0], values[0, 1], values[0, 2] = 600, 1400, 800  # low, high, a quarter of the way
    decoded = pixels(encode(Image.fromarray(values), kind))
    assert decoded[0, :4, 0].tolist() == [0, 255, 64, 128]  # 63.75 and 127.5, rounded to even
    assert (decoded == decoded[..., :1]).all()


def test_float_image_with_holes_and_a_flat_one() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.0], [1.0, 1.0, 0.5, 0.0]], np.float32)
    decoded = pixels(encode(Image.fromarray(values), "TIFF"), 4)[1:3, :, 0]
    assert decoded.tolist() == [[0, 255, 0, 0], [255, 255, 128, 0]]
    assert not pixels(encode(Image.fromarray(np.full((8, 8), 7.0, np.float32)), "TIFF")).any()


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise for display
    content = encode(Image.fromarray(RGB), "PNG", exif=exif)
    assert np.array_equal(pixels(content), np.rot90(RGB, -1))


def test_first_frame_is_taken() -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())
    content = encode(first, "TIFF", save_all=True, append_images=[second])
    assert np.array_equal(pixels(content), RGB)


def test_letterbox_keeps_the_ratio_and_centres() -> None:
    wide = Image.new("L", (40, 20), 200)
    square = np.asarray(letterbox(wide, 10, Image.Resampling.BILINEAR))
    assert square.shape == (10, 10)
    assert np.array_equal(np.flatnonzero(square.any(axis=1)), np.arange(2, 7))  # 5 rows, 2 above and 3 below
    assert (square[2:7] == 200).all()
    line = np.asarray(letterbox(Image.new("L", (1000, 1), 9), 10, Image.Resampling.BILINEAR))
    assert np.count_nonzero(line) == 10


def test_shrinking_averages() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    shrunk = pixels(encode(Image.fromarray(board.astype(np.uint8)), "PNG"), 8)
    assert np.abs(shrunk.astype(int) - 127).max() <= 6  # without antialiasing it would be 0 and 255


def test_digest_is_that_of_the_rgb_pixels_in_their_own_size() -> None:
    rgb = np.repeat(GRAY[..., None], 3, axis=-1)
    known = hashlib.sha256(b"(8, 8, 3)" + rgb.tobytes()).hexdigest()
    contents = [
        encode(Image.fromarray(GRAY), "PNG"),
        encode(Image.fromarray(rgb), "BMP"),
        encode(Image.fromarray(rgb).convert("RGBA"), "PNG"),
    ]
    assert {decode(content, size).digest for content in contents for size in (4, 8)} == {known}
    flat = Image.fromarray(np.zeros((4, 16), np.uint8))
    assert decode(encode(flat, "PNG"), 8).digest != decode(encode(flat.resize((8, 8)), "PNG"), 8).digest


def test_facts_of_the_file() -> None:
    decoded = decode(encode(Image.new("L", (30, 20)), "PNG"), 8)
    assert (decoded.width, decoded.height, decoded.mode) == (30, 20, "L")


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no picture of it."""
    header = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, world", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
        (encode(Image.fromarray(RGB), "JPEG")[:-300], "Truncated"),
        (encode(Image.fromarray(np.tile(RGB, (40, 40, 1))), "JPEG")[:-2000], "truncated"),
        (encode(Image.fromarray(np.tile(RGB, (40, 40, 1))), "PNG")[:-100], "truncated|broken"),
        (png_of(10_000, MAX_PIXELS // 10_000 + 1), "too large: 10000 x 8948"),
        (png_of(100_000, 100_000), "too large"),
    ],
)
def test_corrupt_files_have_their_reason(content: bytes, reason: str) -> None:
    with pytest.raises(CorruptImageError, match=reason) as caught:
        decode(content, 8)
    assert "\n" not in str(caught.value)


def test_large_pictures_do_not_take_many_times_their_own_memory() -> None:
    deep = np.zeros((3000, 3000), np.uint16)
    deep[0, 0] = 9
    content = encode(Image.fromarray(deep), "PNG")
    tracemalloc.start()
    pixels(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 * deep.size  # bytes; in real numbers all at once it was 40


def test_transparency_is_laid_on_black_in_every_part_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = np.random.default_rng(0).integers(0, 256, (50, 7, 4), dtype=np.uint8)
    content = encode(Image.fromarray(layer), "PNG")
    whole = decode(content, 50).digest
    monkeypatch.setattr("brain_tumor.data.decode.BAND", 20)  # two rows
    assert decode(content, 50).digest == whole
    weighed = layer[..., :3] * (layer[..., 3:] / 255)
    assert np.abs(pixels(content, 50)[:, 21:28].astype(float) - weighed).max() <= 1


def test_a_picture_over_the_limit_is_refused_and_nothing_else_said() -> None:
    program = """
import struct, zlib
from brain_tumor.data.decode import CorruptImageError, open_picture
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
header = chunk(b"IHDR", struct.pack(">IIBBBBB", 12000, 12000, 8, 0, 0, 0, 0))
try:
    open_picture(b"\\x89PNG\\r\\n\\x1a\\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
except CorruptImageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("too large: 12000 x 12000 is over the limit"), done.stderr
    assert done.stderr == ""
