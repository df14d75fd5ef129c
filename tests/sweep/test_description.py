"""The text of a study fits the terminal it is shown in."""

from collections.abc import Iterable

import pytest
from optuna.study import Study
from optuna.trial import TrialState
from studies import BLOCKS, RATE, UNFREEZE, empty, many, trial

from brain_tumor.layout.blocks import Block, Code, Grid, Paragraph
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.sweep import advice, description, importances
from brain_tumor.sweep.importances import Importances, Share
from brain_tumor.sweep.summary import summarize


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importances, "RESAMPLES", 3)


def texts(blocks: Iterable[Block]) -> list[str]:
    """Of the paragraphs and commands."""
    return [block.text for block in blocks if isinstance(block, Paragraph | Code)]


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_is_no_wider_than_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(description, "width", lambda: width)
    _, table, *others = description.describe(many(), train="train")
    show_blocks(table)
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= width
    said = "Not shown, for want of width: unfreeze, blocks."
    assert (said in texts(others)) == (width == 60)


def test_the_latest_trials_and_the_best_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "ROWS", 3)
    study = empty()
    study.add_trials([trial(index, values=[value]) for index, value in enumerate([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])])
    _, table, *_ = description.describe(study, train="train")
    assert isinstance(table, Grid)
    assert [row[0].strip() for row in table.rows] == ["1*", "3", "4", "5"]


def test_the_front_of_several_objectives() -> None:
    study = empty(directions=("maximize", "minimize"))
    study.add_trials([trial(index, values=[index, index]) for index in range(5)])
    said = texts(description.describe(study, train="train"))
    assert "Best: trial 0, val/macro_f1 0.0000, cost/inference_ms 0.0000. To train it again:" in said
    assert "And 2 more on the Pareto front." in said
    table, _ = description.listing([study], show="show")
    assert isinstance(table, Grid)
    assert table.rows[0][2] == "5 on the front"


def test_a_trial_without_its_overrides_is_typed_from_its_parameters() -> None:
    study = empty()
    study.add_trial(trial(0, values=[0.5], params={RATE: 1e-05, UNFREEZE: "some", BLOCKS: 3}))
    said = texts(description.describe(study, train="train"))
    assert any(text.endswith(f"{RATE}=1e-05 {UNFREEZE}=some {BLOCKS}=3") for text in said)


def advised(study: Study, monkeypatch: pytest.MonkeyPatch, *shares: Share) -> list[str]:
    """What is said of a study of whose keys this is known."""
    found = Importances(20, dict(zip((RATE, UNFREEZE, BLOCKS), shares, strict=False)))
    monkeypatch.setattr(advice, "importances", lambda *_: found)
    return texts(description.advice(advice.advise(study), summarize(study), "train"))


SURE, LITTLE, OPEN = Share(0.8, 0.6, 0.9), Share(0.0, -0.02, 0.01), Share(0.1, -0.1, 0.4)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((OPEN, OPEN), "Every interval holds 0: nothing can be told yet."),
        ((SURE, OPEN), "learning_rate mattered. Of the others nothing can be told: their intervals hold 0."),
        ((SURE, LITTLE), "learning_rate mattered; 1 key hardly did, among these trials: its interval ends below 0.05."),
        (
            (SURE, Share(0.5, 0.1, 0.7)),
            "learning_rate, unfreeze mattered; which of them most cannot be told, their intervals overlap.",
        ),
        ((SURE, Share(0.2, 0.1, 0.3)), "learning_rate, unfreeze mattered."),
    ],
)
def test_what_the_intervals_tell_is_said(shares: tuple[Share, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = many(30)
    study.set_user_attr("space", {RATE: "tag(log, interval(1e-5, 1e-1))", UNFREEZE: "choice(head, all, some)"})
    first, *_ = advised(study, monkeypatch, *shares)
    assert first.partition(" trials). ")[2] == said


def test_the_next_sweep_is_a_command_once_no_trial_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    study = many(20)
    study.set_user_attr("space", {RATE: "tag(log, interval(1e-5, 1e-1))", UNFREEZE: "choice(head, all, some)"})
    study.set_user_attr("command", "model=effnet_lite0 -m")
    study.set_user_attr(advice.ERROR, [study.best_trial.number, 0.05])
    assert advised(study, monkeypatch, SURE, LITTLE)[-2] == "The next sweep, with what was learned:"
    assert advised(study, monkeypatch, SURE, LITTLE)[-1].startswith(f"train model=effnet_lite0 '{RATE}=tag(log,")
    assert advised(study, monkeypatch, OPEN, OPEN)[-2:] == [
        "More trials of the same may tell:",
        "train model=effnet_lite0 sweep.n_trials=40 -m",
    ]
    _, table, *_ = description.advice(advice.advise(study), summarize(study), "train")
    assert isinstance(table, Grid)
    assert [row[:3] for row in table.rows] == [
        ("learning_rate", "0.10", "-0.10 to 0.40"),
        ("unfreeze", "0.10", "-0.10 to 0.40"),
    ]
    study.set_user_attr("n_trials", 30)
    assert "As good as the best: " in advised(study, monkeypatch, OPEN, OPEN)[-1]
    same = empty()
    same.add_trials([trial(index, values=[0.5]) for index in range(20)])
    alike = texts(description.advice(None, summarize(same), "train"))
    assert alike == ["No advice yet: nothing differs between the trials."]
    few = texts(description.advice(None, summarize(many(3)), "train"))
    assert few == ["No advice yet: it takes 15 trials with a value, and 3 have one."]


def test_the_view_says_what_was_spent_and_saved() -> None:
    study = empty()
    study.add_trials(
        [
            trial(0, values=[0.5], epochs=[9, 9, 0], seconds=90.0),
            trial(1, TrialState.PRUNED, [0.4], epochs=[7, 9, 5], seconds=20.0, reason="pruned"),
        ]
    )
    [facts] = description.view(summarize(study))
    assert isinstance(facts, Grid)
    assert facts.rows[-3:] == (
        ("running", "nothing"),
        ("time left", "about 18 min 0 s, one trial at a time"),
        (
            "cost spent",
            # 7 of 18 epochs
            "1 min 50 s of training, 11 epochs; 39 % of all epochs saved, 5 by phases trained once for all and 2 by "
            "pruning",
        ),
    )
