"""A DICOM series as one volume of values, in the patient's space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import read_volume

VALUES = np.random.default_rng(0).integers(0, 900, (5, 7, 8)).astype(np.uint16)  # slices, rows, columns
ROW, COLUMN = np.array([0.0, 1, 0]), np.array([0.0, 0, -1])  # sagittal: rows run to the back, columns to the feet
CORNER = np.array([-30.0, -90, 60])  # of the first slice's first pixel


def write(folder: Path, index: int, shift: float = 0.0, **values: Any) -> None:
    folder.mkdir(exist_ok=True)
    position = CORNER + (4.0 * index + shift) * np.array([1.0, 0, 0])
    said = {
        "SeriesInstanceUID": "1.2.3",
        "InstanceNumber": 10 - index,  # which does not order them
        "ImageOrientationPatient": [*ROW, *COLUMN],
        "ImagePositionPatient": position.tolist(),
        "PixelSpacing": [0.5, 2.0],  # of rows, of columns
        "WindowCenter": 100 * index,  # which has no say in values
        "WindowWidth": 5,
    }
    (folder / f"{7 * index % 5}.dcm").write_bytes(dicom(VALUES[index], **{**said, **values}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(5):
        write(tmp_path / "series", index)
    return tmp_path / "series"


def test_every_value_is_where_its_file_says(folder: Path) -> None:
    volume = read_volume(folder)
    found = {}
    for place in np.ndindex(volume.values.shape):
        mm = volume.affine @ [*place, 1]
        found[tuple(np.round(mm[:3], 3))] = volume.values[place]
    for index, row, column in np.ndindex(VALUES.shape):
        left, back, up = CORNER + 4.0 * index * np.array([1.0, 0, 0]) + 2.0 * column * ROW + 0.5 * row * COLUMN
        assert found[-left, -back, up] == VALUES[index, row, column]  # RAS+


def test_values_are_those_of_the_modality(tmp_path: Path) -> None:
    for index in range(5):
        write(tmp_path / "series", index, RescaleSlope=2.0, RescaleIntercept=-100.0)
    straight = np.sort((2.0 * VALUES - 100).ravel())
    np.testing.assert_array_equal(np.sort(read_volume(tmp_path / "series").values.ravel()), straight)
    for index in range(5):
        write(tmp_path / "white", index, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(np.sort(-read_volume(tmp_path / "white").values.ravel()), np.sort(VALUES.ravel()))


def test_what_is_no_volume_is_said(folder: Path, tmp_path: Path) -> None:
    write(folder, 4, shift=3.0)
    with pytest.raises(CorruptImageError, match="even distances"):
        read_volume(folder)
    write(folder, 4, SeriesInstanceUID="1.2.4")
    write(folder, 3, SeriesInstanceUID="1.2.4")
    with pytest.raises(CorruptImageError, match="are 2 series of slices: give each series a folder"):
        read_volume(folder)
    for index in range(5):
        write(tmp_path / "lost", index, ImagePositionPatient=None)
    with pytest.raises(CorruptImageError, match="do not say where they lie"):
        read_volume(tmp_path / "lost")
    for index in range(5):
        write(tmp_path / "damaged", index)
    path = tmp_path / "damaged" / "2.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptImageError, match=r"^2\.dcm: "):
        read_volume(tmp_path / "damaged")
