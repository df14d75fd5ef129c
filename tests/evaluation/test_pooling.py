"""Pooling slices into an answer for their volume: by hand, and against scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fitted import UNCERTAINTY
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.files import FILES, read_uncertainty, write_uncertainty
from brain_tumor.evaluation.uncertainty.fitting import answer_of_volume, warnings
from brain_tumor.evaluation.uncertainty.pooling import Kind, Pooling, log_odds, regressed, regression
from brain_tumor.evaluation.uncertainty.pooling_choice import Choice, choose

Array = NDArray[np.float64]
TWO = np.array([[0.9, 0.1], [0.4, 0.6]])  # two slices of two classes
SETS = Sets((0.9,), np.array([[0.5, np.inf, 0.5, 0.5]]), (20, 5, 20, 20), (20.0, 5.0, 20.0, 20.0))
PLAIN = Pooling("mean", np.eye(4), np.zeros(4), SETS, accuracy=0.9, confidence=0.8, answered=40)


@pytest.mark.parametrize(
    ("kind", "odds"),
    [
        ("mean", [0.65 / 0.35, 0.35 / 0.65]),
        ("share", [1, 1]),  # one slice each, and half a one beside it
        ("noisy_or", [0.94 / 0.06, 0.64 / 0.36]),  # 1 - 0.1 * 0.6, 1 - 0.9 * 0.4
        ("top", [9, 1.5]),  # one of two is at least a tenth
    ],
)
def test_the_odds_that_slices_come_to(kind: Kind, odds: list[float]) -> None:
    assert np.exp(log_odds(kind, TWO)) == pytest.approx(odds)


def test_the_top_tenth_of_thirty_slices_is_three() -> None:
    first = np.linspace(0.01, 0.3, 30)
    found = log_odds("top", np.column_stack([first, 1 - first]))
    assert 1 / (1 + np.exp(-found)) == pytest.approx([(0.3 + 0.29 + 0.28) / 3, (0.99 + 0.98 + 0.97) / 3])


@pytest.mark.parametrize("kind", ["mean", "share", "noisy_or", "top"])
def test_sure_slices_have_odds_that_end(kind: Kind) -> None:
    assert np.isfinite(log_odds(kind, np.tile([1.0, 0.0, 0.0], (1000, 1)))).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_the_fit_is_that_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    odds = rng.normal(3, 2, (60, classes)) + np.eye(classes)[labels]
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000)).fit(odds, labels)
    others = rng.normal(3, 2, (20, classes))
    np.testing.assert_allclose(
        regressed(others, regression(odds, labels, 0.5)), theirs.predict_proba(others), atol=1e-6
    )


def test_a_volume_is_answered_by_its_slices_with_sets_and_doubt() -> None:
    """The mean of two slices is 0.75 and 0.25, whose odds of 3 and 1/3 are 0.9 and 0.1 of their sum."""
    fitted = replace(UNCERTAINTY, volumes=PLAIN)
    slices = np.array([[0.9, 0.0, 0.1, 0.0], [0.6, 0.0, 0.4, 0.0]])
    found = answer_of_volume(fitted, slices, not_brain_mri=False)
    assert found is not None
    answer, probabilities = found
    assert probabilities == pytest.approx([0.9, 0, 0.1, 0], abs=1e-5)
    assert (answer.label, answer.not_sure, answer.not_brain_mri) == ("glioma", False, False)
    assert answer.sets == {0.9: ("glioma", "meningioma")}  # the latter had too few volumes to be left out
    unsure = answer_of_volume(replace(fitted, volumes=replace(PLAIN, confidence=0.95)), slices, not_brain_mri=True)
    assert unsure is not None
    assert (unsure[0].not_sure, unsure[0].not_brain_mri) == (True, True)
    assert answer_of_volume(fitted, slices[:0], not_brain_mri=True) is None
    assert answer_of_volume(UNCERTAINTY, slices, not_brain_mri=False) is None


def test_it_is_kept_beside_what_is_said_of_slices(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 4))
    pooling = replace(PLAIN, kind="top", weights=weights, shift=np.arange(4.0), confidence=np.inf)
    write_uncertainty(replace(UNCERTAINTY, volumes=pooling), tmp_path)
    found = read_uncertainty(tmp_path)
    assert found.volumes is not None
    assert (found.volumes.kind, found.volumes.confidence, found.volumes.answered) == ("top", np.inf, 40)
    np.testing.assert_array_equal(found.volumes.weights, weights)
    np.testing.assert_array_equal(found.volumes.sets.limits, SETS.limits)
    assert found.sets.levels == UNCERTAINTY.sets.levels
    text = tmp_path / FILES[-1]
    text.write_text(text.read_text(encoding="utf-8").replace('"top"', '"median"'), encoding="utf-8")
    with pytest.raises(ValueError, match="median"):
        read_uncertainty(tmp_path)


def test_what_too_few_volumes_do_not_tell_is_said() -> None:
    few = replace(UNCERTAINTY, volumes=replace(PLAIN, confidence=0.8, answered=9))
    [sets, doubt] = warnings(few)[len(warnings(UNCERTAINTY)) :]
    assert sets.startswith("of a volume every 90% set holds meningioma (5 volumes), since 9 of a class are needed")
    assert doubt.startswith("not sure is said of a volume below a confidence that 9 volumes of pool reach: too few")


def drawn(count: int, tell: Callable[[int, NDArray[np.int64]], Array]) -> tuple[list[Array], NDArray[np.int64]]:
    """`count` volumes of 20 to 60 slices, of classes in turn; `tell` gives each slice's logits."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    volumes = []
    for label in labels:
        number = int(rng.integers(20, 60))
        logits = tell(label, np.arange(number)) + rng.normal(0, 1, (number, 3))
        volumes.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return volumes, labels.astype(np.int64)


def few_slices(label: int, slices: NDArray[np.int64]) -> Array:
    """Three slices of a tumour show it, whatever the length; all others look like the last class."""
    shown = np.where(slices[:, None] < 3, np.eye(3)[label], [0, 0, 1])
    return np.asarray(3.0 * shown)


def chosen(volumes: list[Array], labels: NDArray[np.int64], groups: NDArray[Any]) -> Choice:
    return choose(volumes, labels, groups, levels=[0.8, 0.9], accuracy=0.9)


def test_the_pooling_of_the_least_log_loss_is_chosen_and_its_sets_are_of_other_patients() -> None:
    volumes, labels = drawn(60, few_slices)
    groups = np.arange(60)
    choice = chosen(volumes, labels, groups)
    losses = {each.kind: log_loss(labels, each.after) for each in choice.candidates}
    assert losses[choice.pooling.kind] == min(losses.values())
    for level, limits in zip((0.8, 0.9), choice.pooling.sets.limits, strict=True):
        for index in range(3):
            scores = np.sort(1 - choice.honest[labels == index, index])
            assert limits[index] == scores[int(np.ceil(21 * level)) - 1]  # of 20 volumes
    assert choice.pooling.sets.images == (20, 20, 20)
    right = choice.honest.argmax(axis=1) == labels
    sure = choice.honest.max(axis=1) >= choice.pooling.confidence
    assert right[sure].mean() >= 0.9
    assert choice.pooling.answered == sure.sum()


def test_what_a_volume_is_worth_is_told_without_its_fold() -> None:
    """Whatever the volumes of a fold show, what is told of the others of that fold stays."""
    volumes, labels = drawn(30, few_slices)
    groups = np.arange(30) % 15  # five patients a class, of two volumes each
    cutter = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=0)
    fold = next(rows for _, rows in cutter.split(np.zeros(30), labels, groups))
    changed = list(volumes)
    changed[fold[0]] = volumes[fold[0]][:, ::-1]
    before, after = (chosen(each, labels, groups).honest for each in (volumes, changed))
    np.testing.assert_array_equal(before[fold[1:]], after[fold[1:]])
    others = np.setdiff1d(np.arange(30), fold)
    assert (before[others] != after[others]).any(axis=1).all()


def test_where_slices_tell_nothing_the_honest_log_loss_is_no_better_than_chance() -> None:
    volumes, labels = drawn(30, lambda label, slices: np.zeros((len(slices), 3)))
    choice = chosen(volumes, labels, np.arange(30) % 15)
    assert log_loss(labels, choice.honest) > np.log(3)
