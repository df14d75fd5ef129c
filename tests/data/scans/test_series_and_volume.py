"""A real series, as DICOM files and as a NIfTI volume: the same pictures and answers, the tumour on its true side."""

import base64
import io
import os
import tarfile
import zipfile
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from stores import Trained
from toy import call

from brain_tumor.data.scans.opening import read_scan
from brain_tumor.data.volumes import decoding
from brain_tumor.serving.files import find_stacks, read_stacks
from brain_tumor.serving.requests import fitted, sent_files, sent_scans

pydicom = pytest.importorskip("pydicom")
pytestmark = pytest.mark.real_data
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's axes run to the left and back, NIfTI's to the right and front
SIZE = 256  # pixels a side to which slices are fitted


@dataclass(frozen=True, eq=False)
class Series:
    """176 slices, from feet to head, whose rows run to the patient's right; a tumour lies in the head's right half."""

    slices: list[Any]  # of pydicom
    values: NDArray[np.int16]  # (columns, rows, slices)
    affine: NDArray[np.float64]  # from these to mm, in DICOM's axes
    tumour: NDArray[np.bool_]  # (columns, rows, slices)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    scans = Path(os.environ.get("BRAIN_TUMOR_DATA", "")) / "scans"
    if "BRAIN_TUMOR_DATA" not in os.environ or not scans.is_dir():
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    place = tmp_path_factory.mktemp("series")
    with tarfile.open(scans / "remind_t1c_dicom_series.tar.xz") as packed:
        packed.extractall(place, filter="data")
    read = sorted(map(pydicom.dcmread, place.rglob("*.dcm")), key=lambda each: float(each.ImagePositionPatient[2]))
    first, last = ([float(each) for each in read[end].ImagePositionPatient] for end in (0, -1))
    down, right = map(float, read[0].PixelSpacing)
    row, column = np.reshape([float(each) for each in read[0].ImageOrientationPatient], (2, 3))
    affine = np.eye(4)
    affine[:3] = np.stack([row * right, column * down, np.subtract(last, first) / (len(read) - 1), first], axis=1)
    values = np.stack([each.pixel_array.T for each in read], axis=-1).astype(np.int16)
    tumour = np.zeros(values.shape, bool)
    segments = pydicom.dcmread(scans / "remind_tumour_seg.dcm")
    for frame, group in zip(segments.pixel_array, segments.PerFrameFunctionalGroupsSequence, strict=True):
        corner = [float(each) for each in group.PlanePositionSequence[0].ImagePositionPatient]
        x, y, z = np.rint(np.linalg.solve(affine, [*corner, 1])[:3]).astype(int)  # both have the same grid
        tumour[x : x + frame.shape[1], y : y + frame.shape[0], z] |= frame.T.astype(bool)
    return Series(read, values, affine, tumour)


def written(series: Series, values: NDArray[np.int16], place: Path, *, windows: bool) -> Path:
    """The values as a folder of DICOM files, with all other elements of the series, and beside it as a volume."""
    (place / "series").mkdir(parents=True)
    for index, each in enumerate(map(deepcopy, series.slices)):
        each.PixelData = np.ascontiguousarray(values[..., index].T).tobytes()
        for keyword in () if windows else ("WindowCenter", "WindowWidth"):
            delattr(each, keyword)
        each.save_as(place / "series" / f"{index:03d}.dcm")
    nibabel.save(nibabel.Nifti1Image(values, TO_RAS @ series.affine), place / "volume.nii.gz")
    return place


def shown(place: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The gray pictures (slices, SIZE, SIZE) of the folder and of the volume."""
    names = [path.relative_to(place).as_posix() for path in place.rglob("*.*")]
    files, volume = read_stacks(place, find_stacks(place, names), SIZE, plane="auto", workers=1)
    assert (files.name, files.error, files.remarks) == ("series/series 1 (176 slices)", "", ())
    assert [each.file for each in files.places] == [f"series/{index:03d}.dcm" for index in range(176)]  # feet to head
    assert files.plane == volume.plane == "axial"
    assert files.pixels is not None
    assert volume.pixels is not None
    return files.pixels[..., 0], volume.pixels[..., 0]


def test_both_show_the_same_pictures_and_a_model_says_the_same(
    series: Series, trained_copy: Trained, tmp_path: Path
) -> None:
    """Without the files' windows, which NIfTI does not have: both are then shown by the range of their values."""
    place = written(series, series.values, tmp_path / "scans", windows=False)
    files, volume = shown(place)
    assert np.abs(files.astype(int) - volume).max() <= 1
    out = tmp_path / "answers.csv"
    done = call(trained_copy.place, "predict", "model_uri=models:/brain-tumor@champion", f"input={place}", f"out={out}")
    assert done.returncode == 0, done.stderr
    answers = pd.read_csv(out, dtype={"slice": str})
    probabilities = [name for name in answers if name.startswith("probability_")]
    slices = answers[answers["slice"] != "volume"]
    said = dict(list(slices.groupby("path")))
    assert {path: len(rows) for path, rows in said.items()} == {
        "series/series 1 (176 slices)": 176,
        "volume.nii.gz": 176,
    }
    first, second = said.values()
    assert first["class"].tolist() == second["class"].tolist()
    assert np.abs(first[probabilities].to_numpy() - second[probabilities].to_numpy()).max() <= 1e-3
    positions = [float(each.ImagePositionPatient[2]) for each in series.slices]
    assert np.corrcoef(positions, first["position_mm"])[0, 1] == pytest.approx(1)
    wholes = answers[answers["slice"] == "volume"]
    assert wholes["class"].isna().all()
    assert len(wholes.filter(regex="share_|brain_slices").drop_duplicates()) == 1
    sent = sent_scans(sent_files([{"content": base64.b64encode(packed(place / "series")).decode()}]))
    scan, pixels, _ = fitted(sent[0], SIZE)
    assert scan.count == 176
    assert np.array_equal(pixels[..., 0], files)


def packed(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir(), reverse=True):
            file.write(path, f"DICOM/{path.name}")
    return content.getvalue()


def test_the_tumour_is_shown_on_the_side_where_its_segmentation_lies(series: Series, tmp_path: Path) -> None:
    """Found in the pictures by what changes where its voxels are made white, and then black."""
    x = (series.affine @ [*np.argwhere(series.tumour).mean(axis=0), 1])[0]
    head = (series.affine @ [*np.argwhere(series.values > 60).mean(axis=0), 1])[0]
    assert x == pytest.approx(-941, abs=2)  # mm to the patient's left, as the data's description says
    assert head == pytest.approx(-902, abs=6)
    pictures = []
    for name, level in (("white", 600), ("black", 0)):
        values = np.where(series.tumour, np.int16(level), series.values)
        pictures.append(shown(written(series, values, tmp_path / name, windows=True)))
    for white, black in zip(*pictures, strict=True):
        changed = white.astype(int) - black > 128
        assert changed.sum() == pytest.approx(series.tumour.sum(), rel=0.05)
        columns = np.argwhere(white > 60)[:, 2].mean(), np.argwhere(changed)[:, 2].mean()
        assert columns[0] - columns[1] == pytest.approx((head - x) / 0.977, abs=3)  # the right is shown on the left


def test_the_frames_of_an_enhanced_file_run_from_the_left_to_the_right() -> None:
    """It stores them the other way: its first is said to lie at the patient's right, in DICOM's axes at -100 mm."""
    path = Path(os.environ.get("BRAIN_TUMOR_DATA", "")) / "scans" / "siemens_enhanced_96_frames.dcm"
    if not path.is_file():
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    scan = read_scan(path)
    stored = pydicom.dcmread(path).pixel_array.mean(axis=(1, 2))
    shown = [np.asarray(scan.picture(index)).mean() for index in range(scan.count)]
    assert np.corrcoef(shown, stored[::-1])[0, 1] > 0.99 > np.corrcoef(shown, stored)[0, 1]
    assert (scan.plane, scan.remarks, scan.positions[-1]) == ("sagittal", (), pytest.approx(100.424))
    assert np.diff(np.array(scan.positions, float)) == pytest.approx([2.0] * 95, abs=0.01)


def test_as_whole_volumes_both_are_the_same_array_with_the_tumour_on_the_right(series: Series, tmp_path: Path) -> None:
    place = written(series, series.values, tmp_path / "scans", windows=True)
    shape = (32, 96, 96)
    decoder = decoding.volumes((*shape, 1), None)
    (_, files, facts), (_, volume, _) = (decoder.read(place / name) for name in ("series", "volume.nii.gz"))
    assert facts.error == ""
    assert np.abs(files.astype(int) - volume).max() <= 1
    nibabel.save(nibabel.Nifti1Image(series.tumour.astype(np.uint8), TO_RAS @ series.affine), tmp_path / "mask.nii.gz")
    mask = decoding.read_mask(tmp_path / "mask.nii.gz", facts.volume, shape)
    _, _, column = np.argwhere(mask).mean(axis=0)
    inside = np.argwhere(files.max(axis=0) > 0)
    assert column < inside[:, 1].mean() - 3  # the patient's right is on the left
    assert 4 < mask.sum() < 20  # 762 mm³ in voxels of some 100
