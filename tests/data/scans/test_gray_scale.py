"""One gray scale for a DICOM file, whatever its windows and outliers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom, item
from numpy.typing import NDArray

from brain_tumor.data.scans.dicom import MISSED
from brain_tumor.data.scans.levels import robust_range
from brain_tumor.data.scans.opening import open_scan, read_scan

LIES = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}


def gray(content: bytes, index: int = 0) -> NDArray[np.uint8]:
    return np.asarray(open_scan(content).picture(index))[..., 0]


def brain(brightest: int = 800) -> NDArray[np.uint16]:
    """A ramp of 64 x 64 pixels, from 0 to `brightest`."""
    return np.linspace(0, brightest, 4096).round().astype(np.uint16).reshape(64, 64)


def window(center: float, width: float) -> dict[str, Any]:
    return {**LIES, "WindowCenter": center, "WindowWidth": width}


@pytest.mark.parametrize(("center", "width"), [(5000, 100), (-900, 300), (100_000, 20_000_000)])
def test_a_window_that_misses_the_values_gives_way_to_their_range(center: float, width: float) -> None:
    scan = open_scan(dicom(brain(), **window(center, width)))
    assert scan.remarks == (MISSED,)
    assert np.array_equal(np.asarray(scan.picture(0)), np.asarray(open_scan(dicom(brain(), **LIES)).picture(0)))
    assert np.ptp(np.asarray(scan.picture(0))) == 255


def test_a_window_that_shows_a_part_of_the_values_is_kept_and_an_empty_slice_stays_dark() -> None:
    scan = open_scan(dicom(brain(), **window(700.5, 101)))
    assert scan.remarks == ()
    assert (np.asarray(scan.picture(0))[..., 0] == 0).mean() > 0.75  # below 650 of 800
    noise = open_scan(dicom(brain(18), **window(400, 800)))
    assert (noise.remarks, np.asarray(noise.picture(0)).max()) == ((), 6)  # (18 - 0.5) / 799 of 255: 5.6


def test_a_lookup_table_that_misses_the_values_gives_way_too() -> None:
    table = item(LUTDescriptor=[3, 60000, 8], LUTData=np.array([0, 51, 255], "<u2").tobytes())
    assert np.array_equal(gray(dicom(brain(), **LIES, VOILUTSequence=[table])), gray(dicom(brain(), **LIES)))


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("spot", [60_000, 0])
def test_a_hot_pixel_or_a_hole_does_not_set_the_range(photometric: str, spot: int) -> None:
    values = brain() + 1000
    plain = gray(dicom(values, **LIES, PhotometricInterpretation=photometric)).astype(int)
    values[5, 5] = spot
    spotted = gray(dicom(values, **LIES, PhotometricInterpretation=photometric)).astype(int)
    spotted[5, 5] = plain[5, 5]
    assert np.abs(spotted - plain).max() <= 1


def test_the_range_goes_from_percentile_to_percentile_to_values_that_are_there() -> None:
    # Of 0 to 1000 the 0.1st percentile is 1 and the 99.5th 995; of few values they are the ends
    assert robust_range(np.arange(1001)) == (1, 995)
    assert robust_range(np.arange(1002), falling=True) == (1000, 5)
    assert robust_range(np.array([3, 7])) == (3, 7)
    assert robust_range(np.array([0] * 999 + [9])) == (0, 9)  # a mask
    assert robust_range(np.array([])) == (0, 0)


def test_all_frames_have_one_window() -> None:
    frames = np.stack([brain(10), brain(), brain(), brain(700)])
    windows = [(9, 18), (400, 800), (410, 813), (390, 790)]
    groups = [item(FrameVOILUTSequence=[item(WindowCenter=c, WindowWidth=w)]) for c, w in windows]
    content = dicom(frames, **LIES, PerFrameFunctionalGroupsSequence=groups)
    alike = dicom(frames, **window(395, 795))  # the median center of 9, 390, 400 and 410, and width of 18 to 813
    for index in range(4):
        assert np.array_equal(gray(content, index), gray(alike, index))
    assert gray(content, 0).max() <= 4  # the empty frame is no noise from black to white


def test_frames_without_a_window_share_a_range() -> None:
    content = dicom(np.stack([brain(10), brain(), brain()]), **LIES)
    assert gray(content, 0).max() <= 4
    assert gray(content, 1).max() == 255


@pytest.mark.real_data
def test_a_real_slice_without_a_window_is_not_dark() -> None:
    if "BRAIN_TUMOR_DATA" not in os.environ:
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    for name, index in (("no_window.dcm", 0), ("window_zero.dcm", 0), ("siemens_enhanced_96_frames.dcm", 48)):
        scan = read_scan(Path(os.environ["BRAIN_TUMOR_DATA"], "scans", name))
        shown = np.asarray(scan.picture(index))[..., 0]
        assert np.median(shown[shown > 15]) > 40, name
