"""The text of a study fits the terminal it is shown in."""

from collections.abc import Iterable

import pytest
from studies import BLOCKS, RATE, UNFREEZE, empty, many, trial

from brain_tumor.layout.blocks import Block, Code, Grid, Paragraph
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.sweep import description, importances


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
