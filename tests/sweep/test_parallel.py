"""Several workers on one study: processes that share a database, and a launcher's own."""

import itertools
import os
import re
import signal
from collections import Counter

import optuna
import pytest
from optuna.trial import TrialState

from brain_tumor.sweep.storage import address, open_storage


def opened(url, name, tmp_path):
    return optuna.load_study(study_name=name, storage=open_storage(address(url, tmp_path)))


def ended(process):
    """The exit code, stdout and stderr of a process."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def counted(study):
    return [trial for trial in study.trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]


@pytest.mark.slow
def test_three_workers_on_postgresql_one_of_them_killed(toy, postgres_url, tmp_path):
    space = "x=interval(0, 1)"
    arguments = (space, "sweep.n_trials=12", "sweep.study=shared", f"sweep.storage={postgres_url}", "pause=0.3")
    workers = [toy(*arguments) for _ in range(3)]
    victim = workers[1]
    line = ""
    while not re.search(r"shared trial \d+: x=", line):
        line = victim.stderr.readline()
        assert victim.poll() is None, line
    number = int(re.search(r"trial (\d+)", line)[1])
    assert victim.stdout.readline().startswith("point ")  # it is in its first epoch
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    for worker in (workers[0], workers[2]):
        _, err = worker.communicate(timeout=300)
        assert worker.returncode == 0, err
        assert "shared is complete: 12 trials" in err
    study = opened(postgres_url, "shared", tmp_path)
    assert len(counted(study)) == 12
    points = [trial.params["x"] for trial in counted(study)]
    assert len(set(points)) == 12
    assert Counter(trial.state.name for trial in study.trials)["RUNNING"] == 0
    lost = study.trials[number]
    assert lost.state == TrialState.FAIL
    assert [trial.params for trial in counted(study)].count(lost.params) == 1  # its point was tried again
    others = {trial.user_attrs["worker"] for trial in counted(study)}
    assert len(others) == 2


@pytest.mark.slow
def test_workers_that_start_at_once_make_one_study_and_no_trial_too_many(toy, postgres_url, tmp_path):
    arguments = ("x=interval(0, 1)", "sweep.n_trials=5", "sweep.study=rush", f"sweep.storage={postgres_url}")
    queue = "sweep.enqueue=[{x: 0.1}, {x: 0.2}]"
    workers = [toy(*arguments, queue) for _ in range(4)]
    for worker in workers:
        _, err = worker.communicate(timeout=300)
        assert worker.returncode == 0, err
    study = opened(postgres_url, "rush", tmp_path)
    assert len(counted(study)) == 5
    assert {0.1, 0.2} <= {trial.params["x"] for trial in counted(study)}
    assert len({trial.params["x"] for trial in counted(study)}) == 5


@pytest.mark.slow
def test_workers_of_one_machine_share_a_sqlite_file(toy, study_of):
    workers = [toy("x=0.1,0.2,0.3,0.4", "y=1,2", "sweep.study=s", "pause=0.05") for _ in range(3)]
    for worker in workers:
        _, err = worker.communicate(timeout=300)
        assert worker.returncode == 0, err
    tried = counted(study_of("s"))  # without one that two workers took at once, which one of them gave back
    assert sorted((trial.params["x"], trial.params["y"]) for trial in tried) == sorted(
        itertools.product((0.1, 0.2, 0.3, 0.4), (1, 2))
    )
    assert {trial.state for trial in tried} == {TrialState.COMPLETE}


@pytest.mark.slow
def test_joblib_runs_trials_in_processes_of_their_own_and_shares_out_the_threads(toy, study_of):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason='pip install "brain-tumor[joblib]"')
    arguments = ("x=interval(0, 1)", "sweep.n_trials=5", "sweep.study=s", "sweep/pruner=median", "pause=0.1")
    code, _, err = ended(toy(*arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"))
    assert code == 0, err
    study = study_of("s")
    assert len(counted(study)) == len(study.trials) == 5
    assert len({trial.params["x"] for trial in study.trials}) == 5
    assert len({trial.user_attrs["process"] for trial in study.trials}) == 2
    assert {trial.user_attrs["threads"] for trial in study.trials} == {max(1, (os.cpu_count() or 1) // 2)}


@pytest.mark.slow
def test_a_killed_joblib_worker_costs_its_batch_and_not_the_sweep(toy, study_of, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason='pip install "brain-tumor[joblib]"')
    arguments = ("x=interval(0, 1)", "sweep.n_trials=4", "sweep.study=s", f"fail=once:{tmp_path / 'killed'}")
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    code, _, err = ended(toy(*arguments, *joblib, "sweep.retry_smaller=true"))
    assert code == 0, err
    assert "the launcher failed" in err
    study = study_of("s")
    assert len(counted(study)) == 4
    lost = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert 1 <= len(lost) <= 2
    assert all(trial.user_attrs["lost"] for trial in lost)
    assert "SIGKILL" in lost[0].user_attrs["reason"]
    halved = [trial for trial in counted(study) if trial.user_attrs["overrides"].get("size") == "4"]
    begun = [trial.params for trial in lost if "smaller" in trial.user_attrs]
    assert [trial.params for trial in halved] == begun != []


@pytest.mark.slow
def test_a_point_that_kills_every_process_fails_alone(toy, study_of):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason='pip install "brain-tumor[joblib]"')
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    code, _, err = ended(toy("x=0.1,0.3", "fail=killed,never", "pause=0.1", "sweep.study=s", *joblib))
    assert code == 0, err
    assert {trial.params["x"] for trial in counted(study_of("s"))} == {0.1, 0.3}
    assert "s is complete: 4 trials, 0 of them pruned and 2 failed" in err
    given_up = [trial for trial in study_of("s").trials if "4 times" in trial.user_attrs.get("reason", "")]
    assert [trial.params["fail"] for trial in given_up] == ["killed"] * 2
