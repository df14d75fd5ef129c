"""Where there is nothing to see, nothing is answered."""

import io

import numpy as np
import pytest
from dicom_files import dicom
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.auditing.image_features import _contrast
from brain_tumor.data.blank import BLANK_CONTRAST, contrast, is_blank
from brain_tumor.data.decode import CorruptImageError, decode
from brain_tumor.data.scans.opening import open_scan


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def filled(value: int, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    return np.full((height, width), value, np.uint8)


def spot(value: int = 255) -> NDArray[np.uint8]:
    pixels = filled(0)
    pixels[20, 30] = value
    return pixels


@pytest.mark.parametrize(
    "content",
    [png(filled(255)), png(filled(0)), png(filled(90, 64, 30)), png(spot()), dicom(spot(200)), dicom(filled(7))],
    ids=["white", "black", "gray between bars", "a hot pixel", "a hot pixel in DICOM", "one value in DICOM"],
)
def test_what_shows_nothing_is_refused_and_yet_read_in_training(content: bytes) -> None:
    with pytest.raises(CorruptImageError, match=r"^there is nothing to see: its grays span 0 of 255 levels$"):
        open_scan(content).pixels(32)
    if content.startswith(b"\x89PNG"):
        assert decode(content, 32).pixels.shape == (32, 32, 3)


def test_a_volume_with_a_slice_that_shows_something_is_answered() -> None:
    ramp = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    frames = np.stack([filled(0), ramp, filled(0)])
    pixels = open_scan(dicom(frames)).pixels(32)
    assert [is_blank(each) for each in pixels] == [True, False, True]


def test_the_contrast_is_the_audits_where_there_are_no_bars() -> None:
    pixels = np.random.default_rng(0).integers(0, 60, (50, 50)).astype(np.uint8)
    pixels[0], pixels[-1] = 1, 1
    assert contrast(np.stack([pixels] * 3, axis=-1)) == pytest.approx(_contrast(pixels, 50, 50))
    faint = np.where(pixels < 30, 100, 100 + BLANK_CONTRAST - 1).astype(np.uint8)
    assert is_blank(np.stack([faint] * 3, axis=-1))
    assert not is_blank(np.stack([faint + (faint > 100)] * 3, axis=-1))
