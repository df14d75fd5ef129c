"""Compressed pictures in DICOM files that would cost a decoder much."""

import io
import struct

import numpy as np
import pytest
from dicom_files import dicom
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.decompression_limits import MAX_SCANNED
from brain_tumor.data.scans.codestream import MARKERS, SEGMENTS, j2k_parts, j2k_size, jpeg_size
from brain_tumor.data.scans.opening import open_scan

codecs = pytest.importorskip("imagecodecs")
BASELINE, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"


def refused(content: bytes) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body


def j2k(side: int, main: bytes, header: bytes = b"") -> bytes:
    """A picture of one tile, with segments of its own in the main header and in that of the tile part."""
    size = struct.pack(">H8IH3B", 0, side, side, 0, 0, side, side, 0, 0, 1, 7, 1, 1)
    part = header + b"\xff\x93" + bytes(64)
    start = segment(0xFF90, struct.pack(">HIBB", 0, 12 + len(part), 0, 1))
    return b"\xff\x4f" + segment(0xFF51, size) + main + segment(0xFF5C, b"\x40\x40") + start + part + b"\xff\xd9"


def cod(precinct: int, block: int = 4, layers: int = 1) -> bytes:
    return segment(0xFF52, struct.pack(">BBHBBBBBBB", 1, 0, layers, 0, 0, block, block, 0, 1, precinct * 17))


def coc(precinct: int) -> bytes:
    return segment(0xFF53, struct.pack(">BBBBBBBB", 0, 1, 0, 4, 4, 0, 1, precinct * 17))


@pytest.mark.parametrize(
    ("main", "header"),
    [
        (cod(0), b""),
        (cod(15) + coc(0), b""),
        (cod(15), cod(0)),
        (cod(15), coc(0)),
        (cod(15, block=0), b""),
        (cod(15, layers=0xFFFF), b""),
        (b"\xff\x30" + cod(0) + cod(15), b""),
    ],
    ids=["main", "component", "tile", "component of a tile", "blocks", "layers", "hidden"],
)
def test_jpeg_2000_pictures_in_parts_of_a_pixel(main: bytes, header: bytes) -> None:
    side = 2200
    values = np.zeros((side, side), np.uint8)
    assert any(each in refused(dicom(values, J2K, [j2k(side, main, header)])) for each in ("more parts", "impossible"))
    j2k_parts(j2k(side, cod(15), coc(15)))
    j2k_parts(j2k(side, cod(6)))


def test_jpeg_2000_pictures_of_encoders_are_not_in_too_many_parts() -> None:
    values = np.random.default_rng(0).integers(0, 256, (300, 500), np.uint8)
    tiles, precincts = {"tile_size": (64, 64)}, {"precinct_size": (64, 64), "codeblock_size": (16, 16)}
    for options in ({}, {"num_resolutions": 1}, tiles, {**tiles, "num_resolutions": 2}, precincts):
        file = io.BytesIO()
        Image.fromarray(values).save(file, "JPEG2000", no_jp2=True, irreversible=False, **options)
        assert j2k_size(file.getvalue()) == (500, 300, 1)
        opened = open_scan(dicom(values, J2K, [file.getvalue()], WindowCenter=128, WindowWidth=256))
        assert np.array_equal(np.asarray(opened.picture(0))[..., 0], values)


def jpeg(side: int, scans: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * scans + b"\xff\xd9"


def test_scans_of_all_frames_are_counted() -> None:
    side = 1000
    pictures = np.zeros((2, side, side), np.uint8)
    assert open_scan(dicom(pictures, BASELINE, [jpeg(side, 3)] * 2)).count == 2
    assert "scans of 1,000,000 pixels" in refused(
        dicom(pictures, BASELINE, [jpeg(side, MAX_SCANNED // 2 // side**2)] * 2)
    )


def test_fill_bytes_and_segments_before_a_header() -> None:
    content = jpeg(8, 0)
    assert jpeg_size(content[:2] + b"\xff" * 1000 + content[2:]) == (8, 8, 1)
    comment = segment(0xFFFE, b"")
    assert jpeg_size(content[:2] + comment * 1000 + content[2:]) == (8, 8, 1)
    small = np.zeros((8, 8), np.uint8)
    assert "no header" in refused(dicom(small, BASELINE, [content[:2] + comment * SEGMENTS + content[2:]]))
    assert "no header" in refused(dicom(small, BASELINE, [b"\xff\xd8" + b"\xff" * 100_000]))


def test_endless_exif_data_in_a_jpeg() -> None:
    content = jpeg(8, 0)
    blocks = segment(0xFFE1, b"Exif\0\0" + bytes(60_000)) * 20
    assert "EXIF" in refused(dicom(np.zeros((8, 8), np.uint8), BASELINE, [content[:2] + blocks + content[2:]]))


def test_endless_markers_of_jpeg_2000() -> None:
    comments = segment(0xFF64, b"") * MARKERS
    frame = j2k(8, cod(15) + comments)
    assert "more parts" in refused(dicom(np.zeros((8, 8), np.uint8), J2K, [frame]))
    j2k_parts(j2k(8, cod(15) + comments[:400]))
