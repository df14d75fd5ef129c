"""Files of one DICOM series are shown in one gray scale."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.scans.dicom import MISSED
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.series import SeriesScales
from brain_tumor.serving.files import find_stacks, read_stacks

LIES = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SeriesInstanceUID": "1.2.3"}
BRAIN = np.linspace(0, 800, 4096).round().astype(np.uint16).reshape(64, 64)
EMPTY = BRAIN // 80  # the noise of a slice above the head


def scales(files: dict[str, bytes]) -> SeriesScales:
    return SeriesScales({name: partial(lambda content, size: content[:size], each) for name, each in files.items()})


def series(windows: bool, **values: Any) -> dict[str, bytes]:
    """Nine files, of which the first two are empty; with windows, each has its own, as archives write them."""
    found = {}
    for place, pixels in enumerate([EMPTY, EMPTY, *[BRAIN] * 7]):
        top = int(pixels.max())
        own = {"WindowCenter": top / 2, "WindowWidth": top} if windows else {}
        found[f"{place}"] = dicom(pixels, **{**LIES, **own, **values})
    return found


def gray(content: bytes, found: SeriesScales, name: str) -> NDArray[np.uint8]:
    return np.asarray(open_scan(content, scale=found.of(name, content)).picture(0))[..., 0]


@pytest.mark.parametrize("windows", [True, False])
def test_an_empty_slice_of_a_series_is_dark_and_alone_it_is_noise(windows: bool) -> None:
    files = series(windows)
    found = scales(files)
    assert gray(files["0"], found, "0").max() <= 4
    assert gray(files["5"], found, "5").max() == 255
    assert np.asarray(open_scan(files["0"]).picture(0)).max() > 200
    assert gray(files["0"], scales({"0": files["0"]}), "0").max() > 200


def test_series_folders_and_files_that_say_nothing_of_one_are_apart() -> None:
    files = series(False)
    others = {
        "a/0": files["0"],  # alone in its folder
        "1": dicom(EMPTY, **{**LIES, "SeriesInstanceUID": "1.2.4"}),
        "2": dicom(EMPTY, **{**LIES, "SeriesInstanceUID": None}),
        "3": dicom(EMPTY, **{**LIES, "SeriesInstanceUID": None}),
        "x.png": b"\x89PNG\r\n\x1a\n",
    }
    found = scales({**files, **others})
    assert all(found.of(name, content) is None for name, content in others.items())
    assert found.of("4", files["4"]) is not None


def test_a_window_of_a_series_that_misses_it_is_said_of_each_file() -> None:
    window = {"WindowCenter": 90_000, "WindowWidth": 100}
    files = {name: dicom(BRAIN, **LIES, **window) for name in "abc"}
    scale = scales(files).of("b", files["b"])
    assert scale is not None
    assert open_scan(files["b"], scale=scale).remarks == (MISSED,)


def test_damaged_files_of_a_series_stop_no_other() -> None:
    files = series(True)
    files["0"] = files["0"][:-3000]
    files["1"] = files["1"][:200]
    found = scales(files)
    assert gray(files["5"], found, "5").max() == 255


def test_the_files_of_a_folder_are_a_volume_in_that_scale(tmp_path: Path) -> None:
    files = series(True)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    [stack] = find_stacks(tmp_path, files)
    [volume] = read_stacks(tmp_path, [stack], 64, plane="auto", workers=1)
    assert (volume.name, volume.error) == ("series 1 (9 slices)", "")
    assert volume.pixels is not None
    assert [each.max() for each in volume.pixels[:3]] == [pytest.approx(3, abs=1)] * 2 + [255]
    found = scales(files)
    assert np.array_equal(volume.pixels[0, ..., 0], gray(files["0"], found, "0"))


def test_pictures_are_not_looked_through(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(BRAIN.astype(np.uint8)).save(file, "PNG")
    asked: list[int] = []

    def content(size: int) -> bytes:
        asked.append(size)
        return file.getvalue()[:size]

    assert SeriesScales({"a.png": content, "b.png": content}).of("a.png", file.getvalue()) is None
    assert not asked
