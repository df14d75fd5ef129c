"""Prediction sets: hand-computed quantiles, MAPIE's numbers, and coverage over many draws."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import betabinom

from brain_tumor.evaluation.uncertainty import conformal


def test_the_threshold_is_the_ceiled_quantile_of_each_class():
    # Class 0: scores 0.0, 0.1, ... 0.8 (n = 9): the 9th of 9 at 0.90, none at 0.95. Class 1: scores 0, .05 ... 0.9
    # (n = 19): ceil(20 * 0.90) = 18th at 0.90, 19th at 0.95. Class 2 has too few.
    truth = np.concatenate([1 - np.arange(9) / 10, 1 - np.arange(19) / 20, [0.5, 0.6]])
    labels = np.repeat([0, 1, 2], [9, 19, 2])
    probabilities = np.full((30, 3), np.nan)
    probabilities[np.arange(30), labels] = truth
    with np.errstate(invalid="ignore"):
        assert conformal.thresholds(probabilities, labels, 0.90) == pytest.approx([0.8, 0.85, np.inf])
        assert conformal.thresholds(probabilities, labels, 0.95) == pytest.approx([np.inf, 0.9, np.inf])


def test_one_class_at_a_time_agrees_with_mapie():
    """MAPIE 1.6.0, SplitConformalClassifier(prefit=True, conformity_score="lac"), on these very numbers.

    It has no calibration by class, so each class's images were given to it alone: conformity_scores_'s quantiles.
    """
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(60, 3)) * 2, axis=1)
    labels = np.repeat([0, 1, 2], 20)
    expected = {
        0.90: [0.9870432012795317, 0.9948414097902931, 0.9875071258229243],
        0.95: [0.9923123465756571, 0.9970738677229046, 0.9907261646786408],
    }
    for level, values in expected.items():
        assert conformal.thresholds(probabilities, labels, level) == pytest.approx(values, abs=1e-6)


def test_a_set_holds_what_is_likely_enough_and_may_be_empty():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]])
    sets = conformal.prediction_sets(probabilities, np.array([0.5, 0.7, np.inf]))
    np.testing.assert_array_equal(sets, [[True, False, True], [False, True, True]])
    assert not conformal.prediction_sets(probabilities, np.zeros(3)).any()


@pytest.mark.parametrize("draws", [40, pytest.param(150, marks=pytest.mark.slow)])
def test_coverage_by_class_stays_inside_the_range_in_95_of_100_draws(draws, make_evaluation):
    inside, covered = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = rng.integers(4, size=900)
        logits = rng.normal(size=(900, 4)) + 1.5 * np.eye(4)[labels] * np.array([0.5, 1, 1.5, 2])[labels, None]
        probabilities = softmax(logits, axis=1)
        sets = conformal.fit_sets(probabilities[:400], labels[:400], np.arange(400), (0.9, 0.95))
        table = conformal.coverage(sets, make_evaluation(labels[400:], probabilities[400:]))
        inside.append(table["coverage"].between(table["low"], table["high"]).to_numpy())
        covered.append(table["coverage"].to_numpy())
    assert len(table) == 10
    # 95 % of the draws, give or take three standard errors; discreteness makes the range a little wide
    assert np.all(np.mean(inside, axis=0) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / draws))
    assert np.mean(covered, axis=0) == pytest.approx(np.repeat([0.9, 0.95], 5), abs=0.015)


@pytest.mark.parametrize("draws", [50, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("slices", ["alike", "as in a public set"])
def test_slices_of_a_patient_need_the_range_by_group(slices, draws, make_evaluation):
    """All slices of a patient have one score. By group 95 % of draws lie inside, give or take three standard errors."""
    inside = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        patients = 240
        sizes = rng.integers(10, 14, patients) if slices == "alike" else np.ceil(rng.lognormal(2.5, 0.9, patients))
        labels = rng.integers(4, size=patients)
        logits = 1.5 * np.eye(4)[labels] + rng.normal(size=(patients, 4))
        groups = np.repeat(np.arange(patients), sizes.astype(int))
        labels, probabilities, known = labels[groups], softmax(logits, axis=1)[groups], groups < 100
        sets = conformal.fit_sets(probabilities[known], labels[known], groups[known], (0.9,))
        rest = make_evaluation(labels[~known], probabilities[~known], groups=groups[~known])
        row = conformal.coverage(sets, rest).iloc[0]
        inside.append((row.low <= row.coverage <= row.high, row.low_groups <= row.coverage <= row.high_groups))
    by_image, by_group = np.mean(inside, axis=0)
    assert by_image < 0.8
    assert by_group == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / draws) + 0.01)  # an approximation


def test_groups_of_one_image_have_the_range_by_image():
    tested, known = [[1] * 50] * 4, [40] * 4
    by_image = conformal.covered_range([50] * 4, known, 0.9)
    assert conformal.covered_range_by_group(tested, known, known, 0.9) == pytest.approx(by_image, abs=0.006)
    assert conformal.covered_range_by_group([[3, 2]], [8], [2.0], 0.9) == (1, 1)  # 9 are needed: all are covered


def test_effective_groups():
    assert conformal.effective_groups([5, 5, 5]) == 3
    assert conformal.effective_groups([4, 1, 1]) == 2  # 36 / 18
    assert conformal.effective_groups([]) == 0


def test_the_range_is_scipys_beta_binomial():
    law = betabinom(50, 37, 4)  # n = 40: k = ceil(41 * 0.9) = 37
    assert conformal.covered_range([50], [40], 0.9) == (law.ppf(0.025) / 50, law.ppf(0.975) / 50)
    assert conformal.covered_range([50], [8], 0.9) == (1, 1)  # every set holds the class
    both = conformal.covered_range([50, 50], [40, 40], 0.9)
    rng = np.random.default_rng(0)
    drawn = law.rvs((200_000, 2), random_state=rng).sum(axis=1) / 100
    assert both == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.011)


def test_a_split_without_calibration_images_has_no_sets():
    empty = conformal.fit_sets(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0), (0.9, 0.95))
    assert (empty.levels, empty.limits.shape, empty.images) == ((), (0, 4), (0, 0, 0, 0))
