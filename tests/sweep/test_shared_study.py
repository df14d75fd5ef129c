"""What workers agree on through the storage, step by step in one process."""

import time

import optuna
import pytest
from optuna.trial import TrialState

from brain_tumor.errors import InputError
from brain_tumor.sweep.space import Space
from brain_tumor.sweep.storage import open_storage
from brain_tumor.sweep.study import (
    Plan,
    beating,
    claim,
    counts,
    differences,
    lose,
    open_study,
    recover,
    retry_of,
    was_lost,
    withdraw,
)

SPACE = Space({"x": "interval(0, 1)"}, {})
PLAN = Plan(SPACE, {"seed": 0}, ["val/score"], ["maximize"], [{"x": 0.25}], "x=interval(0,1)")
SAMPLER = optuna.samplers.RandomSampler(seed=0)


@pytest.fixture
def storage(tmp_path):
    return open_storage(f"sqlite:///{tmp_path}/optuna.db", heartbeat_interval=1, grace_period=2)


def opened(storage, plan=PLAN, name="s", on_change="refuse"):
    return open_study(name, storage, plan, sampler=SAMPLER, pruner=None, on_change=on_change)


def test_a_study_is_made_once_with_its_queue(storage):
    study, made = opened(storage)
    again, made_again = opened(storage)
    assert (made, made_again) == (True, False)
    assert study.user_attrs["space"] == {"x": "interval(0,1)"}
    assert again.metric_names == ["val/score"]
    assert [trial.state for trial in study.trials] == [TrialState.WAITING]
    assert claim(again, SPACE, 5).params == {"x": 0.25}


def test_what_has_changed_is_named(storage):
    opened(storage)
    now = Plan(
        Space({"x": "interval(0, 2)", "y": "1,2"}, {"y": "x=1"}), {"seed": 1}, ["val/loss"], ["minimize"], [], ""
    )
    with pytest.raises(InputError, match=r"x was interval\(0,1\), is interval\(0,2\); y was absent, is 1,2"):
        opened(storage, now)
    study, _ = opened(storage)
    assert [clause.split(" was ")[0] for clause in differences(study.user_attrs, now)] == [
        *("sweep.when.y", "x", "y"),
        *("seed", "sweep.direction", "sweep.metric"),
    ]
    assert differences(study.user_attrs, PLAN) == []
    other, made = opened(storage, now, on_change="new")
    assert (other.study_name, made) == ("s-2", True)


def test_a_worker_that_saw_too_little_steps_back(storage, monkeypatch):
    study, _ = opened(storage)
    ask = study.ask

    def ask_late():
        ask()  # another worker's, made between this one's look and its own ask
        return ask()

    monkeypatch.setattr(study, "ask", ask_late)
    assert claim(study, SPACE, 1) is None
    first, second = study.trials
    assert first.state == TrialState.RUNNING
    assert (second.state, second.user_attrs["surplus"]) == (TrialState.FAIL, True)
    assert [counts(trial) for trial in study.trials] == [True, False]
    monkeypatch.undo()
    assert claim(study, SPACE, 1) is None
    assert len(study.trials) == 2


def silence(storage):
    """As if the last heartbeat was longer ago than the grace period."""
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-9 seconds')")


def silent(storage):
    with storage.engine.begin() as connection:
        late = "SELECT heartbeat < datetime('now', '-2 seconds') FROM trial_heartbeats"
        return bool(connection.exec_driver_sql(late).scalar_one())


def test_a_silent_trial_of_another_machine_is_found_by_its_heartbeat(storage):
    study, _ = opened(storage)
    trial = claim(study, SPACE, 1)
    trial.set_user_attr("worker", "elsewhere - 1 0.0")
    assert recover(study) == []
    silence(storage)
    with beating(study, [trial]):
        while silent(storage):
            time.sleep(0.1)
        assert recover(study) == []
    silence(storage)
    assert recover(study) == [trial.number]
    lost, queued = study.trials
    assert was_lost(lost)
    assert (queued.state, queued.params) == (TrialState.WAITING, lost.params)
    again = claim(study, SPACE, 1)
    assert again.params == lost.params
    assert retry_of(study, again.number)["worker"] == "elsewhere - 1 0.0"
    assert retry_of(study, lost.number) is None


def test_a_dead_process_of_this_machine_is_found_at_once(storage):
    study, _ = opened(storage)
    trial = claim(study, SPACE, 1)
    mine = study.trials[0].user_attrs["worker"]
    assert recover(study) == []  # this very process is alive
    *machine, _, start = mine.split(" ")
    trial.set_user_attr("worker", " ".join([*machine, "999999999", start]))
    assert recover(study) == [0]


def test_a_trial_whose_process_dies_is_tried_three_times_more_and_has_then_failed(storage):
    study, _ = opened(storage)
    for tries in range(4):
        trial = claim(study, SPACE, 1)
        assert trial.params == {"x": 0.25}, tries
        lose(study, study.trials[trial.number], "its process died")
    assert [was_lost(trial) for trial in study.trials] == [True] * 3 + [False]
    assert study.trials[3].user_attrs["reason"] == "failed: its process died, 4 times"
    assert claim(study, SPACE, 1) is None  # it counts


def test_an_interrupted_trial_is_tried_again_however_often(storage):
    study, _ = opened(storage)
    for tries in range(6):
        trial = claim(study, SPACE, 1)
        assert trial.params == {"x": 0.25}, tries
        lose(study, study.trials[trial.number], "interrupted")
    assert all(was_lost(trial) for trial in study.trials[:6])


def test_a_surplus_trial_gives_its_queued_point_back(storage, monkeypatch):
    study, _ = opened(storage, Plan(SPACE, {}, ["val/score"], ["maximize"], [{"x": 0.1}, {"x": 0.2}], ""))
    ask = study.ask

    def ask_late():
        ask()
        return ask()

    monkeypatch.setattr(study, "ask", ask_late)
    assert claim(study, SPACE, 1) is None
    monkeypatch.undo()
    assert claim(study, SPACE, 2).params == {"x": 0.2}


def test_of_a_queue_alone_no_point_is_drawn(storage, monkeypatch):
    study, _ = opened(storage)
    ask = study.ask

    def ask_late():
        ask()  # another worker's, which has got the last one of the queue
        return ask()

    monkeypatch.setattr(study, "ask", ask_late)
    assert claim(study, SPACE, None) is None
    assert [counts(trial) for trial in study.trials] == [True, False]
    monkeypatch.undo()
    assert claim(study, SPACE, None) is None
    lose(study, study.trials[0], "interrupted")
    assert claim(study, SPACE, None).params == {"x": 0.25}


def test_a_point_that_was_taken_back_may_be_queued_again(storage):
    study, _ = opened(storage, Plan(SPACE, {}, ["val/score"], ["maximize"], [{"x": 0.1}, {"x": 0.2}], ""))
    withdraw(study, [{"x": 0.2}])
    assert claim(study, SPACE, None).params == {"x": 0.2}
    assert claim(study, SPACE, None) is None
    for _ in range(2):
        opened(storage, Plan(SPACE, {}, ["val/score"], ["maximize"], [{"x": 0.1}, {"x": 0.2}], ""))
    assert claim(study, SPACE, None).params == {"x": 0.1}
    assert claim(study, SPACE, None) is None


def test_a_failure_with_a_reason_counts_and_one_without_does_not(storage):
    study, _ = opened(storage)
    honest = claim(study, SPACE, 5)
    honest.set_user_attr("reason", "failed: no memory")
    study.tell(honest, state=TrialState.FAIL)
    silent = claim(study, SPACE, 5)
    study.tell(silent, state=TrialState.FAIL)
    assert [counts(trial) for trial in study.trials] == [True, False]
