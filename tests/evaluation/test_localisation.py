import numpy as np
import pytest

from brain_tumor.evaluation.localisation import Localisation, peak_in_mask


def one_hot_map(row: int, column: int) -> np.ndarray:
    values = np.zeros((1, 4, 4), dtype=np.float32)
    values[0, row, column] = 1
    return values


def point_mask(y: int, x: int) -> np.ndarray:
    mask = np.zeros((1, 32, 32), dtype=bool)
    mask[0, y, x] = True
    return mask


def test_by_hand():
    """A 4 x 4 map on 32 x 32 pixels: cells of 8 pixels, so each mask pixel grows to 8 x 8."""
    mask = point_mask(20, 20)  # in the cell (2, 2), dilated to rows and columns 17..24, beside the centre (16, 16)
    found = peak_in_mask(one_hot_map(2, 2), mask)
    assert found == Localisation(images=1, hits=1.0, centre_hits=0.0, covered=64 / 1024)
    assert peak_in_mask(one_hot_map(2, 3), mask).hits == 0  # its centre is (20, 28)


@pytest.mark.parametrize(("y", "hit"), [(7, False), (8, True), (15, True), (16, False)])
def test_a_peak_hits_if_its_cell_touches_the_mask(y, hit):
    # The cell (1, 1) covers rows and columns 8..15.
    assert peak_in_mask(one_hot_map(1, 1), point_mask(y, 12)).hits == hit


def test_dilation_stops_at_the_border():
    found = peak_in_mask(one_hot_map(3, 3), point_mask(0, 0))
    assert found.hits == 0
    assert found.covered == 25 / 1024  # rows and columns -3..4


def test_averages_over_images():
    maps = np.concatenate([one_hot_map(0, 0), one_hot_map(2, 2), one_hot_map(0, 3), one_hot_map(3, 3)])
    masks = np.concatenate([point_mask(4, 4), point_mask(16, 16), point_mask(28, 4), point_mask(28, 28)])
    found = peak_in_mask(maps, masks)
    assert found.hits == 3 / 4
    assert found.centre_hits == 1 / 4
    # 28 grows to 25..32, of which 32 is outside
    assert found.covered == pytest.approx((64 + 64 + 56 + 49) / 4 / 1024)


def test_empty_map_misses_wherever_the_mask_is():
    maps, masks = np.zeros((1, 4, 4), np.float32), np.ones((1, 32, 32), bool)
    assert peak_in_mask(maps, masks).hits == 0


def test_oblong_images_and_cells():
    maps = np.zeros((1, 2, 3), np.float32)
    maps[0, 1, 2] = 0.5  # cells of 10 x 20 pixels; centre (15, 50)
    mask = np.zeros((1, 20, 60), bool)
    mask[0, 10, 40] = True  # in the corner of that cell
    found = peak_in_mask(maps, mask)
    assert found.hits == 1
    assert found.covered == 10 * 20 / 1200


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [((2, 4, 4), (1, 8, 8), "must be"), ((0, 4, 4), (0, 8, 8), "must be"), ((1, 4, 4), (1, 8, 8), "empty")],
)
def test_refuses_what_cannot_be_scored(maps, masks, message):
    with pytest.raises(ValueError, match=message):
        peak_in_mask(np.ones(maps, np.float32), np.zeros(masks, bool))


def test_odd_cells():
    maps = np.zeros((1, 3, 3), np.float32)
    maps[0, 1, 1] = 1  # cells of 7 pixels: rows and columns 7..13
    for y, hit in {6: 0, 7: 1, 13: 1, 14: 0}.items():
        mask = np.zeros((1, 21, 21), bool)
        mask[0, y, 10] = True
        assert peak_in_mask(maps, mask).hits == hit
