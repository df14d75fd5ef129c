"""Files of one DICOM series are shown in one gray scale."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom

from brain_tumor.data.scans.dicom import MISSED
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Limits, Scan
from brain_tumor.data.scans.stacks import open_stack, stacks
from brain_tumor.serving.files import find_stacks, read_stacks

LIES = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SeriesInstanceUID": "1.2.3"}
BRAIN = np.linspace(0, 800, 4096).round().astype(np.uint16).reshape(64, 64)
EMPTY = BRAIN // 80  # the noise of a slice above the head


def series(windows: bool, **values: Any) -> dict[str, bytes]:
    """Nine files, of which the first two are empty; with windows, each has its own, as archives write them."""
    found = {}
    for place, pixels in enumerate([EMPTY, EMPTY, *[BRAIN] * 7]):
        top = int(pixels.max())
        own = {"WindowCenter": top / 2, "WindowWidth": top} if windows else {}
        found[f"{place}"] = dicom(pixels, **{**LIES, **own, **values})
    return found


def volume(files: dict[str, bytes]) -> Scan:
    contents = {name: partial(lambda content, size: content[:size], each) for name, each in files.items()}
    [stack] = stacks(contents, Limits())
    return open_stack(stack, contents, "auto", Limits())


@pytest.mark.parametrize("windows", [True, False])
def test_an_empty_slice_of_a_series_is_dark_and_alone_it_is_noise(windows: bool) -> None:
    files = series(windows)
    found = volume(files)
    assert np.asarray(found.picture(0)).max() <= 4
    assert np.asarray(found.picture(5)).max() == 255
    assert np.asarray(open_scan(files["0"]).picture(0)).max() > 200


def test_a_window_of_a_series_that_misses_it_is_said() -> None:
    window = {"WindowCenter": 90_000, "WindowWidth": 100}
    assert MISSED in volume({name: dicom(BRAIN, **LIES, **window) for name in "abc"}).remarks


def test_the_files_of_a_folder_are_a_volume_in_that_scale(tmp_path: Path) -> None:
    files = series(True)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    [stack] = find_stacks(tmp_path, files)
    [found] = read_stacks(tmp_path, [stack], 64, plane="auto", workers=1)
    assert (found.name, found.error) == ("series 1 (9 slices)", "")
    assert found.pixels is not None
    assert [each.max() for each in found.pixels[:3]] == [pytest.approx(3, abs=1)] * 2 + [255]
