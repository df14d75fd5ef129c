"""Gray levels, colours, shapes and frames of DICOM files, against values worked out by hand."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import BIG, DEFLATED, EXPLICIT, IMPLICIT, RLE, dicom, item
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan

RAMP = np.array([[0, 100, 200], [300, 400, 500]], np.uint16)


def gray(content: bytes, index: int = 0) -> list[list[int]]:
    picture = np.asarray(open_scan(content).picture(index))
    assert (picture == picture[..., :1]).all()
    return picture[..., 0].tolist()


@pytest.fixture(scope="module")
def head() -> NDArray[np.uint16]:
    """A slice as a scanner stores it, 12 bits of 16: an ellipse with a bright rim, a structure and noise."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(x / 0.7, y / 0.85)
    gray = np.where(radius < 0.9, 90 + 40 * np.sin(9 * x + 3) * np.sin(13 * y), 180) * (radius < 1)
    noisy = gray + np.random.default_rng(0).normal(20, 6, gray.shape)
    return noisy.clip(0, 255).astype(np.uint16) * 16


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_a_slice_comes_back_from_files_that_are_not_compressed(head: NDArray[np.uint16], syntax: str) -> None:
    content = dicom(head, syntax, BitsStored=12, HighBit=11, WindowCenter=2040.5, WindowWidth=4081)
    # From 0 to 4080 in 4,080 steps: sixteen stored values are one gray level.
    assert gray(content) == (head // 16).tolist()


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        ("1.2.840.10008.1.2.4.57", lambda codecs, v: codecs.jpeg8_encode(v, lossless=True, predictor=4)),
        ("1.2.840.10008.1.2.4.70", lambda codecs, v: codecs.jpeg8_encode(v, lossless=True)),
        ("1.2.840.10008.1.2.4.80", lambda codecs, v: codecs.jpegls_encode(v)),
        ("1.2.840.10008.1.2.4.90", lambda codecs, v: codecs.jpeg2k_encode(v, codecformat="j2k", reversible=True)),
    ],
)
def test_a_slice_comes_back_from_lossless_compression(head: NDArray[np.uint16], syntax: str, encode: Any) -> None:
    codecs = pytest.importorskip("imagecodecs")
    frames = [encode(codecs, head), encode(codecs, head[::-1].copy())]
    content = dicom(np.stack([head, head]), syntax, frames, WindowCenter=2040.5, WindowWidth=4081)
    assert gray(content, 0) == (head // 16).tolist()
    assert gray(content, 1) == (head[::-1] // 16).tolist()


def test_a_12_bit_jpeg_is_read(head: NDArray[np.uint16]) -> None:
    codecs = pytest.importorskip("imagecodecs")
    frame = codecs.jpeg8_encode(head, level=98, bitspersample=12)
    content = dicom(
        head, "1.2.840.10008.1.2.4.51", [frame], BitsStored=12, HighBit=11, WindowCenter=2040.5, WindowWidth=4081
    )
    assert np.abs(np.array(gray(content)) - head // 16).max() <= 4


def test_a_jpeg_of_8_bits_is_read(head: NDArray[np.uint16]) -> None:
    picture = Image.fromarray((head // 16).astype(np.uint8))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    content = dicom(np.asarray(picture), "1.2.840.10008.1.2.4.50", [file.getvalue()], WindowCenter=128, WindowWidth=256)
    expected = np.asarray(Image.open(file))
    assert np.abs(np.array(gray(content)) - expected).max() == 0


def test_run_lengths_are_read() -> None:
    # PS3.5, annex G: a segment for the high bytes, one for the low; 0xFD repeats a byte four times
    segments = b"\xfd\x01" + b"\x03\x00\x40\x80\xff"
    frame = np.array([2, 64, 66] + [0] * 13, "<u4").tobytes() + segments + b"\0"
    content = dicom(np.zeros((2, 2), np.uint16), RLE, [frame], WindowCenter=256 + 128, WindowWidth=256)
    assert gray(content) == [[0, 64], [128, 255]]


def test_rescaled_values_are_windowed() -> None:
    # Modality values -100, 100, 300, 500, 700, 900. PS3.3, C.11.2.1.2.1 with center 400 and width 801:
    # ((x - 399.5) / 800 + 0.5) * 255, 100 is 32.03, 300 is 95.78, 500 is 159.5, 700 is 223.3
    content = dicom(RAMP, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=400, WindowWidth=801)
    assert gray(content) == [[0, 32, 96], [160, 223, 255]]


def test_of_several_windows_the_first_counts() -> None:
    content = dicom(RAMP, WindowCenter=[150.5, 1000], WindowWidth=[101, 2000])
    assert gray(content) == [[0, 0, 255], [255, 255, 255]]


def test_an_exact_window_and_a_sigmoid() -> None:
    # C.11.2.1.3.2: (x - 250) / 500 + 0.5: 0, .2, .4, .6, .8, 1
    exact = dicom(RAMP, WindowCenter=250, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
    assert gray(exact) == [[0, 51, 102], [153, 204, 255]]
    # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - 200) / 400)): x 0: 0.1192, 100: 0.2689, 200: 0.5, 300: 0.7311 ...
    sigmoid = dicom(RAMP, WindowCenter=200, WindowWidth=400, VOILUTFunction="SIGMOID")
    assert gray(sigmoid) == [[30, 69, 128], [186, 225, 243]]


def test_without_a_window_the_range_of_all_frames_is_shown() -> None:
    content = dicom(np.stack([RAMP, RAMP + 500]))  # 0 to 1000
    assert gray(content, 0) == [[0, 26, 51], [76, 102, 128]]  # 25.5 and 127.5 round to even: 26 and 128
    assert gray(content, 1) == [[128, 153, 178], [204, 230, 255]]  # 178.5 and 229.5


def test_monochrome1_is_inverted() -> None:
    content = dicom(RAMP, PhotometricInterpretation="MONOCHROME1", WindowCenter=250.5, WindowWidth=501)
    assert gray(content) == [[255, 204, 153], [102, 51, 0]]


def test_signed_values_and_unused_bits() -> None:
    signed = np.array([[-1000, 0], [1000, 3000]], np.int16)
    assert gray(dicom(signed)) == [[0, 64], [128, 255]]  # 63.75, 127.5
    # Twelve bits of sixteen, with rubbish above them
    dirty = np.array([[0x0000, 0xF0FF], [0x1400, 0xAFFF]], np.uint16)  # 0, 255, 1024, 4095
    assert gray(dicom(dirty, BitsStored=12, HighBit=11)) == [[0, 16], [64, 255]]


def test_padding_is_black_and_outside_the_range() -> None:
    stored = np.array([[-2000, 0], [500, 1000]], np.int16)
    assert gray(dicom(stored, PixelPaddingValue=-2000)) == [[0, 0], [128, 255]]
    inverted = dicom(stored, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")
    assert gray(inverted) == [[0, 255], [128, 0]]  # 127.5
    upper = dicom(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1)
    assert gray(upper) == [[0, 0], [128, 255]]


def test_lookup_tables() -> None:
    stored = np.array([[0, 1], [2, 9]], np.uint16)
    modality = item(LUTDescriptor=[3, 0, 16], LUTData=np.array([10, 20, 40], "<u2").tobytes(), ModalityLUTType="US")
    content = dicom(stored, ModalityLUTSequence=[modality])
    assert gray(content) == [[0, 85], [255, 255]]  # 10, 20, 40, 40
    voi = item(LUTDescriptor=[3, 1, 8], LUTData=np.array([0, 51, 255], "<u2").tobytes())
    content = dicom(stored, VOILUTSequence=[voi], WindowCenter=1, WindowWidth=2)
    assert gray(content) == [[0, 0], [51, 255]]


def test_pixels_become_square() -> None:
    content = dicom(RAMP, PixelSpacing=[3, 1])  # rows are 3 mm apart, columns 1 mm
    assert open_scan(content).picture(0).size == (3, 6)
    content = dicom(RAMP, PixelAspectRatio=[1, 2])
    assert open_scan(content).picture(0).size == (6, 2)
    content = dicom(RAMP, PixelSpacing=[1000, 1])
    with pytest.raises(CorruptImageError, match="distances"):
        open_scan(content)


@pytest.mark.parametrize(
    ("directions", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([0.9, 0.1, 0, -0.1, 0.9, 0.3], "axial"),
        ([0, 0, 0, 0, 0, 0], None),
        (None, None),
    ],
)
def test_the_plane_is_that_of_the_slice(directions: list[float] | None, plane: str | None) -> None:
    assert open_scan(dicom(RAMP, ImageOrientationPatient=directions)).plane == plane


def test_colours() -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 99, 199]]], np.uint8)
    shown = open_scan(dicom(rgb, PhotometricInterpretation="RGB")).picture(0)
    assert np.array_equal(np.asarray(shown), rgb)
    # PS3.3, C.7.6.3.1.2: Y = 0.299 R + 0.587 G + 0.114 B, 76.2 for red; CB = 85.0, CR = 255.5
    ybr = np.array([[[76, 85, 255], [255, 128, 128]]], np.uint8)
    shown = open_scan(dicom(ybr, PhotometricInterpretation="YBR_FULL")).picture(0)
    assert np.abs(np.asarray(shown).astype(int) - [[[255, 0, 0], [255, 255, 255]]]).max() <= 2


def test_a_palette() -> None:
    words = [np.array(each, "<u2").tobytes() for each in ([0, 65535, 0], [0, 0, 65535], [0, 0, 32896])]
    names = ("Red", "Green", "Blue")
    palette: dict[str, Any] = {}
    for name, entries in zip(names, words, strict=True):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = entries
    stored = np.array([[0, 1], [2, 2]], np.uint8)
    shown = open_scan(dicom(stored, PhotometricInterpretation="PALETTE COLOR", **palette)).picture(0)
    assert np.asarray(shown).tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 128], [0, 255, 128]]]


def test_functional_groups_come_before_the_file() -> None:
    def group(center: float, slope: float) -> Any:
        return item(
            FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=501)],
            PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=0)],
        )

    content = dicom(
        np.stack([RAMP, RAMP]),
        WindowCenter=1,
        WindowWidth=2,
        PerFrameFunctionalGroupsSequence=[group(250.5, 1), group(500.5, 2)],
        SharedFunctionalGroupsSequence=[
            item(
                PixelMeasuresSequence=[item(PixelSpacing=[1, 2])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])],
            )
        ],
    )
    scan = open_scan(content)
    assert (scan.count, scan.plane, scan.picture(0).size) == (2, "sagittal", (6, 2))
    rows = [np.asarray(scan.picture(index))[:, :, 0] for index in range(2)]
    # Between the windows 0..500 and 250..750 lies 125..625, for values 0..500 and, twice as large, 0..1000; the ends of
    # a stretched row are its first and last pixel
    assert rows[0][:, [0, -1]].tolist() == [[0, 38], [89, 191]]  # 200: 38.25; 300: 89.25; 500: 191.25
    assert rows[1][:, [0, -1]].tolist() == [[0, 140], [242, 255]]  # 400: 140.25; 600: 242.25


def test_real_numbers_with_gaps() -> None:
    values = np.array([[0.25, np.nan], [0.5, 0.75]], "<f4")
    content = dicom(np.zeros((2, 2), np.uint16))
    pydicom = pytest.importorskip("pydicom")
    elements = pydicom.dcmread(io.BytesIO(content))
    del elements.PixelData
    elements.BitsAllocated = 32
    elements.FloatPixelData = values.tobytes()
    file = io.BytesIO()
    elements.save_as(file)
    assert gray(file.getvalue()) == [[0, 0], [128, 255]]


def test_a_data_set_without_a_preamble_is_found_and_rubbish_is_not() -> None:
    content = dicom(RAMP)
    bare = content[content.index(b"\x08\x00\x16\x00UI") :]
    assert gray(bare) == [[0, 51, 102], [153, 204, 255]]
    for rubbish in (
        b"\x08\x00" * 500,
        bare[:20],
        b"\x02\x00" + bytes(400),
        b"\x08\x00\x16\x00UI\x04\x001234" + bytes(99),
    ):
        with pytest.raises(CorruptImageError, match="nor a DICOM"):
            open_scan(rubbish)


@pytest.mark.parametrize("others", [True, False], ids=["of all kinds", "MR alone"])
def test_every_file_that_comes_with_pydicom_opens_or_says_why(others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pydicom = pytest.importorskip("pydicom")
    if others:  # so that the decoders are tried on them
        monkeypatch.setattr("brain_tumor.data.scans.dicom.refuse_others", lambda elements: None)
    opened, reasons = {}, []
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                scan = open_scan(path.read_bytes())
                scan.pixels(32)
                opened[path.name] = scan.count
            except CorruptImageError as error:
                reasons.append(str(error))
    assert all(each.isprintable() and len(each) < 200 for each in reasons)
    assert not {"MR_truncated.dcm", "rtplan.dcm", "test-SR.dcm", "README.txt"} & set(opened)
    if not others:
        assert {"MR_small.dcm", "MR_small_RLE.dcm"} <= set(opened)
        assert not {"CT_small.dcm", "examples_ybr_color.dcm", "ExplVR_BigEnd.dcm"} & set(opened)
        assert "a DICOM file that is no MR image but CT Image Storage" in reasons
        return
    assert {"CT_small.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm", "examples_palette.dcm"} <= set(
        opened
    )
    assert opened["examples_ybr_color.dcm"] == 30
    assert opened["SC_rgb_rle_2frame.dcm"] == 2


@pytest.mark.parametrize(
    "compressed", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_bigendian"]
)
def test_the_same_slice_in_other_transfer_syntaxes_is_the_same_picture(compressed: str) -> None:
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("imagecodecs")
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    plain, other = ((folder / f"{name}.dcm").read_bytes() for name in ("MR_small", compressed))
    assert gray(plain) == gray(other)
