"""Prediction sets: hand-computed quantiles, MAPIE's numbers, and coverage over many draws."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import betabinom, binom

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


def test_a_set_holds_the_most_probable_class_and_what_is_likely_enough():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.35, 0.4, 0.25]])
    sets = conformal.prediction_sets(probabilities, np.array([0.5, 0.55, np.inf]))
    np.testing.assert_array_equal(sets, [[True, False, True], [False, True, True]])
    alone = conformal.prediction_sets(probabilities, np.zeros(3))
    np.testing.assert_array_equal(alone, [[True, False, False], [False, True, False]])


def test_the_answer_is_in_every_set_and_a_higher_level_holds_a_lower_one():
    """Calibrated where one class is nearly always found and another hardly ever, and asked of what is not alike."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 60)
    probabilities = softmax(
        rng.normal(size=(240, 4)) + np.eye(4)[labels] * np.array([0, 6, 2, 1])[labels, None], axis=1
    )
    others = softmax(rng.normal(size=(1000, 4)) * 3, axis=1)
    found = conformal.fit_sets(probabilities, labels, np.arange(240), (0.8, 0.9, 0.95))
    alone = 1 - others <= found.limits[:, None]  # (L, N, C) by the thresholds
    sets = np.stack([conformal.prediction_sets(others, limits) for limits in found.limits])
    answers = others.argmax(axis=1)
    assert not alone[:, np.arange(1000), answers].all()
    assert sets[:, np.arange(1000), answers].all()
    assert (sets[:-1] <= sets[1:]).all()
    assert (sets.sum(axis=2) - alone.sum(axis=2) == ~alone[:, np.arange(1000), answers]).all()  # and nothing else


def test_coverage_by_class_reaches_the_least_in_975_of_1000_draws(make_evaluation):
    draws = 40
    short, covered = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = rng.integers(4, size=900)
        logits = rng.normal(size=(900, 4)) + 1.5 * np.eye(4)[labels] * np.array([0.5, 0.75, 1, 1.25])[labels, None]
        probabilities = softmax(logits, axis=1)
        sets = conformal.fit_sets(probabilities[:400], labels[:400], np.arange(400), (0.9, 0.95))
        table = conformal.coverage(sets, make_evaluation(labels[400:], probabilities[400:]))
        short.append((table["coverage"] < table["low"]).to_numpy())
        covered.append(table["coverage"].to_numpy())
    assert len(table) == 10
    assert np.all(np.sum(short, axis=0) <= binom(draws, 0.025).isf(1e-4))
    assert 0.01 < np.mean(short) < 0.04
    # No class is found so often that the answer, which each set holds, adds to this
    assert np.mean(covered, axis=0) == pytest.approx(np.repeat([0.9, 0.95], 5), abs=0.015)


@pytest.mark.parametrize("slices", ["alike", "as in a public set"])
def test_slices_of_a_patient_need_the_least_by_group(slices, make_evaluation):
    """All slices of a patient have one score. By group 97.5 % of draws reach it, fewer where sizes differ much."""
    reached, draws = [], 30
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
        reached.append((row.low <= row.coverage, row.low_groups <= row.coverage))
    by_image, by_group = np.mean(reached, axis=0)
    assert by_image < 0.9
    assert 1 > by_group > (0.975 if slices == "alike" else 0.93) - 3 * np.sqrt(0.025 * 0.975 / draws)


def test_groups_of_one_image_have_the_least_by_image():
    tested, known = [[1] * 50] * 4, [40] * 4
    by_image = conformal.least_covered([50] * 4, known, 0.9)
    assert conformal.least_covered_by_group(tested, known, known, 0.9) == pytest.approx(by_image, abs=0.006)
    assert conformal.least_covered_by_group([[3, 2]], [8], [2.0], 0.9) == 1  # 9 are needed: all are covered


def test_effective_groups():
    assert conformal.effective_groups([5, 5, 5]) == 3
    assert conformal.effective_groups([4, 1, 1]) == 2  # 36 / 18
    assert conformal.effective_groups([]) == 0


def test_the_least_is_scipys_beta_binomial():
    law = betabinom(50, 37, 4)  # n = 40: k = ceil(41 * 0.9) = 37
    assert conformal.least_covered([50], [40], 0.9) == law.ppf(0.025) / 50
    assert conformal.least_covered([50], [8], 0.9) == 1  # every set holds the class
    both = conformal.least_covered([50, 50], [40, 40], 0.9)
    rng = np.random.default_rng(0)
    drawn = law.rvs((200_000, 2), random_state=rng).sum(axis=1) / 100
    assert both == pytest.approx(np.quantile(drawn, 0.025), abs=0.011)


def test_a_split_without_calibration_images_has_no_sets():
    empty = conformal.fit_sets(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0), (0.9, 0.95))
    assert (empty.levels, empty.limits.shape, empty.images) == ((), (0, 4), (0, 0, 0, 0))
