import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.metrics import HEADLINE, PER_CLASS, pooled, reliability_bins, score

# Truth g g m m n p; said g m m m n g: hand-computed below.
LABELS = [0, 0, 1, 1, 2, 3]
PROBABILITIES = [
    [0.7, 0.1, 0.1, 0.1],
    [0.3, 0.4, 0.2, 0.1],
    [0.1, 0.8, 0.1, 0.0],
    [0.2, 0.5, 0.2, 0.1],
    [0.0, 0.0, 1.0, 0.0],
    [0.6, 0.0, 0.1, 0.3],
]


def test_counts_by_hand(make_evaluation):
    scores = score(make_evaluation(LABELS, PROBABILITIES))
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    assert scores["precision_glioma"] == pytest.approx(1 / 2)
    assert scores["precision_meningioma"] == pytest.approx(2 / 3)
    assert scores["recall_glioma"] == pytest.approx(1 / 2)
    assert scores["f1_meningioma"] == pytest.approx(0.8)
    assert scores["precision_pituitary"] == 0  # never said
    assert scores["macro_precision"] == pytest.approx((1 / 2 + 2 / 3 + 1 + 0) / 4)
    assert scores["macro_f1"] == pytest.approx((0.5 + 0.8 + 1 + 0) / 4)


def test_what_is_not_a_class_by_hand(make_evaluation):
    scores = score(make_evaluation(LABELS, PROBABILITIES))
    assert scores["specificity_glioma"] == pytest.approx(3 / 4)  # the pituitary is said to be one
    assert scores["specificity_meningioma"] == pytest.approx(3 / 4)
    assert scores["npv_glioma"] == pytest.approx(3 / 4)  # of m m m n, the first is a glioma
    assert scores["npv_pituitary"] == pytest.approx(5 / 6)
    assert scores["specificity_pituitary"] == 1
    only = score(make_evaluation([0, 1], [[0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0]]))
    assert only["npv_glioma"] == 0  # always said
    assert only["npv_meningioma"] == 1 / 2


def test_confident_mistakes_by_hand(make_evaluation):
    probabilities = [[0.9, 0.1, 0, 0], [0.95, 0.05, 0, 0], [0.92, 0.08, 0, 0], [0.5, 0.3, 0.2, 0], [0.99, 0.01, 0, 0]]
    found = score(make_evaluation([1, 1, 1, 1, 0], probabilities))["confident_mistakes"]
    assert found == pytest.approx(2 / 4)  # 0.9 is not above 0.9, and the last is right
    assert math.isnan(score(make_evaluation([0], probabilities[:1]))["confident_mistakes"])


def test_losses_by_hand(make_evaluation):
    scores = score(make_evaluation(LABELS, PROBABILITIES))
    assert scores["log_loss"] == pytest.approx(-sum(map(math.log, [0.7, 0.3, 0.8, 0.5, 1.0, 0.3])) / 6)
    squares = [0.12, 0.49 + 0.16 + 0.04 + 0.01, 0.06, 0.04 + 0.25 + 0.04 + 0.01, 0, 0.36 + 0.01 + 0.49]
    assert scores["brier"] == pytest.approx(sum(squares) / 6)
    # Confidences 0.7 0.4 0.8 0.5 1 0.6 (right: all but 0.4 and 0.6) fall into six of the fifteen bins.
    assert scores["ece"] == pytest.approx((0.3 + 0.4 + 0.2 + 0.5 + 0.0 + 0.6) / 6)


def test_areas_by_hand(make_evaluation):
    scores = score(make_evaluation(LABELS, PROBABILITIES))
    # P(glioma) .7 and .3 against .1 .2 .0 .6: 7 of 8 pairs are in order; precision 1, then 2/3.
    assert scores["roc_auc_glioma"] == pytest.approx(7 / 8)
    assert scores["pr_auc_glioma"] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_scikit_learn(simulate, ties):
    evaluation = simulate(300, ties=ties)
    scores, labels, probabilities = score(evaluation), evaluation.labels, evaluation.probabilities
    said, one_hot = evaluation.predictions, np.eye(4)[evaluation.labels]
    expected = {
        "accuracy": reference.accuracy_score(labels, said),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, said),
        "macro_precision": reference.precision_score(labels, said, average="macro"),
        "macro_recall": reference.recall_score(labels, said, average="macro"),
        "macro_f1": reference.f1_score(labels, said, average="macro"),
        "roc_auc": reference.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "pr_auc": reference.average_precision_score(one_hot, probabilities, average="macro"),
        "log_loss": reference.log_loss(labels, probabilities),
        "brier": reference.brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False),
    }
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_names_come_in_a_fixed_order(simulate):
    per_class = [f"{metric}_{name}" for metric in PER_CLASS for name in STANDARD.names]
    assert list(score(simulate(40))) == [*HEADLINE, *per_class]


def test_absent_class_is_nan_and_left_out_of_the_averages(simulate):
    evaluation = simulate(200, present=3)
    assert "pituitary" in np.asarray(STANDARD.names)[evaluation.predictions]  # predicted, though it is never true
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = score(evaluation)
    assert all(math.isnan(scores[f"{metric}_pituitary"]) for metric in PER_CLASS)
    for macro, metric in {
        "macro_f1": "f1",
        "roc_auc": "roc_auc",
        "pr_auc": "pr_auc",
        "macro_recall": "recall",
    }.items():
        assert scores[macro] == pytest.approx(np.mean([scores[f"{metric}_{name}"] for name in STANDARD.names[:3]]))
    assert all(math.isfinite(scores[name]) for name in HEADLINE)


def test_single_class_has_no_roc(simulate):
    scores = score(simulate(20, present=1))
    assert math.isnan(scores["roc_auc"])
    assert scores["pr_auc"] == pytest.approx(1)
    assert scores["balanced_accuracy"] == scores["accuracy"]


def test_calibration_bins_are_closed_above(make_evaluation):
    bins = reliability_bins(make_evaluation([0, 1, 0], [[0.6, 0.4, 0, 0], [0.61, 0.39, 0, 0], [1, 0, 0, 0]]))
    assert bins.counts.tolist() == [0] * 8 + [1, 1] + [0] * 4 + [1]  # 0.6 = 9/15 ends the ninth bin
    assert bins.accuracy[[8, 9, 14]].tolist() == [1, 0, 1]
    assert bins.confidence[[8, 9, 14]] == pytest.approx([0.6, 0.61, 1])
    assert np.isnan(bins.accuracy[0])


def test_table_adds_predictions(make_evaluation):
    table = make_evaluation(LABELS, PROBABILITIES).table()
    assert table["prediction"].tolist() == [STANDARD.names[index] for index in (0, 1, 1, 1, 2, 0)]
    assert table["correct"].tolist() == [True, False, True, True, True, False]
    assert table["probability_meningioma"].tolist() == [0.1, 0.4, 0.8, 0.5, 0.0, 0.0]
    assert list(table.columns[:6]) == ["path", "label", "part", "group", "site", "sha256"]


def test_take_keeps_rows_and_probabilities_together(make_evaluation):
    part = make_evaluation(LABELS, PROBABILITIES).take([5, 2])
    assert part.labels.tolist() == [3, 1]
    assert part.probabilities.tolist() == [PROBABILITIES[5], PROBABILITIES[2]]


def test_pooling_counts_a_slice_of_two_sites_once(make_evaluation):
    first = make_evaluation(LABELS, PROBABILITIES, paths=[f"A/{index}" for index in range(6)])
    second = make_evaluation(LABELS, PROBABILITIES[::-1], paths=[f"B/{index}" for index in range(6)])
    first.rows["twin"] = list("abcdef")
    second.rows["twin"] = list("ghacij")  # its third and fourth stand in the first, too
    both = pooled([first, second])
    assert both.rows["path"].tolist() == [*(f"A/{index}" for index in range(6)), "B/0", "B/1", "B/4", "B/5"]
    assert both.probabilities[6:].tolist() == [PROBABILITIES[index] for index in (5, 4, 1, 0)]
    assert both.title.endswith("pooled over 2 models, 2 copies left out")
    with pytest.raises(ValueError, match="only predictions of different images"):
        pooled([first, first])


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0], [[0.5, 0.5]]),
        ([0], [[0.5, 0.2, 0.2, 0.2]]),
        ([0], [[1.5, -0.5, 0, 0]]),
        ([0], [[math.nan, 1, 0, 0]]),
        ([], np.empty((0, 4))),
    ],
)
def test_refuses_what_does_not_fit(make_evaluation, labels, probabilities):
    with pytest.raises(ValueError, match="probabilities"):
        make_evaluation(np.asarray(labels, dtype=int), probabilities)
