"""The text of a study fits the terminal it is shown in."""

import pytest
from studies import BLOCKS, RATE, UNFREEZE, empty, many, trial

from brain_tumor.sweep import terminal


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_is_no_wider_than_the_terminal(width: int) -> None:
    table = list(terminal.describe(many(), width=width, train="train"))[1]
    lines = table.splitlines()
    assert max(len(line) for line in lines[:-2]) <= width
    missing = {60: "not shown, for want of width: unfreeze, blocks", 80: lines[-2]}
    assert lines[-2] == missing[width]


def test_the_latest_trials_and_the_best_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ROWS", 3)
    study = empty()
    study.add_trials([trial(index, values=[value]) for index, value in enumerate([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])])
    table = list(terminal.describe(study, width=200, train="train"))[1]
    assert [line.split()[0] for line in table.splitlines()] == ["trial", "1*", "3", "4", "5", "not"]
    assert table.endswith("not shown: 2 earlier trials")


def test_the_front_of_several_objectives() -> None:
    study = empty(directions=("maximize", "minimize"))
    study.add_trials([trial(index, values=[index, index]) for index in range(5)])
    best = list(terminal.describe(study, width=200, train="train"))[2]
    assert best.splitlines()[0] == "best        trial 0: val/macro_f1 0.0000, cost/inference_ms 0.0000"
    assert best.endswith("and 2 more on the Pareto front")
    assert "5 on the front" in terminal.listing([study], show="show")


def test_a_trial_without_its_overrides_is_typed_from_its_parameters() -> None:
    study = empty()
    study.add_trial(trial(0, values=[0.5], params={RATE: 1e-05, UNFREEZE: "some", BLOCKS: 3}))
    best = list(terminal.describe(study, width=200, train="train"))[2]
    assert best.endswith(f"{RATE}=1e-05 {UNFREEZE}=some {BLOCKS}=3")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (3900, "1 h 5 min"), (187200, "2 d 4 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text
