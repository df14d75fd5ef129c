"""Volumes that nobody expects: a right answer, or one line."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_files import dicom
from scipy.ndimage import binary_erosion

from brain_tumor.data.cache import Facts
from brain_tumor.data.image_files import unreadable
from brain_tumor.data.scans.nifti import TWICE
from brain_tumor.data.volumes.decoding import volumes

SHAPE = (16, 24, 20)
RADII = np.array([70.0, 90.0, 65.0])  # mm of an ellipsoid along right, front and head


def head(spacing: tuple[float, float, float]) -> np.ndarray:
    """An ellipsoid with a bright ball in it, on nothing, no two sides alike."""
    counts = np.array([150, 190, 140]) // spacing
    place = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    place = (place - (counts - 1) / 2) * spacing
    values = np.where(np.square(place / RADII).sum(axis=-1) < 1, 100 + place[..., 0] / 7, 0)
    values[np.square(place - [30, 40, 20]).sum(axis=-1) < 18**2] = 200
    return values.astype(np.float32)


def read(values: np.ndarray, spacing: tuple[float, ...], folder: Path) -> tuple[np.ndarray, Facts]:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1])), folder / "head.nii")
    _, grays, facts = volumes((*SHAPE, 1), None).read(folder / "head.nii")
    assert grays.shape == SHAPE
    return grays, facts


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return read(head((3, 3, 3)), (3, 3, 3), tmp_path_factory.mktemp("usual"))[0].astype(float)


def alike(found: np.ndarray, usual: np.ndarray) -> float:
    """How the grays go together within the head, which lies in the same place, its edge aside."""
    assert ((found > 0) != (usual > 0)).mean() < 0.06
    inside = binary_erosion(usual > 0, iterations=2)
    return float(np.corrcoef(found[inside].astype(float), usual[inside])[0, 1])


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (5, 5, 5), (1.5, 1.5, 7)])
def test_a_head_of_fine_and_of_coarse_voxels_is_nearly_the_same(
    spacing: tuple[float, float, float], usual: np.ndarray, tmp_path: Path
) -> None:
    found, facts = read(head(spacing), spacing, tmp_path)
    assert facts.error == ""
    assert alike(found, usual) > 0.9
    assert alike(found[:, :, ::-1], usual) < 0.5  # so that it says something


def test_two_thousand_slices_are_a_head(usual: np.ndarray, tmp_path: Path) -> None:
    many = np.repeat(head((6, 6, 3)), 44, axis=2)[..., :2000]
    assert many.shape[2] == 2000
    found, facts = read(many, (6, 6, 3 / 44), tmp_path)
    assert facts.error == ""
    assert alike(found, usual) > 0.9


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_taken_for_0(nothing: float, usual: np.ndarray, tmp_path: Path) -> None:
    values = head((3, 3, 3))
    values[values == 0] = nothing
    values[20:22, 30:32, 20:22] = nothing
    found, facts = read(values, (3, 3, 3), tmp_path)
    assert facts.error == ""
    assert alike(found, usual) > 0.9


def test_noise_is_standardised_as_any_head(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(700, 90, (30, 30, 30)).astype(np.float32)
    grays, facts = read(noise, (4, 4, 4), tmp_path)
    assert facts.error == ""
    assert grays[grays > 0].mean() == pytest.approx(128, abs=3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (head((3, 3, 3))[..., 20:21], "it is a single slice and no whole volume"),
        (np.full((9, 9, 9), np.nan, np.float32), "there is nothing to see: all its values are the same"),
        (np.zeros((9, 9, 9), np.float32), "there is nothing to see: all its values are the same"),
        ((head((3, 3, 3)) > 0).astype(np.uint8), "it has 2 different values, as a mask has"),
    ],
)
def test_what_is_no_head_is_one_line(values: np.ndarray, said: str, tmp_path: Path) -> None:
    _, facts = read(values, (3, 3, 3), tmp_path)
    assert facts.error.startswith(said)


@pytest.mark.parametrize(("other", "remarks"), [((-3, 3, 3), [TWICE]), ((3, 3, 4), [])])
def test_of_two_places_the_sform_is_taken_and_said_where_sides_differ(
    other: tuple[float, ...], remarks: list[str], usual: np.ndarray, tmp_path: Path
) -> None:
    image = nibabel.Nifti1Image(head((3, 3, 3)), None)
    image.set_sform(np.diag([3, 3, 3, 1]), 1)
    image.set_qform(np.diag([*other, 1]), 1)
    nibabel.save(image, tmp_path / "head.nii")
    _, grays, facts = volumes((*SHAPE, 1), None).read(tmp_path / "head.nii")
    np.testing.assert_array_equal(grays, usual)
    assert json.loads(facts.volume)["remarks"] == remarks


def test_a_folder_of_a_series_is_looked_at_without_reading_all_of_it(tmp_path: Path) -> None:
    said = {"SeriesInstanceUID": "1.2.3", "PixelSpacing": [1, 1], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    for place in range(4):
        pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
        content = dicom(pixels, **said, InstanceNumber=place, ImagePositionPatient=[0, 0, 2.0 * place])
        (tmp_path / f"{place}.dcm").write_bytes(content)
    (tmp_path / "3.dcm").write_bytes(content[:-100])
    assert unreadable(tmp_path, whole=True) == ""
    assert "3.dcm" in volumes((*SHAPE, 1), None).read(tmp_path)[2].error
    content = (tmp_path / "0.dcm").read_bytes()
    (tmp_path / "0.dcm").write_bytes(content[:-100])
    assert "0.dcm" in unreadable(tmp_path, whole=True)
