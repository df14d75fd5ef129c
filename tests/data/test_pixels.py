from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from brain_tumor.data.pixels import Planes, to_planes

RNG = np.random.default_rng(0)
GRAY = np.repeat(RNG.integers(0, 256, (4, 5, 5, 1)), 3, axis=3).astype(np.uint8)
PICTURES = RNG.integers(0, 256, (7, 5, 5, 3)).astype(np.uint8)
PICTURES[[0, 2, 3, 6]] = GRAY


def kept(pictures: NDArray[np.uint8], folder: Path) -> Planes:
    """The pictures as planes, mapped from disk."""
    planes = [to_planes(each) for each in pictures]
    np.save(folder / "planes.npy", np.concatenate(planes))
    return Planes(np.load(folder / "planes.npy", mmap_mode="r"), np.array([len(each) for each in planes]))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(0, id="gray"),
        pytest.param(np.int64(1), id="coloured"),
        pytest.param(-1, id="last"),
        pytest.param(slice(1, 6, 2), id="slice"),
        pytest.param(np.array([5, 0, 0, 3]), id="rows, one twice"),
        pytest.param(np.arange(7) % 2 == 0, id="mask"),
        pytest.param(np.empty(0, np.int64), id="none"),
    ],
)
def test_rows_are_those_of_an_array(rows: object, tmp_path: Path) -> None:
    found = kept(PICTURES, tmp_path)[rows]
    assert found.dtype == np.uint8
    assert np.array_equal(found, PICTURES[rows])  # type: ignore[index]
    assert found.shape == PICTURES[rows].shape  # type: ignore[index]


def test_shape_length_and_the_whole(tmp_path: Path) -> None:
    planes = kept(PICTURES, tmp_path)
    assert planes.shape == PICTURES.shape
    assert len(planes) == len(PICTURES)
    assert np.array_equal(np.asarray(planes), PICTURES)


def test_gray_is_one_plane_and_colour_three() -> None:
    assert [len(to_planes(each)) for each in PICTURES] == [1, 3, 1, 1, 3, 3, 1]
    nearly = GRAY[0].copy()
    nearly[4, 4, 2] ^= 1
    assert len(to_planes(nearly)) == 3


def test_what_is_read_may_be_changed(tmp_path: Path) -> None:
    planes = kept(PICTURES, tmp_path)
    planes[0][:] = 0
    assert np.array_equal(planes[0], PICTURES[0])


def test_a_row_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        kept(PICTURES, tmp_path)[7]
