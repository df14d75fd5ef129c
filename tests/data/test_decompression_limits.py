"""Small files that would cost Pillow much are refused with a line, and their common kin are not."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.decompression_limits import MAX_ANIMATED, MAX_SCANNED, MAX_SCANS, MAX_VALUES, costly


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_picture(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def of_scans(side: int, scans: int, start: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan is repeated, after segments of its own."""
    content = saved(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:2] + start + content[2:-2] + content[last:-2] * scans + b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def test_a_jpeg_with_an_index_of_pictures_may_not_have_endless_scans() -> None:
    picture = struct.pack("<LLLHH", 0, 0, 0, 0, 0)
    entries = struct.pack("<HHHIIHHIII", 2, 0xB001, 4, 1, 2, 0xB002, 7, 32, 38, 0)
    index = segment(0xE2, b"MPF\0II*\0" + struct.pack("<I", 8) + entries + 2 * picture)
    few = of_scans(2000, 5, index)
    with Image.open(io.BytesIO(few)) as image:
        assert image.format == "MPO"
    assert open_picture(few)[0].size == (2000, 2000)
    scans = MAX_SCANNED // 2000**2
    assert "scans of 4,000,000 pixels" in refused(of_scans(2000, scans, index))
    assert "scans of 64 pixels" in refused(of_scans(8, MAX_SCANS))


def bmp(compression: int, data: bytes) -> bytes:
    """8 x 8 pixels of a palette of two."""
    head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, compression, len(data), 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 62 + len(data), 0, 0, 62) + head + b"\0\0\0\0\xff\xff\xff\0" + data


@pytest.mark.parametrize("compression", [1, 2])
def test_run_lengths_in_a_bmp_are_not_unpacked(compression: int) -> None:
    assert "run-length compression: save it uncompressed" in refused(bmp(compression, b"\x08\x01\0\0" * 8 + b"\0\1"))
    assert open_picture(bmp(0, bytes(64)))[0].size == (8, 8)


def tiff(rows: int, order: str = "<", big: bool = False) -> bytes:
    """A pixel wide, with a strip for each row, all at the same place."""
    entry, count, start = (order + "HHQQ", order + "Q", 16) if big else (order + "HHII", order + "H", 8)
    ends = start + struct.calcsize(count) + 9 * struct.calcsize(entry) + (8 if big else 4)

    def short(value: int) -> int:
        return value if order == "<" else value << (48 if big else 16)

    tags = {256: 1, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1, 279: 1}
    entries = {tag: (3, 1, short(value)) for tag, value in tags.items()}
    entries[257], entries[273] = (4, 1, rows if order == "<" or not big else rows << 32), (4, rows, ends)
    directory = b"".join(struct.pack(entry, tag, *entries[tag]) for tag in sorted(entries))
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    head = mark + (struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8))
    body = struct.pack(count, 9) + directory + bytes(8 if big else 4)
    return head + body + struct.pack(order + "I", 0) * rows


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_a_tiff_of_too_many_strips(order: str, big: bool) -> None:
    assert open_picture(tiff(20, order, big))[0].size == (1, 20)
    assert "more strips or tiles" in refused(tiff(MAX_VALUES + 1, order, big))


@pytest.mark.filterwarnings("ignore:Metadata Warning")
def test_long_entries_of_others_in_a_tiff_do_no_harm() -> None:
    private = saved(Image.new("L", (8, 8)), "TIFF", tiffinfo={50839: tuple(range(MAX_VALUES + 1))})
    assert open_picture(private)[0].size == (8, 8)
    assert costly(private[:10]) is None  # cut: for Pillow to say


def animated(width: int, height: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (50 * index, 0, 0)) for index in range(3)]
    content = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    at = content.index(b"VP8X") + 12
    content[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(content)


def test_a_moving_webp_on_a_large_canvas() -> None:
    assert open_picture(animated(16, 16))[0].size == (16, 16)
    assert "4097 x 4096 is over the limit" in refused(animated(4097, MAX_ANIMATED // 4096))
    still = saved(Image.new("RGBA", (5000, 4000)), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert b"VP8X" in still
    assert open_picture(still)[0].size == (5000, 4000)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}], ids=["VP8L", "VP8"])
def test_a_still_webp_on_a_large_canvas(options: dict[str, Any]) -> None:
    content = bytearray(saved(Image.new("RGB", (300, 200)), "WEBP", **options))
    assert open_picture(bytes(content))[0].size == (300, 200)
    if options.get("lossless"):
        assert content[12:16] == b"VP8L"
        content[21:25] = (8191 | 4999 << 14).to_bytes(4, "little")
    else:
        assert content[12:16] == b"VP8 "
        content[26:30] = struct.pack("<HH", 8192, 5000)
    assert "8192 x 5000 is over the limit of 33,554,432 pixels" in refused(bytes(content))


def test_endless_exif_data() -> None:
    values = struct.pack("<HHHIII", 1, 0x112, 3, 600_000, 26, 0) + bytes(1_200_000)
    png = saved(Image.new("L", (8, 8)), "PNG", exif=b"II*\0\x08\0\0\0" + values)
    assert "EXIF" in refused(png)
    blocks = segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 20
    assert "EXIF" in refused(of_scans(8, 0, blocks))
    turned = Image.Exif()
    turned[0x112] = 6
    assert open_picture(saved(Image.fromarray(np.zeros((8, 4), np.uint8)), "JPEG", exif=turned))[0].size == (8, 4)
