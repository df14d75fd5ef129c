import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation import bootstrap
from brain_tumor.evaluation.bootstrap import intervals, paired_intervals, run_intervals, weighted_scores
from brain_tumor.evaluation.metrics import HEADLINE, reliability_bins, score


def scikit_learn(evaluation, weight):
    """Every metric with `sample_weight`, from scikit-learn alone (ECE aside, which it lacks)."""
    labels, said, probabilities = evaluation.labels, evaluation.predictions, evaluation.probabilities
    present = np.unique(labels[weight > 0])
    wrong = labels != said
    options = {"labels": present, "average": None, "sample_weight": weight, "zero_division": 0}
    counts = reference.multilabel_confusion_matrix(labels, said, labels=present, sample_weight=weight)
    per_class = {
        "specificity": counts[:, 0, 0] / counts[:, 0].sum(axis=1),
        "npv": counts[:, 0, 0] / counts[:, :, 0].sum(axis=1),
        "precision": reference.precision_score(labels, said, **options),
        "recall": reference.recall_score(labels, said, **options),
        "f1": reference.f1_score(labels, said, **options),
        "roc_auc": [reference.roc_auc_score(labels == k, probabilities[:, k], sample_weight=weight) for k in present],
        "pr_auc": [
            reference.average_precision_score(labels == k, probabilities[:, k], sample_weight=weight) for k in present
        ],
    }
    expected = {
        "accuracy": reference.accuracy_score(labels, said, sample_weight=weight),
        "balanced_accuracy": np.mean(per_class["recall"]),
        "macro_precision": np.mean(per_class["precision"]),
        "macro_recall": np.mean(per_class["recall"]),
        "macro_f1": np.mean(per_class["f1"]),
        "roc_auc": np.mean(per_class["roc_auc"]),
        "pr_auc": np.mean(per_class["pr_auc"]),
        "log_loss": reference.log_loss(labels, probabilities, sample_weight=weight, labels=range(4)),
        "brier": reference.brier_score_loss(
            labels, probabilities, sample_weight=weight, labels=range(4), scale_by_half=False
        ),
        "confident_mistakes": np.average(probabilities.max(axis=1)[wrong] > 0.9, weights=weight[wrong]),
    }
    for metric, values in per_class.items():
        found = dict(zip(present, values, strict=True))
        expected |= {f"{metric}_{name}": found.get(k, math.nan) for k, name in enumerate(STANDARD.names)}
    return expected


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_metrics_agree_with_scikit_learn(simulate, seed, ties):
    evaluation = simulate(120, seed=seed, ties=ties)
    weights = np.random.default_rng(seed).poisson(1.0, size=(4, 120)).astype(float)
    weights[3, evaluation.labels == 2] = 0  # a resample without a class
    found = weighted_scores(evaluation, weights)
    for row, weight in enumerate(weights):
        expected = scikit_learn(evaluation, weight)
        assert {name: found[name][row] for name in expected} == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_weighted_ece_is_that_of_repeated_images(simulate):
    evaluation = simulate(100)
    counts = np.random.default_rng(1).poisson(1.0, size=100)
    repeated = evaluation.take(np.repeat(np.arange(100), counts))
    bins = reliability_bins(repeated)
    by_hand = np.nansum(bins.counts * abs(bins.accuracy - bins.confidence)) / counts.sum()
    found = weighted_scores(evaluation, counts[None].astype(float))
    assert found["ece"][0] == pytest.approx(by_hand, abs=1e-12)
    assert score(repeated)["ece"] == pytest.approx(by_hand, abs=1e-12)


def test_unit_weights_give_the_score(simulate):
    evaluation = simulate(150, present=3)
    found = weighted_scores(evaluation, np.ones((1, 150)))
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        score(evaluation), abs=1e-12, nan_ok=True
    )


def test_accuracy_interval_is_the_binomial_one(simulate):
    evaluation = simulate(400)
    table = intervals(evaluation, resamples=4000).set_index("metric")
    rate = score(evaluation)["accuracy"]
    half = 1.96 * math.sqrt(rate * (1 - rate) / 400)
    assert table.loc["accuracy", "value"] == rate
    assert table.loc["accuracy", "low"] == pytest.approx(rate - half, abs=0.005)
    assert table.loc["accuracy", "high"] == pytest.approx(rate + half, abs=0.005)


def overconfident(make_evaluation, size, gap, seed):
    """Images whose prediction is right with the probability that it has less `gap`: an ECE of `gap`, if many."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.4 + gap, 1, size)
    right = rng.random(size) < confidence - gap
    said = rng.integers(4, size=size)
    probabilities = np.repeat((1 - confidence)[:, None] / 3, 4, axis=1)
    probabilities[np.arange(size), said] = confidence
    return make_evaluation(np.where(right, said, (said + 1) % 4), probabilities)


def test_the_interval_of_the_calibration_error_is_not_biased_upwards(make_evaluation):
    """Of 40 images the error is mostly noise: percentiles of the resamples miss the true 0.05, and the estimate."""
    held = []
    for seed in range(100):
        evaluation = overconfident(make_evaluation, 40, 0.05, seed)
        row = intervals(evaluation, resamples=200, seed=seed).set_index("metric").loc["ece"]
        counts = np.random.default_rng(seed).multinomial(40, np.full(40, 1 / 40), 200)
        drawn = weighted_scores(evaluation, counts.astype(float))["ece"]
        assert 0 <= row["low"] <= row["value"] <= row["high"]
        held.append((row["low"] <= 0.05 <= row["high"], np.quantile(drawn, 0.025) <= 0.05))
    basic, percentile = np.mean(held, axis=0)
    assert percentile < 0.5
    assert basic > 0.75


def test_the_basic_interval_of_a_large_error_has_the_width_of_the_percentiles(make_evaluation):
    evaluation = overconfident(make_evaluation, 400, 0.3, 0)
    row = intervals(evaluation, resamples=2000).set_index("metric").loc["ece"]
    # All bins err to one side, so the error is the mean confidence less the accuracy: a plain mean.
    gaps = evaluation.confidences - evaluation.correct
    half = 1.96 * gaps.std() / math.sqrt(400)
    assert row["value"] == pytest.approx(gaps.mean(), abs=0.01)
    assert row["low"] == pytest.approx(gaps.mean() - half, abs=0.01)
    assert row["high"] == pytest.approx(gaps.mean() + half, abs=0.01)


def test_the_mean_and_the_difference_of_calibration_errors_lie_in_their_intervals(make_evaluation):
    first = overconfident(make_evaluation, 60, 0.0, 1)
    second = replace(first, probabilities=0.5 * first.probabilities + 0.125)
    mean = run_intervals([first, second], resamples=200).set_index("metric").loc["ece"]
    assert 0 <= mean["low"] <= mean["value"] <= mean["high"]
    assert mean["value"] == pytest.approx((score(first)["ece"] + score(second)["ece"]) / 2)
    for a, b in ((first, second), (second, first)):
        found = paired_intervals(a, b, resamples=200).set_index("metric").loc["ece"]
        assert found["low"] <= found["difference"] <= found["high"]
    assert found["low"] < 0  # the first one's is smaller


def test_coverage_holds_only_by_group(make_evaluation):
    """40 patients of 6 slices, all right or all wrong; 95 % of intervals should hold the true 0.8."""
    rng = np.random.default_rng(0)
    covered = {"group": 0, "image": 0}
    trials = 60
    for trial in range(trials):
        right = np.repeat(rng.random(40) < 0.8, 6)
        probabilities = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        for kind, groups in {"group": np.arange(240) // 6, "image": np.arange(240)}.items():
            evaluation = make_evaluation(
                np.zeros(240, int), probabilities, groups=groups, classes=("glioma", "notumor")
            )
            row = intervals(evaluation, resamples=200, seed=trial).set_index("metric").loc["accuracy"]
            covered[kind] += row["low"] <= 0.8 <= row["high"]
    assert 0.88 <= covered["group"] / trials <= 0.99
    assert covered["image"] / trials < 0.75


def test_the_same_seed_gives_the_same_table(simulate):
    evaluation = simulate(60)
    first, again, other = (intervals(evaluation, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_chunks_change_nothing(simulate, monkeypatch):
    evaluation = simulate(60, groups=np.arange(60) // 2)
    whole = intervals(evaluation, resamples=50)
    monkeypatch.setattr(bootstrap, "_CHUNK", 60 * 7)
    assert np.allclose(whole.iloc[:, 1:], intervals(evaluation, resamples=50).iloc[:, 1:], rtol=0, atol=1e-12)


def test_absent_class_and_single_group(simulate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = intervals(simulate(60, present=3), resamples=50).set_index("metric")
        alone = intervals(simulate(20, groups=np.zeros(20)), resamples=50).set_index("metric")
    assert table.loc["f1_pituitary"].isna().all()
    assert table.loc[list(HEADLINE)].notna().all(axis=None)
    assert alone[["low", "high"]].isna().all(axis=None)
    assert alone.loc["accuracy", "value"] == score(simulate(20))["accuracy"]


@pytest.mark.parametrize("options", [{"resamples": 0}, {"level": 1.0}])
def test_refuses_odd_settings(simulate, options):
    with pytest.raises(ValueError, match="resamples="):
        intervals(simulate(20), **options)


def test_the_mean_of_two_models_on_the_same_images(simulate):
    first, second = simulate(200, seed=1), simulate(200, seed=2)
    second = replace(first, probabilities=second.probabilities)
    table = run_intervals([first, second], resamples=4000).set_index("metric")
    accuracies = [first.correct.mean(), second.correct.mean()]
    assert table.loc["accuracy", "value"] == pytest.approx(np.mean(accuracies))
    assert table.loc["accuracy", "sd"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / math.sqrt(2))
    # Every image its own group: the mean of the two answers to an image is what is drawn.
    each = (first.correct.astype(float) + second.correct) / 2
    width = 2 * 1.96 * each.std() / math.sqrt(200)
    found = table.loc["accuracy", "high"] - table.loc["accuracy", "low"]
    assert found == pytest.approx(width, rel=0.1)


def test_models_on_other_images_have_a_mean_and_no_interval(simulate):
    first = simulate(120, seed=1)
    other = first.take(np.arange(70))
    table = run_intervals([first, other], resamples=100).set_index("metric")
    assert table.loc["accuracy", "value"] == pytest.approx((first.correct.mean() + other.correct.mean()) / 2)
    assert table[["low", "high"]].isna().all(axis=None)
