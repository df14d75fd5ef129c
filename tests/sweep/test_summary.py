"""A study's summary against what is known of studies made by hand."""

import math
from datetime import timedelta

import optuna
import pytest
from optuna.trial import TrialState
from studies import BLOCKS, RATE, START, UNFREEZE, empty, many, mixed, trial

from brain_tumor.sweep import summary


def test_the_table_has_every_trial_with_its_state() -> None:
    frame = summary.table(mixed())
    assert list(frame.columns) == [
        *("number", "state", "val/macro_f1", "step", "start", "seconds", "run_id", "reason", RATE, UNFREEZE, BLOCKS)
    ]
    assert list(frame["number"]) == list(range(10))
    assert list(frame["state"]) == [
        *("complete", "complete", "complete", "pruned", "failed", "lost", "surplus", "lost", "running", "waiting")
    ]
    assert list(frame["val/macro_f1"][:4]) == [0.5, 0.9, 0.9, 0.2]
    assert frame["val/macro_f1"][4:].isna().all()
    assert frame["step"].dropna().to_dict() == {3: 4}
    assert frame["start"][2] == START + timedelta(minutes=2)
    assert math.isnan(frame["seconds"][9])
    assert frame["reason"][3] == "pruned at step 4"
    assert frame["run_id"][1] == "r1"
    assert frame[BLOCKS].dropna().to_dict() == {1: 3}


def test_counts_cost_best_and_time_left() -> None:
    found = summary.summarize(mixed(), now=START + timedelta(minutes=9))
    assert found.counts == summary.Counts(complete=3, pruned=1, failed=1, running=1, waiting=1, lost=2, surplus=1)
    assert found.counts.finished == 5
    assert (found.name, found.asked, found.metrics, found.directions) == ("demo", 20, ["val/macro_f1"], ["maximize"])
    assert [each.number for each in found.best] == [1]  # the earlier of two equals
    assert found.seconds == 400
    # Finished: 2 + 4 + 3 + 1 + 0 minutes, so 2 each. 15 are missing; the one that runs is 1 minute old.
    assert found.seconds_left == pytest.approx(60 * (14 * 2 + 1))
    assert found.last_activity == START + timedelta(minutes=7 + 9)


def test_two_that_run_halve_the_time_left() -> None:
    study = mixed()
    study.add_trial(trial(9, TrialState.RUNNING))
    found = summary.summarize(study, now=START + timedelta(minutes=9))
    assert found.seconds_left == pytest.approx(60 * (13 * 2 + 1 + 2) / 2)


def test_a_study_without_trials() -> None:
    found = summary.summarize(empty())
    assert (found.counts, found.best, found.seconds) == (summary.Counts(), [], 0)
    assert (found.seconds_left, found.last_activity) == (None, None)
    assert summary.table(empty()).shape == (0, 8)


def test_a_study_that_only_failed() -> None:
    study = empty()
    study.add_trials([trial(index, TrialState.FAIL, reason="no memory") for index in range(20)])
    found = summary.summarize(study)
    assert (found.best, found.counts.failed, found.seconds_left) == ([], 20, 0)


def test_values_that_are_no_numbers_are_never_best() -> None:
    study = empty()
    study.add_trials([trial(0, values=[math.inf]), trial(1, values=[0.3]), trial(2, values=[-math.inf])])
    study.tell(study.ask(), math.nan)  # Optuna makes that a failure
    found = summary.summarize(study)
    assert [each.number for each in found.best] == [1]
    assert list(summary.table(study)["state"]) == ["complete", "complete", "complete", "lost"]


def test_the_least_is_best_where_it_is_to_be_minimized() -> None:
    study = empty(directions=("minimize",))
    study.add_trials([trial(index, values=[value]) for index, value in enumerate([0.3, 0.1, 0.2])])
    assert [each.number for each in summary.summarize(study).best] == [1]


def test_the_pareto_front_is_optunas() -> None:
    study = many(60, directions=("maximize", "minimize"))
    found = summary.summarize(study)
    assert [each.number for each in found.best] == [each.number for each in study.best_trials]
    assert found.metrics == ["val/macro_f1", "cost/inference_ms"]


def test_names_are_as_short_as_they_can_be() -> None:
    keys = ["schedule.all.epochs", "schedule.head.epochs", "model.dropout", "augment", "data/source", "seed"]
    assert list(summary.short_names(keys).values()) == [
        *("all.epochs", "head.epochs", "dropout", "augment", "source", "seed")
    ]


def test_metric_names() -> None:
    assert summary.metric_names(optuna.create_study()) == ["value"]
    assert summary.metric_names(optuna.create_study(directions=["minimize"] * 2)) == ["value_0", "value_1"]


def test_what_to_type_to_train_the_best_again() -> None:
    study = mixed()
    study.set_user_attr(
        "command",
        f"-m model=effnet_lite0 'data.root=/my scans' ~explain.layer {RATE}=choice(1,2) sweep=full sweep.n_trials=20 "
        "sweep/sampler=tpe hydra/launcher=joblib ++seed=3 --config-name train",
    )
    [best] = summary.summarize(study).best
    assert summary.train_overrides(study, best) == [
        *("model=effnet_lite0", "data.root=/my scans", "~explain.layer", "++seed=3", f"{RATE}=0.01")
    ]
