"""Two evaluations of the same images: paired, joined, tested."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from brain_tumor.data.classes import STANDARD
from brain_tumor.errors import InputError
from brain_tumor.evaluation.bootstrap import intervals, paired_intervals
from brain_tumor.evaluation.comparison import BETTER, WORSE, McNemar, changes, compare, mcnemar, pair
from brain_tumor.evaluation.comparison_figures import changed_sheet, first_changes, forest
from brain_tumor.evaluation.drawing import ACCENT, BEST, FAINT, save
from brain_tumor.evaluation.metrics import HEADLINE


def with_rows(evaluation, **columns):
    """The same predictions for rows with other columns."""
    return replace(evaluation, rows=evaluation.rows.assign(**columns))


def sure(predictions, confidence=0.7):
    """Probabilities (N, 4) that give the predicted class this much."""
    rest = (1 - confidence) / 3
    return np.where(np.eye(4)[predictions] == 1, confidence, rest)


def test_images_are_matched_by_content_whatever_their_order_and_path(make_evaluation):
    a = with_rows(make_evaluation([0, 1, 2, 3], sure([0, 1, 2, 3])), sha256=["s0", "s1", "s2", "s3"])
    b = make_evaluation([3, 1, 2], sure([0, 1, 2]), paths=["moved/3.png", "moved/1.png", "moved/9.png"])
    paired = pair(a, with_rows(b, sha256=["s3", "s1", "s9"]))
    assert paired.a.rows["sha256"].tolist() == paired.b.rows["sha256"].tolist() == ["s1", "s3"]
    assert (paired.only_a, paired.only_b) == (2, 1)
    assert paired.a.predictions.tolist() == [1, 3]
    assert paired.b.predictions.tolist() == [1, 0]
    assert paired.b.rows["path"].tolist() == ["moved/1.png", "moved/3.png"]


def test_a_file_under_several_paths_is_matched_as_often_as_both_have_it(make_evaluation):
    a = with_rows(make_evaluation([0, 0, 1], sure([0, 0, 1])), sha256=["same", "same", "other"])
    b = with_rows(make_evaluation([0, 1, 0, 0], sure([0, 1, 0, 0])), sha256=["same", "other", "same", "same"])
    paired = pair(a, b)
    assert paired.a.rows["sha256"].tolist() == paired.b.rows["sha256"].tolist() == ["other", "same", "same"]
    assert (paired.only_a, paired.only_b) == (0, 1)
    assert paired.a.rows["path"].is_unique
    assert paired.b.rows["path"].is_unique
    assert paired.a.rows["group"].nunique() == 2  # the two copies are drawn together


def test_a_file_that_one_run_has_under_two_labels_meets_its_like(make_evaluation):
    a = with_rows(make_evaluation([0, 1, 2], sure([0, 0, 2])), sha256=["same", "same", "other"])
    b = with_rows(make_evaluation([1, 2], sure([0, 2])), sha256=["same", "other"])
    paired = pair(a, b)
    assert paired.a.rows["label"].tolist() == paired.b.rows["label"].tolist() == ["notumor", "meningioma"]
    assert (paired.only_a, paired.only_b) == (1, 0)


def test_what_cannot_be_compared_is_refused(make_evaluation):
    a = make_evaluation([0, 1], sure([0, 1]))
    with pytest.raises(InputError, match="no image in common"):
        pair(a, with_rows(a, sha256=["x", "y"]))
    with pytest.raises(InputError, match=r"the label of 1 of 2 images \(Testing/meningioma/0001.png is meningioma in"):
        pair(a, make_evaluation([0, 2], sure([0, 2])))
    with pytest.raises(InputError, match="different classes"):
        pair(a, make_evaluation([0, 1], np.eye(2), classes=("glioma", "meningioma")))


def test_classes_in_another_order_are_the_same_classes(simulate):
    a = simulate(60, seed=1)
    turned = replace(a, probabilities=a.probabilities[:, ::-1], classes=a.classes[::-1])
    found = compare(a, turned, resamples=100).differences
    assert found["difference"].tolist() == [0] * len(found)


def test_groups_are_joined_over_both_runs(make_evaluation):
    labels, said = [0] * 6, sure([0] * 6)
    files = ["f0", "f1", "f2", "f3", "f4", "f4"]
    a = with_rows(make_evaluation(labels, said, groups=["q", "p", "q", "r", "s", "t"]), sha256=files)
    b = with_rows(make_evaluation(labels, said, groups=["1", "1", "2", "2", "3", "4"]), sha256=files)
    paired = pair(a, b.take([5, 3, 1, 0, 2, 4]))
    # p and q meet in 1, q and r in 2; s and t hold the same file
    for each in (paired.a, paired.b):
        groups = dict(zip(each.rows["path"].str[-8:-4], each.rows["group"], strict=True))
        assert groups == {"0000": "p", "0001": "p", "0002": "p", "0003": "p", "0004": "s", "0005": "s"}


def test_differences_are_those_of_scikit_learn(simulate):
    a, b = simulate(150, seed=1, skill=1.0), simulate(150, seed=1, skill=2.0)
    found = compare(a, b, resamples=100).differences.set_index("metric")
    y = a.labels

    def scores(e):
        return {
            "accuracy": reference.accuracy_score(y, e.predictions),
            "balanced_accuracy": reference.balanced_accuracy_score(y, e.predictions),
            "macro_f1": reference.f1_score(y, e.predictions, average="macro"),
            "roc_auc": reference.roc_auc_score(y, e.probabilities, multi_class="ovr"),
            "log_loss": reference.log_loss(y, e.probabilities),
            "recall_glioma": reference.recall_score(y, e.predictions, labels=[0], average=None)[0],
        }

    of_a, of_b = scores(a), scores(b)
    for name, value in of_a.items():
        row = found.loc[name]
        assert (row.a, row.b, row.difference) == pytest.approx((value, of_b[name], of_b[name] - value))
        assert row.low < row.difference < row.high


def test_a_run_does_not_differ_from_itself(simulate):
    a = simulate(80, groups=np.arange(80) // 4)
    found = compare(a, a, resamples=200)
    assert (found.differences[["difference", "low", "high"]] == 0).all(axis=None)
    assert (found.test.only_a_right, found.test.only_b_right, found.test.p_value) == (0, 0, 1)
    assert found.changed.empty


def test_the_other_way_round_is_the_mirror_image(simulate):
    a, b = simulate(90, seed=1, groups=np.arange(90) // 3), simulate(90, seed=1, skill=1.9, groups=np.arange(90) // 5)
    shuffled = b.take(np.random.default_rng(0).permutation(90))
    there, back = compare(a, shuffled).differences, compare(b, a).differences
    assert there["difference"].tolist() == (-back["difference"]).tolist()
    assert there["low"].to_numpy() == pytest.approx(-back["high"].to_numpy(), abs=1e-12)
    assert there["high"].to_numpy() == pytest.approx(-back["low"].to_numpy(), abs=1e-12)


def test_two_groups_give_the_three_differences_that_there_can_be(make_evaluation):
    labels, groups = [0, 0, 0, 1, 1], ["p", "p", "p", "q", "q"]
    a = make_evaluation(labels, sure([0, 0, 3, 1, 1]), groups=groups)
    b = make_evaluation(labels, sure([0, 0, 0, 1, 3]), groups=groups)
    row = paired_intervals(a, b, resamples=1000).set_index("metric").loc["accuracy"]
    # p twice: 3/3 - 2/3, each once: 4/5 - 4/5, q twice: 1/2 - 2/2; each end has a quarter of the draws
    assert (row.low, row.difference, row.high) == pytest.approx((-1 / 2, 0, 1 / 3))


def test_a_single_group_has_no_interval(simulate):
    a, b = (simulate(40, seed=1, skill=skill, groups=["p"] * 40) for skill in (1, 2))
    found = paired_intervals(a, b, resamples=100)
    assert found[["low", "high"]].isna().all(axis=None)
    assert found["difference"].notna().all()


def test_the_interval_is_as_wide_as_the_paired_standard_error_says(simulate):
    a, b = simulate(400, seed=3, skill=1.2), simulate(400, seed=3, skill=1.5)  # the same noise
    row = paired_intervals(a, b, resamples=4000).set_index("metric").loc["accuracy"]
    gains = b.correct.astype(float) - a.correct
    assert row.high - row.low == pytest.approx(2 * 1.96 * gains.std(ddof=1) / np.sqrt(400), rel=0.1)
    alone = intervals(b, resamples=400).set_index("metric").loc["accuracy"]
    independent = np.sqrt(2) * (alone.high - alone.low)  # on other images; here what is hard for both cancels out
    assert row.high - row.low < 0.5 * independent


def test_mcnemar_of_a_published_table():
    # Airway hyper-responsiveness before and after transplantation, Bentur et al. 2009, as in Fagerland, Lydersen &
    # Laake 2013, table 1: 1, 1, 7, 12; the exact p is 2 (C(8, 0) + C(8, 1)) / 2^8.
    before = np.repeat([True, True, False, False], [1, 1, 7, 12])
    after = np.repeat([True, False, True, False], [1, 1, 7, 12])
    assert mcnemar(before, after) == McNemar(1, 1, 7, 12, pytest.approx(18 / 256))
    assert mcnemar(after, before).p_value == pytest.approx(18 / 256)
    assert mcnemar(~before, ~after) == McNemar(12, 7, 1, 1, pytest.approx(18 / 256))
    even = np.array([True, False])
    assert mcnemar(even, ~even).p_value == 1
    assert mcnemar(even, even) == McNemar(1, 0, 0, 1, 1.0)


def test_changes_come_with_the_most_confident_mistake_first(make_evaluation):
    labels = [0, 0, 1, 1, 2, 3]
    a = make_evaluation(labels, np.vstack([sure([0, 0, 1], 0.5), sure([0], 0.8), sure([2, 0], 0.6)]))
    b = make_evaluation(labels, np.vstack([sure([1], 0.6), sure([2], 0.9), sure([1, 1, 2], 0.7), sure([1], 0.7)]))
    found = changes(pair(a, b))
    assert found["change"].tolist() == [WORSE, WORSE, BETTER]
    assert found["sha256"].tolist() == ["0001", "0000", "0003"]
    assert found["label"].tolist() == ["glioma", "glioma", "meningioma"]
    assert found["prediction_a"].tolist() == ["glioma", "glioma", "glioma"]
    assert found["prediction_b"].tolist() == ["notumor", "meningioma", "meningioma"]
    assert found["probability_b"].tolist() == pytest.approx([0.9, 0.6, 0.7])
    assert found["path_a"].tolist()[0] == "Testing/glioma/0001.png"


def test_forest_marks_who_is_better(tmp_path):
    table = pd.DataFrame({"metric": [*HEADLINE, "recall_glioma", "f1_glioma"], "difference": 0.01})
    table = table.assign(low=-0.01, high=0.03).set_index("metric")
    table.loc["macro_f1", ["difference", "low", "high"]] = 0.2, 0.1, 0.3
    table.loc["log_loss", ["difference", "low", "high"]] = 0.2, 0.1, 0.3
    table.loc["ece", ["difference", "low", "high"]] = -0.2, -0.3, -0.1
    table.loc["roc_auc", ["difference", "low", "high"]] = 0.2, np.nan, np.nan  # one group: no interval
    for name in ("kept_without_lesion", "kept_mirrored", "trust"):
        table.loc[name, ["difference", "low", "high"]] = -0.2, -0.3, -0.1
    figure = forest(table.reset_index(), "test, SYNTHETIC phantom", ("first $x$", "second"))
    assert figure.get_suptitle() == "test, SYNTHETIC phantom"
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "A: first $x$\nB: second"

    def colours(axes):
        names = [label.get_text() for label in axes.get_yticklabels()]
        points = [line for line in axes.lines if line.get_marker() == "o"]
        return dict(zip(names, [point.get_color() for point in points], strict=True))

    gray = {"brier": FAINT, "confident_mistakes": FAINT}
    assert colours(lower) == {"log_loss": BEST, "ece": ACCENT, "kept_without_lesion": ACCENT, **gray}
    assert (colours(upper)["macro_f1"], colours(upper)["trust"]) == (ACCENT, BEST)
    assert "kept_mirrored" not in colours(upper)
    assert {colours(upper)[name] for name in ("accuracy", "roc_auc", "recall_glioma")} == {FAINT}
    assert "f1_glioma" not in colours(upper)
    assert upper.texts[0].get_text() == "+0.0100  [-0.0100, +0.0300]"
    save(figure, tmp_path / "forest.png")


def test_the_sheet_shows_some_of_each_change(make_evaluation, tmp_path):
    labels = np.arange(20) % 4
    a = make_evaluation(labels, sure(np.where(np.arange(20) < 15, labels, (labels + 1) % 4)))
    b = make_evaluation(labels, sure(np.where(np.arange(20) < 8, (labels + 1) % 4, labels)))
    changed = changes(pair(a, b))
    first = first_changes(changed)
    assert first["change"].tolist() == [WORSE] * 6 + [BETTER] * 5
    images = {sha: np.full((96, 96, 3), 10 * index, np.uint8) for index, sha in enumerate(first["sha256"])}
    figure = changed_sheet(changed, images, "test, SYNTHETIC phantom")
    assert figure.get_suptitle() == "Changed images, test, SYNTHETIC phantom"
    texts = [text.get_text() for text in figure.texts[1:]]
    assert texts == ["A alone is right: 8 images, 6 shown", "B alone is right: 5 images, 5 shown"]
    assert [axes.images[0].get_array().max() for axes in figure.axes] == [10 * index for index in range(11)]
    expected = f"true {STANDARD.names[0]}\nA: {STANDARD.names[0]} 70%\nB: {STANDARD.names[1]} 70%"
    assert figure.axes[0].get_title(loc="left") == expected
    save(figure, tmp_path / "sheet.png")
    none = changed_sheet(changed.iloc[:0], {}, "test")
    assert [text.get_text()[-19:] for text in none.texts[1:]] == [": 0 images, 0 shown"] * 2


def test_scores_of_lesions_are_paired_where_both_runs_have_them(make_evaluation):
    """Each run over its own correctly classified lesions, the same groups drawn for both."""
    labels, groups = [0, 0, 0, 1], ["p", "q", "q", "r"]
    a, b = (make_evaluation(labels, sure(labels), groups=groups) for _ in range(2))
    a = with_rows(a, kept_without_lesion=[1, 0, 1, np.nan], pointing=[1, 1, 1, np.nan], trust=[0, 1, 0, 1])
    b = with_rows(b, kept_without_lesion=[np.nan, 0, 0, 1], pointing=[np.nan] * 4, trust=[0.0] * 4)
    table = compare(a, b, resamples=500).differences.set_index("metric")
    assert "pointing" not in table.index
    kept = table.loc["kept_without_lesion"]
    assert kept[["a", "b", "difference"]].tolist() == pytest.approx([2 / 3, 1 / 3, -1 / 3])
    # Of the 27 draws three are p, p, q, the lowest: 0 - 3/4. In nine both are alike: p, p, r and p, r, r and q, r, r.
    assert kept[["low", "high"]].tolist() == pytest.approx([-3 / 4, 0])
    assert table.loc["trust", ["a", "b", "difference"]].tolist() == [0.5, 0, -0.5]
