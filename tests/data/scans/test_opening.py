"""Which format a file is in, and files that lie about what they cost."""

import gzip
import io
import struct
import sys
import zipfile
import zlib

import nibabel
import numpy as np
import pytest
from dicom_files import DEFLATED, EXPLICIT, RLE, dicom, item
from PIL import Image
from volume_files import metaimage, nrrd

from brain_tumor.data.decode import MAX_PIXELS, CorruptImageError, decode
from brain_tumor.data.scans import jpeg_plugin
from brain_tumor.data.scans.dicom_elements import Budget
from brain_tumor.data.scans.opening import ACCEPTED, open_scan, read_scan
from brain_tumor.data.scans.scan import Limits

SMALL = np.arange(64, dtype=np.uint8).reshape(8, 8)
LOSSLESS, J2K, JPEG_LS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_pictures_are_what_training_makes_of_them(kind: str) -> None:
    content = saved(Image.fromarray(SMALL), kind)
    scan = open_scan(content)
    assert (scan.kind, scan.count, scan.plane) == ("image", 1, None)
    assert np.array_equal(scan.pixels(32)[0], decode(content, 32).pixels)


def test_of_a_tiff_with_pages_the_first_is_shown() -> None:
    pages = saved(Image.fromarray(SMALL), "TIFF", save_all=True, append_images=[Image.fromarray(255 - SMALL)])
    assert np.array_equal(np.asarray(open_scan(pages).picture(0))[..., 0], SMALL)


FLAT = np.arange(108, dtype=np.uint8).reshape(6, 6, 3)
LYING = np.diag([0.5, 0.7, 4, 1])


def volume_of(**header: object) -> bytes:
    image = nibabel.Nifti1Image(FLAT, LYING)
    image.header.set_xyzt_units(**header)
    return bytes(image.to_bytes())


@pytest.mark.parametrize(
    ("content", "side"),
    [
        (saved(Image.fromarray(SMALL), "PNG"), None),
        (dicom(SMALL, PixelSpacing=[0.75, 0.5]), 0.5),  # rows are stretched until pixels are square
        (dicom(SMALL, ImagerPixelSpacing=[0.75, 0.5]), None),  # at the detector, not in the patient
        (dicom(SMALL, PixelAspectRatio=[3, 2]), None),
        (dicom(np.stack([SMALL] * 2), PixelSpacing=[0.5, 0.5]), 0.5),
        (volume_of(xyz="mm"), 0.5),
        (volume_of(xyz="micron"), 0.0005),
        (nrrd(FLAT, LYING), 0.5),
        (nrrd(FLAT, LYING, **{"space units": '"mm" "mm" "mm"'}), 0.5),
        (nrrd(FLAT, LYING, **{"space units": '"cm" "cm" "cm"'}), None),
        (nrrd(FLAT, None, spacings="0.5 0.7 4"), 0.5),
        (nrrd(FLAT), None),
        (metaimage(FLAT, LYING), 0.5),
        (metaimage(FLAT), None),
    ],
)
def test_the_size_of_a_pixel_is_known_where_the_file_says_it(content: bytes, side: float | None) -> None:
    scan = open_scan(content, "axial")
    _, extents = scan.fitted(32)
    assert [each.pixel_mm for each in extents] == [side and pytest.approx(side)] * scan.count


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as inside:
        inside.writestr("a.txt", "text")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        b"A letter about nothing.\n" * 20,
        saved(Image.fromarray(SMALL), "GIF"),
        archive(),
        bytes(1000),
        b"\x5c\x01\x00\x01" + bytes(400),
    ],
    ids=["pdf", "text", "gif", "zip", "zeros", "nearly a NIfTI"],
)
def test_other_files_are_told_what_is_read(content: bytes) -> None:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(content)
    assert str(caught.value) == ACCEPTED


def test_an_empty_file_and_a_large_one(tmp_path: object) -> None:
    with pytest.raises(CorruptImageError, match="empty"):
        open_scan(b"")
    path = tmp_path / "large"  # type: ignore[operator]
    path.write_bytes(bytes(1001))
    with pytest.raises(CorruptImageError, match="over the limit of 1,000"):
        read_scan(path, limits=Limits(file_bytes=1000))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"NumberOfFrames": 2**31 - 1}, "slices are over the limit of 1,024"),
        ({"NumberOfFrames": 1024}, "truncated"),
        ({"NumberOfFrames": -1}, "impossible dimensions"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 is over the limit"),
        ({"Rows": 800, "Columns": 800}, "truncated"),
        ({"Rows": 0}, "impossible dimensions"),
        ({"Rows": None}, "damaged header"),
        ({"BitsAllocated": 12}, "impossible bits"),
        ({"BitsStored": 9}, "impossible bits"),
        ({"BitsStored": 64, "BitsAllocated": 64}, "truncated"),
        ({"SamplesPerPixel": 3}, "contradicts itself"),
        ({"PhotometricInterpretation": "CMYK"}, "colours in a form"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette in a form"),
        ({"PixelSpacing": [1e-9, 1]}, "distances"),
    ],
)
def test_headers_that_lie_are_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(CorruptImageError, match=reason):
        open_scan(dicom(SMALL, **values))


def test_limits_are_kept() -> None:
    several = dicom(np.stack([SMALL] * 3))
    with pytest.raises(CorruptImageError, match="3 slices are over the limit of 2"):
        open_scan(several, limits=Limits(slices=2))
    with pytest.raises(CorruptImageError, match="192 values are over the limit of 191"):
        open_scan(several, limits=Limits(samples=191))
    packed = dicom(np.zeros((64, 64), np.uint16), DEFLATED)
    with pytest.raises(CorruptImageError, match="unpacked it is over the limit of 1,000 bytes"):
        open_scan(packed, limits=Limits(file_bytes=1000))


def test_files_without_pictures_are_told_so() -> None:
    content = dicom(SMALL)
    with pytest.raises(CorruptImageError, match="without pictures"):
        open_scan(content[: content.index(b"\xe0\x7f\x10\x00")])


def refused(syntax: str, frame: bytes) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(dicom(SMALL, syntax, [frame]))
    return str(caught.value)


def test_compressed_pictures_that_say_they_are_huge_reach_no_decoder() -> None:
    codecs = pytest.importorskip("imagecodecs")
    lossless = bytearray(codecs.jpeg8_encode(SMALL, lossless=True))
    place = lossless.index(b"\xff\xc3") + 5
    lossless[place : place + 4] = b"\xff\xff\xff\xff"
    assert "another size" in refused(LOSSLESS, bytes(lossless))
    charls = bytearray(codecs.jpegls_encode(SMALL))
    place = charls.index(b"\xff\xf7") + 5
    charls[place : place + 4] = b"\xff\xff\xff\xff"
    assert "another size" in refused(JPEG_LS, bytes(charls))
    j2k = codecs.jpeg2k_encode(SMALL, codecformat="j2k", reversible=True)
    vast = struct.pack(">II", 2**31, 2**31)
    assert "another size" in refused(J2K, j2k[:8] + vast + j2k[16:24] + vast + j2k[32:])
    assert "tiles" in refused(
        J2K, j2k[:8] + struct.pack(">II", 9000, 9000) + j2k[16:24] + struct.pack(">II", 1, 1) + j2k[32:]
    )
    # Tiles without a size
    assert "header" in refused(J2K, j2k[:24] + bytes(8) + j2k[32:])
    assert "no header" in refused(LOSSLESS, b"\xff\xd8\xff\xd9")


def test_run_lengths_that_go_on_are_refused() -> None:
    frame = np.array([1, 64] + [0] * 14, "<u4").tobytes() + b"\x81\0" * 100_000  # 12.8 million bytes, for 64 pixels
    assert "longer than its pixels" in refused(RLE, frame)


def test_a_cut_jpeg_ls_picture_is_refused_at_once() -> None:
    codecs = pytest.importorskip("imagecodecs")
    whole = codecs.jpegls_encode(SMALL)
    assert open_scan(dicom(SMALL, JPEG_LS, [whole + b"\0\0"])).count == 1
    assert "no end" in refused(JPEG_LS, whole[:-10])  # CharLS 2.4 takes 2.5 s to see it


def test_fewer_pictures_than_the_header_says() -> None:
    with pytest.raises(CorruptImageError, match=r"damaged|fewer pictures"):
        open_scan(dicom(np.stack([SMALL] * 3), RLE, [bytes(64)] * 2))


@pytest.mark.parametrize("shut", [True, False], ids=["sized", "open"])
def test_more_pieces_than_can_be_true(shut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain_tumor.data.scans.dicom.Budget", lambda: Budget(reads=40_000))
    content = dicom(SMALL, PerFrameFunctionalGroupsSequence=[item(PatientComments="x")])
    place = content.index(b"\x00\x52\x30\x92SQ") + 8
    end = place + 4 + int.from_bytes(content[place : place + 4], "little")
    tags = b"".join(struct.pack("<HH2sH", 0x6001, number, b"LO", 0) for number in range(0x10000))
    if shut:
        item_head = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(tags))
        body = struct.pack("<I", len(tags) + 8) + item_head + tags
    else:
        body = b"\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + tags
    with pytest.raises(CorruptImageError, match="more elements than can be true"):
        open_scan(content[:place] + body + content[end:])


def test_more_items_than_can_be_true() -> None:
    content = dicom(SMALL, PerFrameFunctionalGroupsSequence=[item(PatientComments="x")])
    place = content.index(b"\x00\x52\x30\x92SQ") + 8
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 100_001
    with pytest.raises(CorruptImageError, match="more items than can be true"):
        open_scan(content[:place] + b"\xff\xff\xff\xff" + items + content[place + 4 :])


def test_nested_sequences_end(capfd: pytest.CaptureFixture[str]) -> None:
    content = dicom(SMALL)
    place = content.index(b"\x28\x00\x02\x00US")
    nest = (struct.pack("<HH2sHI", 0x28, 1, b"SQ", 0, 2**32 - 1) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000
    with pytest.raises(CorruptImageError):
        open_scan(content[:place] + nest + content[place:])
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    content = saved(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    scans = content[:-2] + content[last:-2] * 400 + b"\xff\xd9"
    assert MAX_PIXELS * 16 < 400 * 2000 * 2000
    with pytest.raises(CorruptImageError, match="scans of 4,000,000 pixels"):
        open_scan(scans)
    assert open_scan(content).count == 1


def test_a_png_that_says_it_is_huge_is_refused() -> None:
    head = struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    with pytest.raises(CorruptImageError, match="over the limit"):
        open_scan(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_without_pydicom_the_file_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom.filereader", None)
    with pytest.raises(CorruptImageError) as caught:
        open_scan(dicom_of_bytes())
    assert str(caught.value) == "DICOM needs pydicom: pip install 'brain-tumor[dicom]'"


def dicom_of_bytes() -> bytes:
    """The least that is a DICOM file, written without pydicom."""
    syntax = EXPLICIT.encode() + b"\0"
    return bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 16, b"UI", len(syntax)) + syntax


def test_without_a_decoder_the_file_says_which_transfer_syntax_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels import get_decoder

    decoder = get_decoder(LOSSLESS)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {})
    monkeypatch.setattr(jpeg_plugin, "is_available", lambda syntax: False)
    for _ in range(2):
        assert refused(LOSSLESS, b"\xff\xd8\xff\xd9") == (
            "a DICOM file in JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1]) "
            "needs a decoder: pip install 'brain-tumor[dicom]'"
        )


def test_films_are_not_read() -> None:
    content = dicom(SMALL, "1.2.840.10008.1.2.4.100", [bytes(64)])
    with pytest.raises(CorruptImageError, match="in MPEG2 Main Profile / Main Level is not read"):
        open_scan(content)


def test_dicom_in_gzip_is_told_to_be_unpacked() -> None:
    with pytest.raises(CorruptImageError, match="gzip holds no NIfTI volume: unpack"):
        open_scan(gzip.compress(dicom(SMALL)))
