"""Risk against coverage, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from brain_tumor.evaluation.uncertainty import abstention

CONFIDENCES = np.array([0.6, 0.9, 0.8, 0.8, 0.5])
CORRECT = np.array([True, True, True, False, False])


def test_the_curve_by_hand():
    curve = abstention.risk_coverage(CONFIDENCES, CORRECT)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.6, 0.5]  # the two of equal confidence are answered together
    assert curve.coverage == pytest.approx([0.2, 0.6, 0.8, 1.0])
    assert curve.risk == pytest.approx([0, 1 / 3, 1 / 4, 2 / 5])
    assert curve.area == pytest.approx(0.4 / 3 + 0.2 / 4 + 0.2 * 2 / 5)


def test_without_ties_the_area_is_the_mean_selective_risk():
    rng = np.random.default_rng(0)
    confidences, correct = rng.random(50), rng.random(50) < 0.7
    order = np.argsort(-confidences)
    risks = [1 - accuracy_score(np.ones(n), correct[order[:n]]) for n in range(1, 51)]
    assert abstention.risk_coverage(confidences, correct).area == pytest.approx(np.mean(risks))


@pytest.mark.parametrize(("wanted", "limit"), [(0.99, 0.9), (0.7, 0.6), (0.6, 0.5), (0.1, 0.5)])
def test_the_threshold_answers_as_many_as_the_accuracy_allows(wanted, limit):
    assert abstention.threshold(CONFIDENCES, CORRECT, wanted) == limit
    share, accuracy = abstention.selective(CONFIDENCES, CORRECT, limit)
    assert accuracy >= wanted
    assert share == (limit <= CONFIDENCES).mean()


def test_an_accuracy_out_of_reach_answers_nothing():
    limit = abstention.threshold(np.array([0.9, 0.8]), np.array([False, True]), 0.9)
    assert limit == np.inf
    share, accuracy = abstention.selective(CONFIDENCES, CORRECT, limit)
    assert share == 0
    assert np.isnan(accuracy)
