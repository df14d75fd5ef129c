"""Which side of the patient a DICOM slice shows where, against hand-made heads and against nibabel."""

import itertools
import os
import tarfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import dicom, item
from numpy.typing import NDArray

from brain_tumor.data.scans.dicom import UNTURNED
from brain_tumor.data.scans.geometry import SIDES
from brain_tumor.data.scans.opening import open_scan, read_scan
from brain_tumor.serving.side_marks import marked

VOLUME = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10  # to the left, back and head: DICOM's own axes
WINDOW = {"WindowCenter": 128, "WindowWidth": 256}  # a stored value is its gray level
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def gray(content: bytes, index: int = 0) -> NDArray[np.uint8]:
    return np.asarray(open_scan(content).picture(index))[..., 0]


def as_nifti(plane: str) -> NDArray[np.uint8]:
    """The same slice in NIfTI, whose reader has tests of its own, and goes from left to right and back to front."""
    grays = nibabel.Nifti1Image(VOLUME.astype(np.uint8), TO_RAS).to_bytes()
    scan = open_scan(grays, plane)  # type: ignore[arg-type]
    last = {"axial": 0, "coronal": scan.count - 1, "sagittal": scan.count - 1}[
        plane
    ]  # they go to the back, to the left
    return np.asarray(scan.picture(last))[..., 0]


@pytest.mark.parametrize(("plane", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=2)))
def test_every_way_to_store_a_slice_shows_the_same_sides(
    plane: str, axis: int, swapped: bool, flips: tuple[int, int]
) -> None:
    across, down = (each for each in range(3) if each != axis)
    stored = np.take(VOLUME, 0, axis).T  # rows and columns run along the axes
    row, column = np.eye(3)[across] * flips[0], np.eye(3)[down] * flips[1]
    stored = stored[:: flips[1], :: flips[0]]
    if swapped:
        stored, row, column = stored.T, column, row
    content = dicom(np.ascontiguousarray(stored), **WINDOW, ImageOrientationPatient=[*row, *column])
    scan = open_scan(content)
    assert (scan.plane, scan.remarks) == (plane, ())
    # By hand: on the right lies the patient's left, or in a sagittal one the back; below the back, or the feet
    expected = {"axial": VOLUME[:, :, 0].T, "coronal": VOLUME[:, 0, ::-1].T, "sagittal": VOLUME[0, :, ::-1].T}[plane]
    assert np.array_equal(gray(content), expected)
    order = np.argsort(np.argsort(as_nifti(plane).ravel()))
    assert np.array_equal(order, np.argsort(np.argsort(expected.ravel())))


def test_oblique_slices_are_turned_by_the_nearest_axes_and_stretched_before() -> None:
    stored = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
    mirrored = [-0.998, -0.062, -0.012, -0.053, 0.930, -0.364]
    assert gray(dicom(stored, **WINDOW, ImageOrientationPatient=mirrored)).tolist() == stored[:, ::-1].tolist()
    turned = [0.05, 0.93, -0.36, -0.99, 0.06, 0.01]  # rows run to the back, columns to the right
    content = dicom(stored, **WINDOW, ImageOrientationPatient=turned, PixelSpacing=[2, 1])
    assert open_scan(content).picture(0).size == (4, 3)


def test_frames_have_their_own_orientation_or_one_for_all() -> None:
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50
    frames = np.stack([stored, stored])

    def lies(*ways: int) -> Any:
        return item(PlaneOrientationSequence=[item(ImageOrientationPatient=list(ways))])

    each = [lies(-1, 0, 0, 0, 1, 0), lies(1, 0, 0, 0, 0, 1)]
    scan = open_scan(dicom(frames, **WINDOW, PerFrameFunctionalGroupsSequence=each))
    assert (scan.plane, scan.planes, scan.remarks) == (None, ("axial", "coronal"), ())
    assert [scan.plane_of(0), scan.plane_of(1)] == ["axial", "coronal"]
    assert np.array_equal(np.asarray(scan.picture(0))[..., 0], stored[:, ::-1])
    assert np.array_equal(np.asarray(scan.picture(1))[..., 0], stored[::-1])
    shared = open_scan(dicom(frames, **WINDOW, SharedFunctionalGroupsSequence=each[:1]))
    assert (shared.plane, shared.planes) == ("axial", ())
    assert all(np.array_equal(np.asarray(shared.picture(k))[..., 0], stored[:, ::-1]) for k in range(2))


def test_where_there_are_no_cosines_letters_say_it_and_without_both_the_answer_says_so() -> None:
    stored = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
    lettered = dicom(stored, **WINDOW, PatientOrientation=["RA", "PH"])
    assert np.array_equal(gray(lettered), stored[:, ::-1])
    assert open_scan(lettered).remarks == ()
    for orientation in (None, ["L", "R"], ["X", "Y"], ["L"]):
        scan = open_scan(dicom(stored, **WINDOW, PatientOrientation=orientation))
        assert (scan.plane, scan.remarks) == (None, (UNTURNED,))
        assert np.array_equal(np.asarray(scan.picture(0))[..., 0], stored)


def test_letters_stand_at_the_edges_of_slices_whose_sides_are_known() -> None:
    black = open_scan(dicom(np.zeros((64, 96), np.uint8), ImageOrientationPatient=[1, 0, 0, 0, 1, 0])).picture(0)
    drawn = np.asarray(marked(black, "axial"))[..., 0]
    lit = np.argwhere(drawn > 128)
    assert lit.size
    for part in (drawn[:, :16], drawn[:, -16:], drawn[:16, 40:56], drawn[-16:, 40:56]):
        assert (part > 128).any()
    assert not drawn[16:-16, 16:-16].any()
    assert marked(black, None) is black
    assert not np.array_equal(drawn, np.asarray(marked(black, "sagittal"))[..., 0])
    assert {plane: sides[0] for plane, sides in SIDES.items()} == {"axial": "R", "coronal": "R", "sagittal": "A"}


@pytest.mark.real_data
def test_a_real_series_that_is_stored_mirrored_is_shown_as_nibabel_reads_it(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    place = Path(os.environ.get("BRAIN_TUMOR_DATA", "")) / "scans" / "remind_t1c_dicom_series.tar.xz"
    if not os.environ.get("BRAIN_TUMOR_DATA") or not place.is_file():
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    with tarfile.open(place) as packed:
        packed.extractall(tmp_path, filter="data")
    files = sorted(tmp_path.rglob("*.dcm"))
    read = [pydicom.dcmread(path) for path in files]
    row, column = np.reshape([float(each) for each in read[0].ImageOrientationPatient], (2, 3))
    normal = np.cross(row, column) * np.sign(np.cross(row, column)[2])  # to the head
    heights = [float(np.dot(each.ImagePositionPatient, normal)) for each in read]
    order = np.argsort(heights)
    values = np.stack([read[place].pixel_array.T for place in order], axis=-1)  # columns, rows, slices
    affine = np.eye(4)
    down, right = map(float, read[0].PixelSpacing)
    affine[:3, 0], affine[:3, 1] = row * right, column * down
    affine[:3, 2] = normal * (max(heights) - min(heights)) / (len(files) - 1)
    affine[:3, 3] = [float(each) for each in read[order[0]].ImagePositionPatient]
    volume = nibabel.as_closest_canonical(nibabel.Nifti1Image(values.astype(np.int16), TO_RAS @ affine)).get_fdata()
    center, width = float(read[0].WindowCenter), float(read[0].WindowWidth)
    for index, place in enumerate(order):
        expected = volume[:, :, index].T[::-1, ::-1]
        levels = np.rint(np.clip(((expected - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255))
        shown = np.asarray(read_scan(files[place]).picture(0))[..., 0]
        assert np.abs(shown - levels).max() <= 1
        assert not 40 < index < 140 or np.abs(shown[:, ::-1] - levels).mean() > 3  # mirrored it is another picture
