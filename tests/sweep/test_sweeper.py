"""The sweeper as other Hydra programs would use it: on a program without a model."""

import re
import signal
from collections import Counter

import pytest
from optuna.trial import TrialState

SPACE = "x=interval(0, 1)"


def states(study):
    return Counter(trial.state.name for trial in study.trials)


def test_a_sweep_ends_after_exactly_n_trials_and_goes_on_with_the_missing_ones_alone(toy_done, study_of):
    code, _, err = toy_done(SPACE, "sweep.study=s", "sweep.n_trials=3")
    assert code == 0, err
    assert states(study_of("s")) == {"COMPLETE": 3}
    assert study_of("s").best_value == max(trial.value for trial in study_of("s").trials)
    for n_trials, expected in ((5, 5), (5, 5), (4, 5)):
        code, _, err = toy_done(SPACE, "sweep.study=s", f"sweep.n_trials={n_trials}")
        assert code == 0, err
        assert f"complete: {expected} trials" in err
        assert states(study_of("s")) == {"COMPLETE": expected}


def test_values_are_those_of_the_program(toy_done, study_of):
    assert toy_done("x=0.1,0.3,0.9", "epochs=3", "sweep.study=s")[0] == 0
    # (1 - (x - 0.3)^2) * 3 / 4
    assert [round(trial.value, 6) for trial in study_of("s").trials] == [0.72, 0.75, 0.48]
    assert study_of("s").best_params == {"x": 0.3}
    assert [list(trial.intermediate_values) for trial in study_of("s").trials] == [[1, 2, 3]] * 3


def test_a_bad_trial_is_pruned_and_says_where_and_why(toy_done, study_of):
    points = "[{x: 0.3}, {x: 0.31}, {x: 0.32}, {x: 0.29}, {x: 0.28}, {x: 1.0}]"
    arguments = (
        SPACE,
        "sweep/pruner=median",
        "sweep.pruner.n_startup_trials=5",
        f"sweep.enqueue={points}",
        "epochs=5",
        "sweep.n_trials=6",
        "sweep.study=s",
    )
    code, _, err = toy_done(*arguments)
    assert code == 0, err
    *kept, bad = study_of("s").trials
    assert {trial.state for trial in kept} == {TrialState.COMPLETE}
    assert bad.state == TrialState.PRUNED
    assert bad.last_step == 3  # where the median pruner looks first
    assert re.search(r"pruned at step 3 by MedianPruner: val/score 0\.", bad.user_attrs["reason"])
    assert "s trial 5 pruned at step 3" in err


def test_a_failed_trial_is_counted_and_the_sweep_goes_on(toy_done, study_of):
    code, _, err = toy_done("fail=raise,never,memory", "sweep.study=s")
    assert code == 0, err
    assert states(study_of("s")) == {"COMPLETE": 1, "FAIL": 2}
    reasons = {trial.params["fail"]: trial.user_attrs["reason"] for trial in study_of("s").trials}
    assert "RuntimeError: bad combination" in reasons["raise"]
    assert reasons["memory"] == "failed: out of memory (MemoryError: no memory)"
    assert "Traceback" not in err


def test_a_trial_out_of_memory_is_tried_again_with_half_of_what_it_held(toy_done, study_of):
    code, _, err = toy_done("x=0.1,0.3", "fail=large", "sweep.retry_smaller=true", "sweep.study=s")
    assert code == 0, err
    first, second, *again = study_of("s").trials
    assert [trial.state for trial in (first, second)] == [TrialState.FAIL] * 2
    assert first.user_attrs["reason"] == "failed: out of memory (MemoryError: no memory)"
    assert "out of memory (MemoryError: no memory); its point is tried again with size=4" in err
    assert [trial.state for trial in again] == [TrialState.COMPLETE] * 2
    assert [trial.params for trial in again] == [first.params, second.params]
    assert [trial.user_attrs["overrides"]["size"] for trial in again] == ["4"] * 2
    assert "s is complete: 2 trials, 0 of them pruned and 0 failed" in err


def test_a_trial_out_of_memory_again_has_failed_and_the_sweep_goes_on(toy_done, study_of):
    code, _, err = toy_done("fail=memory,never", "sweep.retry_smaller=true", "sweep.study=s")
    assert code == 0, err
    assert "s is complete: 2 trials, 0 of them pruned and 1 failed" in err
    failed = [trial for trial in study_of("s").trials if trial.state == TrialState.FAIL]
    assert [trial.user_attrs["lost"] for trial in failed] == [True, False]
    assert failed[1].user_attrs["reason"] == "failed: out of memory (MemoryError: no memory)"


def test_an_interrupted_trial_is_not_tried_smaller(toy, toy_done, study_of):
    arguments = (SPACE, "sweep.n_trials=1", "sweep.study=s", "sweep.ignore=[pause]", "sweep.retry_smaller=true")
    first = toy(*arguments, "pause=0.4")
    wait_for_point(first, 0)
    first.send_signal(signal.SIGINT)
    first.communicate()
    assert toy_done(*arguments)[0] == 0
    lost, again = study_of("s").trials
    assert lost.user_attrs["smaller"] == {"size": "4"}
    assert "size" not in again.user_attrs["overrides"]


def test_a_value_that_is_no_number_is_a_failure_with_its_reason(toy_done, study_of):
    code, _, err = toy_done("x=0.3,nan", "sweep.study=s")
    assert code == 0, err
    assert states(study_of("s")) == {"COMPLETE": 1, "FAIL": 1}
    assert study_of("s").trials[1].user_attrs["reason"] == "failed: its value is not a number"


def test_a_sweep_goes_on_once_its_failures_are_mended(toy_done, study_of):
    arguments = (SPACE, "sweep.n_trials=5", "sweep.study=s", "sweep.ignore=[fail]")
    assert toy_done(*arguments, "fail=raise")[0] == 2
    assert toy_done(*arguments)[0] == 0
    assert states(study_of("s")) == {"FAIL": 3, "COMPLETE": 2}


def test_a_sweep_whose_trials_mostly_fail_stops_with_the_reason(toy_done, study_of):
    code, _, err = toy_done(SPACE, "fail=raise", "sweep.n_trials=20", "sweep.study=s")
    assert code == 2
    assert states(study_of("s")) == {"FAIL": 3}
    assert "3 of 3 trials have failed" in err
    assert "bad combination" in err
    assert "sweep.max_failures" in err


def wait_for_point(process, number):
    """Until a process is in its first epoch of the trial of that number."""
    for _ in range(number + 1):
        line = ""
        while not line.startswith("point "):
            line = process.stdout.readline()
            assert process.poll() is None, process.stderr.read()


def test_after_a_kill_the_same_command_tries_the_lost_point_again(toy, toy_done, study_of):
    arguments = (SPACE, "sweep.n_trials=4", "sweep.study=s", "epochs=3", "sweep.ignore=[pause]")
    first = toy(*arguments, "pause=0.5")
    wait_for_point(first, 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert states(study_of("s")) == {"COMPLETE": 2, "RUNNING": 1}
    code, _, err = toy_done(*arguments)
    assert code == 0, err
    assert "trial 2 was lost" in err
    study = study_of("s")
    assert states(study) == {"COMPLETE": 4, "FAIL": 1}
    assert study.trials[3].params == study.trials[2].params
    assert study.trials[2].user_attrs["lost"]
    assert not study.trials[3].user_attrs["lost"]


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, -15, marks=pytest.mark.slow)]
)
def test_an_interrupted_sweep_says_what_is_done_and_goes_on(toy, toy_done, study_of, how, code):
    arguments = (SPACE, "sweep.n_trials=3", "sweep.study=s", "sweep.ignore=[pause]")
    first = toy(*arguments, "pause=0.4")
    wait_for_point(first, 1)
    first.send_signal(how)
    _, err = first.communicate()
    assert first.returncode == code
    if how == signal.SIGINT:  # a program that does not handle SIGTERM dies of it
        assert "s has 1 of 3 trials" in err
        assert "Traceback" not in err
    assert toy_done(*arguments)[0] == 0
    assert states(study_of("s")) == {"COMPLETE": 3, "FAIL": 1}


def test_a_changed_space_is_refused_with_the_difference_or_numbered(toy_done, study_of):
    assert toy_done(SPACE, "sweep.n_trials=1", "sweep.study=s")[0] == 0
    code, _, err = toy_done("x=interval(0, 2)", "y=7", "sweep.n_trials=2", "sweep.study=s")
    assert code == 2
    assert "x was interval(0,1), is interval(0,2)" in err
    assert "y was 1, is 7" in err
    assert len(study_of("s").trials) == 1
    for n_trials in (1, 2):  # the second goes on with the new one
        changed = ("x=interval(0, 2)", "sweep.on_change=new", f"sweep.n_trials={n_trials}", "sweep.study=s")
        assert toy_done(*changed)[0] == 0
        assert len(study_of("s-2").trials) == n_trials
    assert len(study_of("s").trials) == 1


def test_a_conditional_key_exists_only_under_its_condition(toy_done, study_of):
    arguments = ("name=choice(adam, sgd)", "x=interval(0, 1)", "sweep.n_trials=4", "sweep.study=s")
    code, out, err = toy_done(*arguments, "+sweep.when={x: 'name=sgd'}")
    assert code == 0, err
    for trial in study_of("s").trials:
        assert ("x" in trial.params) == (trial.params["name"] == "sgd")
    points = re.findall(r"point x=(\S+) y=1 name='(\w+)'", out)
    assert {name for _, name in points} == {"adam", "sgd"}
    assert all((x == "0.5") == (name == "adam") for x, name in points)


def test_several_objectives_are_a_front_and_prune_nothing(toy_done, study_of):
    arguments = ("sweep.metric=[val/score, cost/y]", "x=interval(0, 1)", "y=int(interval(0, 9))", "sweep/pruner=median")
    code, _, err = toy_done(*arguments, "sweep/sampler=nsga2", "sweep.n_trials=3", "sweep.study=s")
    assert code == 0, err
    assert err.count("no trial is pruned") == 1
    study = study_of("s")
    assert states(study) == {"COMPLETE": 3}
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(trial.values[1] == trial.params["y"] for trial in study.trials)


def test_of_a_grid_all_points_are_queued_at_once(toy_done, study_of):
    arguments = ("x=range(0, 1, 0.2)", "y=int(interval(1, 3))", "sweep/sampler=grid", "sweep.study=s")
    code, _, err = toy_done(*arguments, "sweep.n_trials=2")
    assert code == 0, err
    assert states(study_of("s")) == {"COMPLETE": 2, "WAITING": 13}
    points = {tuple(trial.system_attrs["fixed_params"].items()) for trial in study_of("s").trials}
    assert len(points) == 15


def test_strings_reach_the_program_as_they_were_typed(toy_done):
    names = "name=choice('a, b', '1', 'x=y', 'it is', null_)"
    _, out, err = toy_done(names, "+options={a:1},{b:[1, 2]}", "sweep/sampler=grid", "sweep.n_trials=null")
    assert len(re.findall("^point", out, re.M)) == 10, err
    assert set(re.findall(r"name='(.*?)' options", out)) == {"a, b", "1", "x=y", "it is", "null_"}
    assert set(re.findall(r"options=(\{.*\})$", out, re.M)) == {"{'a': 1}", "{'b': [1, 2]}"}


def test_a_plain_run_touches_no_study(toy_done, place):
    assert toy_done("x=0.2", multirun=False)[0] == 0
    assert not (place / "mlruns").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("nokey=1,2",), "nokey"),
        (("sweep.metric=test/score", "x=1,2"), "test part"),
        ((SPACE, "sweep.n_trials=null"), "give a number"),
        ((SPACE, "sweep.sampler._target_=optuna.samplers.NoSampler"), "NoSampler"),
        ((SPACE, "sweep.sampler._target_=optuna.pruners.NopPruner"), "no Optuna sampler"),
        ((SPACE, "sweep/pruner=median", "sweep.pruner.n_warmup_steps=-1"), "sweep.pruner"),
        ((SPACE, "sweep.enqueue=[{x: 7}]"), "not of the space"),
        ((SPACE, "sweep.n_trials=0"), "sweep.n_trials"),
        ((), "nothing to search"),
    ],
)
def test_a_mistake_is_one_line_before_the_first_trial(toy_done, place, arguments, reason):
    code, out, err = toy_done(*arguments)
    assert code == 2
    assert out == ""
    [line] = err.strip().splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert not (place / "mlruns" / "optuna.db").exists()
