"""The three planes of a volume, and maps over them, lie where the patient has them."""

from dataclasses import replace

import numpy as np
import pytest

from brain_tumor.data.scans.cuts import cuts_of
from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.data.scans.scan import Limits
from brain_tumor.data.scans.volume import Volume, slices_of

# Stored from back to front, head to feet, left to right, with voxels of 2, 3 and 1 mm.
AFFINE = np.array([[0, 0, 1, -4], [2, 0, 0, -10], [0, -3, 0, 30], [0, 0, 0, 1]], np.float64)
SHAPE = (12, 8, 10)


def volume(seed: int = 0) -> Volume:
    return Volume("nifti", np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.int16), AFFINE)


@pytest.mark.parametrize("plane", PLANES)
def test_a_plane_is_the_slice_that_the_model_is_shown(plane: str) -> None:
    cubic = replace(volume(), affine=AFFINE / [2, 3, 1, 1])  # so that no pixel is stretched
    cubic.affine[3] = 0, 0, 0, 1
    cuts, scan = cuts_of(cubic), slices_of(cubic, plane, Limits())  # type: ignore[arg-type]
    assert cuts.values.shape[PLANES.index(plane)] == scan.count
    for index in range(scan.count):
        assert np.array_equal(cuts.gray(plane, index), np.asarray(scan.picture(index))[..., 0])


def test_a_spot_is_at_its_place_in_each_plane() -> None:
    values = np.zeros(SHAPE, np.int16)
    values[3, 2, 7] = 1000  # at x 3, y -4, z 24 mm
    cuts = cuts_of(Volume("nifti", values, AFFINE))
    x, y, z = cuts.voxel(np.array([3.0, -4.0, 24.0]))
    assert (x, y, z) == (7, 3, 5)  # towards the right, the front and the head
    bright = {plane: np.argwhere(cuts.gray(plane, (x, y, z)[axis])).tolist() for axis, plane in enumerate(PLANES)}
    # Rows from the front or the head, columns from the patient's right or the front; 10, 12 and 8 voxels there are.
    assert bright == {"axial": [[11 - y, 9 - x]], "coronal": [[7 - z, 9 - x]], "sagittal": [[7 - z, 11 - y]]}
    assert not cuts.gray("axial", z + 1).any()


def test_a_window_sets_black_and_white() -> None:
    values = np.zeros(SHAPE, np.int16)
    values[..., 0] = np.arange(96).reshape(12, 8)
    cuts = cuts_of(Volume("nifti", values, np.eye(4)))
    full, narrow = cuts.gray("axial", 0), cuts.gray("axial", 0, level=50, width=20)
    assert (full == 0).sum() <= 2
    assert (narrow == 0).sum() == pytest.approx(0.4 * 96, abs=4)  # what is below 40 % of the range
    assert (narrow == 255).sum() == pytest.approx(0.4 * 96, abs=6)
    assert np.array_equal(narrow > 127, full > 127)


def test_a_map_lies_over_what_it_is_of() -> None:
    """A ball of 3 mm around x 1, y 0, z 20 mm, in a map on a grid of 1.5 mm that runs other ways than the volume."""
    centre = np.array([1.0, 0.0, 20.0])
    grid = np.array([[0, 0, -1.5, 12], [0, -1.5, 0, 15], [1.5, 0, 0, 6], [0, 0, 0, 1]])
    places = np.moveaxis(np.indices((20, 22, 18)), 0, -1) @ grid[:3, :3].T + grid[:3, 3]
    ball = (np.linalg.norm(places - centre, axis=-1) < 3).astype(np.float32)
    cuts = cuts_of(volume())
    voxels = np.moveaxis(np.indices(cuts.values.shape), 0, -1)
    far = np.linalg.norm(voxels @ cuts.affine[:3, :3].T + cuts.affine[:3, 3] - centre, axis=-1)
    for axis, plane in enumerate(PLANES):
        for index in range(cuts.values.shape[axis]):
            over = cuts.over(plane, index, ball, grid)
            assert over.shape == cuts.gray(plane, index).shape
            there = np.moveaxis(far, axis, 0)[index].T[::-1, ::-1]
            assert over[there < 1.5].min(initial=1) > 0.5
            assert over[there > 5].max(initial=0) == 0


def test_which_axis_the_files_slices_are() -> None:
    assert cuts_of(volume()).stacked == (0, True)
    assert cuts_of(replace(volume(), affine=AFFINE @ np.diag([1, 1, -1, 1]))).stacked == (0, False)
