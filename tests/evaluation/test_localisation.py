"""Scores of maps against masks, each by hand."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.evaluation.explanation.localisation import (
    QUANTILES,
    best_quantile,
    centred_gaussian,
    dice,
    energy,
    iou,
    pointing,
    raw_scores,
    settled,
    summarise,
)


def masks(*pixels: tuple[int, int], size: tuple[int, int] = (4, 4)) -> np.ndarray:
    mask = np.zeros((1, *size), bool)
    for y, x in pixels:
        mask[0, y, x] = True
    return mask


def maps(values: list[list[float]]) -> np.ndarray:
    return np.array([values], np.float32)


RAMP = maps([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]])  # sums to 120


def test_a_map_points_where_its_greatest_pixel_is():
    assert pointing(RAMP, masks((3, 3))).tolist() == [1]
    assert pointing(RAMP, masks((3, 2), (2, 3), (2, 2))).tolist() == [0]  # all around it
    tie = maps([[0, 1], [1, 0]])
    assert pointing(tie, masks((0, 1), size=(2, 2))).tolist() == [1]  # the first of equals
    assert pointing(tie, masks((1, 0), size=(2, 2))).tolist() == [0]


def test_energy_is_the_share_of_the_sum():
    assert energy(RAMP, masks((3, 3), (0, 3))).tolist() == pytest.approx([18 / 120])


def test_iou_cuts_the_map_at_its_own_quantile():
    # Above the median of 7.5: the 8 pixels of the lower half. Above the quantile 0.75 (11.25): the last row.
    mask = masks((3, 0), (3, 1), (2, 0), (0, 0))
    found = iou(RAMP, mask, (0.5, 0.75))
    assert found.tolist() == [[3 / 9, 2 / 6]]


def test_an_empty_map_points_nowhere():
    nothing, mask = np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), bool)
    assert raw_scores(nothing, mask).tolist() == [[0] * (2 + len(QUANTILES))]


def test_the_quantile_with_the_greatest_mean_is_taken():
    raw = np.zeros((2, 2 + len(QUANTILES)))
    raw[:, :2] = [[1, 0.3], [0, 0.1]]
    raw[:, 2 + 4] = [0.2, 0.6]
    raw[:, 2 + 7] = [0.7, 0.0]
    assert best_quantile(raw) == 4
    assert settled(raw, 4).tolist() == [[1, 0.3, 0.2], [0, 0.1, 0.6]]
    assert np.isnan(settled(raw, None)[:, 2]).all()


def test_the_gaussian_stands_in_the_centre():
    values = centred_gaussian((8, 4))
    assert values.shape == (8, 4)
    assert np.array_equal(values, values[::-1, ::-1])
    # Pixel centres are 3.5, 2.5 … from the middle: 3.5 pixels are 1.75 deviations of 2 pixels.
    assert values[0, 1] == pytest.approx(np.exp(-0.5 * (1.75**2 + 0.5**2)))


@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [((2, 4, 4), (1, 4, 4), "must both be"), ((0, 4, 4), (0, 4, 4), "must both be"), ((1, 4, 4), (1, 4, 4), "empty")],
)
def test_refuses_what_cannot_be_scored(shape, mask, message):
    with pytest.raises(ValueError, match=message):
        raw_scores(np.ones(shape, np.float32), np.zeros(mask, bool))


def test_intervals_draw_whole_groups():
    """Two groups: a resample holds the first 2, 1 or 0 times, with probability 1/4, 1/2 and 1/4."""
    values = np.array([[1.0], [1.0], [1.0], [0.0]])
    mean, low, high = mean_intervals(values, np.array(["a", "a", "a", "b"]), resamples=4000)
    assert (mean.tolist(), low.tolist(), high.tolist()) == ([0.75], [0], [1])
    # Each for itself, 0.75 is 3 of 4: the lowest 2.5 % hold 1 or 0 of 4 (binomial: 0.0508), so the bound is 1/4.
    assert mean_intervals(values, np.array(list("abcd")), resamples=4000)[1].tolist() == [0.25]


def test_intervals_of_many_groups_are_the_normal_ones():
    values = np.random.default_rng(0).normal(2, 3, size=(400, 1))
    mean, low, high = mean_intervals(values, np.arange(400).astype(str), resamples=4000)
    half = 1.96 * values.std(ddof=1) / 20
    assert [low[0], high[0]] == pytest.approx([mean[0] - half, mean[0] + half], abs=0.02)


def test_one_group_says_nothing_of_others():
    mean, low, high = mean_intervals(np.array([[1.0], [0.0]]), np.array(["a", "a"]))
    assert mean.tolist() == [0.5]
    assert np.isnan([low, high]).all()


def test_the_table_has_all_and_each_class():
    scores = {"model": np.array([[1, 0.5, 0.1], [0, 0.1, 0.3], [1, 0.0, 0.2]]), "centre": np.zeros((3, 3))}
    names, groups = np.array(["b", "a", "b"]), np.array(["1", "2", "3"])
    table = summarise(scores, names, groups, resamples=200)
    assert list(dict.fromkeys(table["class"])) == ["all", "a", "b"]
    values = table.set_index(["class", "map", "metric"])
    assert values.loc[("all", "model", "pointing"), "value"] == pytest.approx(2 / 3)
    assert values.loc[("b", "model", "energy"), "value"] == pytest.approx(0.25)
    assert values.loc[("b", "model", "energy"), "images"] == 2
    assert values.loc[("b", "model", "energy"), ["low", "high"]].tolist() == [0, 0.5]
    assert values.loc[("a", "model", "iou"), "value"] == pytest.approx(0.3)
    assert np.isnan(values.loc[("a", "model", "iou"), "low"])
    assert values.loc[("all", "centre", "pointing"), ["value", "low", "high"]].tolist() == [0, 0, 0]
    assert isinstance(table, pd.DataFrame)


def test_dice_is_twice_the_overlap_over_both() -> None:
    maps = np.float32([[[0.9, 0.5], [0.4, 0.0]], [[0.1, 0.2], [0.3, 0.4]]])
    masks = np.array([[[True, False], [True, True]], [[True, False], [False, False]]])
    assert dice(maps, masks).tolist() == [2 * 1 / (2 + 3), 0]
