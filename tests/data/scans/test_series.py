"""Files of one DICOM series are shown in one gray scale, by whichever door they come."""

import base64
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
from brain_tumor.data.scans.scan import Limits
from brain_tumor.data.scans.series import SeriesScales
from brain_tumor.serving.files import read_files
from brain_tumor.serving.requests import fitted, sent_files

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


def test_each_door_takes_the_files_that_it_is_given_together(tmp_path: Path) -> None:
    files = series(True)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    folder = {each.name: each for each in read_files(tmp_path, sorted(files), 64, plane="auto", workers=2)}
    assert "nothing to see" in folder["0"].error
    pixels = folder["5"].pixels
    assert pixels is not None
    # A command that goes on has only the last files to read, and yet the scale of all
    [later] = read_files(tmp_path, ["1"], 64, plane="auto", workers=1, among=sorted(files))
    assert later.error == folder["1"].error
    sent = sent_files([{"content": base64.b64encode(content).decode()} for content in files.values()], Limits())
    assert np.array_equal(fitted(sent[5], 64)[1], pixels)
    with pytest.raises(Exception, match="nothing to see"):
        fitted(sent[0], 64)


def test_pictures_are_not_looked_through(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(BRAIN.astype(np.uint8)).save(file, "PNG")
    asked: list[int] = []

    def content(size: int) -> bytes:
        asked.append(size)
        return file.getvalue()[:size]

    assert SeriesScales({"a.png": content, "b.png": content}).of("a.png", file.getvalue()) is None
    assert not asked
