"""`python -m brain_tumor.study` as a user types it."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import mlflow
import optuna
import pytest
import toy
from composition import task
from optuna.trial import TrialState
from studies import RATE, empty, many, mixed, trial
from toy import environment, words

from brain_tumor.command_line import shown
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.jobs.study_run import StudyRun
from brain_tumor.sweep import description, importances

Run = Callable[..., subprocess.CompletedProcess[str]]


def keep(folder: Path, *studies: optuna.Study, names: tuple[str, ...] = ("demo",)) -> str:
    """Copy studies into the storage that a sweep in `folder` would have made; returns its address."""
    (folder / "mlruns").mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder}/mlruns/optuna.db"
    for study, name in zip(studies, names, strict=True):
        stored = optuna.create_study(storage=url, study_name=name, directions=study.directions)
        for key, value in study.user_attrs.items():
            stored.set_user_attr(key, value)
        stored.add_trials(study.trials)
    return url


def test_the_only_study_is_shown(run: Run, tmp_path: Path) -> None:
    url = keep(tmp_path / "work", mixed())
    done = run("study")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[1:3] == [
        "study        demo: maximize val/macro_f1",
        "finished     5 of 20 (3 complete, 1 pruned, 1 failed); 1 running; 1 waiting; 2 lost; 1 surplus",
    ]
    assert lines[3:5] == ["best so far  0.9000, trial 1", "running      trial 8: begins"]
    assert [line.split() for line in lines if line.startswith(("trial", "1*", "9 "))] == [
        ["trial", "state", "val/macro_f1", "seconds", "learning_rate", "unfreeze", "blocks"],
        ["1*", "complete", "0.9000", "200", "0.01", "some", "3"],
        ["9", "waiting", "-", "-", "-", "-", "-"],
    ]
    assert any(
        line.endswith(f"-m brain_tumor.train model=effnet_lite0 'data.root=/my scans' {RATE}=0.01") for line in lines
    )
    assert "cost spent   6 min 40 s of training" in lines
    assert "No advice yet: it takes 15 trials with a value, and 4 have one." in lines
    assert url not in done.stdout
    more = run("study", "-v").stdout
    assert f"storage {url}" in words(more)
    assert more.splitlines()[-1].endswith(f"optuna-dashboard {url}")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mlruns"]


def test_several_studies_are_listed_and_one_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (importances, description):
        monkeypatch.setattr(place, "RESAMPLES", 3)
    keep(tmp_path / "work", mixed(), many(30), names=("first", "second one"))
    done = run("study")
    assert [line.split() for line in done.stdout.splitlines()[1:4]] == [
        ["study", "finished", "best", "last", "activity"],
        ["first", "5", "of", "20", "0.9000", "2026-01-02", "03:16"],
        ["second", "one", "30", "of", "20", f"{many(30).best_value:.4f}", "2026-01-02", "03:30"],
    ]
    named = run("study", "name=second one")
    assert named.stdout.startswith("\n  study        second one: ")
    assert "beyond chance (fANOVA, 3 resamples of 30 trials). learning_rate mattered" in words(named.stdout)
    assert "key share 95 % interval as good as the best " in words(named.stdout)
    assert "so no other trial is called as good as it" in words(named.stdout)
    assert "time left none" in words(named.stdout)
    unknown = run("study", "name=secnd")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: name=secnd: there is no such study in sqlite:///")
    assert unknown.stderr.endswith("; there is second one\n")


def test_what_confirms_a_study_is_shown_within_it(run: Run, tmp_path: Path) -> None:
    begun = empty()
    begun.set_user_attr("n_trials", 6)
    begun.add_trials([trial(0, values=[0.8], seconds=20.0), trial(1, TrialState.RUNNING)])
    keep(tmp_path / "work", mixed(), begun, names=("demo", "demo-confirm"))
    out = words(run("study").stdout)
    assert "study demo: maximize val/macro_f1" in out
    assert "1 of 6 trainings of the best trials with other seeds are through; time left: about" in out
    assert "cost spent 7 min 0 s of training" in out  # the trials' 400 s, and 20 s
    assert "study demo-confirm: maximize" in words(run("study", "name=demo-confirm").stdout)


def test_a_storage_that_is_not_there(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for arguments, message in (
        ([], f"storage=sqlite:///{work}/mlruns/optuna.db does not exist; a sweep makes it: "),
        (["storage=sqlite:///no/where (1).db"], f"storage=sqlite:///{work}/no/where (1).db does not exist"),
        (["storage=postgresql://me:hush@127.0.0.1:1/x"], "storage=postgresql+psycopg://me:***@127.0.0.1:1/x "),
    ):
        done = run("study", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {message}")
        assert done.stderr.count("\n") == 1
        assert "hush" not in done.stderr
        assert not list(work.iterdir())


def test_a_storage_that_is_none(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "mlruns").mkdir(parents=True)
    database = work / "mlruns" / "optuna.db"
    for content, message in (
        (b"", "no such table"),
        (b"long enough to be taken for a database " * 99, "not a database"),
    ):
        database.write_bytes(content)
        done = run("study")
        assert done.returncode == 2
        assert "cannot be opened" in done.stderr
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert database.read_bytes() == content
    database.unlink()
    optuna.storages.RDBStorage(f"sqlite:///{database}")
    assert "holds no study yet" in run("study").stderr


@pytest.mark.slow
def test_a_store_that_has_lost_the_runs_is_said_with_the_way_on(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    keep(work, mixed())
    lost = f"The run of the best trial is not in {work}/mlruns/mlflow.db: was that deleted?"
    assert lost in words(run("study").stdout)
    with closing(sqlite3.connect(work / "mlruns" / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE runs (run_uuid TEXT)")
        assert lost in words(run("study").stdout)
        store.execute("INSERT INTO runs VALUES (?)", (mixed().best_trial.user_attrs["run_id"],))
    assert "was that deleted?" not in run("study").stdout
    (work / "mlruns" / "mlflow.db").unlink()
    there = toy.call(tmp_path, "study", MLFLOW_TRACKING_URI="http://127.0.0.1:5000")
    assert "was that deleted?" not in there.stdout


@pytest.mark.parametrize(("best", "registered"), [("0" * 32, True), ("0" * 32, False), (None, True)])
def test_a_sweep_says_so_before_its_first_trial(best: str | None, registered: bool, tmp_path: Path) -> None:
    known = empty()
    known.set_user_attr("parent_run", "gone")
    if best:
        known.add_trial(trial(0, values=[0.5], run_id=best))
    values = task("debug=tiny", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    values["tracking"]["register"] = "m" if registered else None
    begun = partial(StudyRun.opened, typed(TrainConfig, values), values, known, synthetic=True, made=False)
    if best and registered:
        with pytest.raises(InputError, match=f"the run of its best trial, {best}, is not in sqlite:"):
            begun()
        assert known.user_attrs["parent_run"] == "gone"
    else:
        run = begun()
        run.stop()
        assert run.run_id == known.user_attrs["parent_run"] != "gone"
        there = mlflow.MlflowClient()  # from the trash a model can be registered
        there.delete_run(known.user_attrs["parent_run"])
        known.add_trial(trial(1, values=[0.9], run_id=known.user_attrs["parent_run"]))
        run = begun()
        run.stop()
        assert there.get_run(run.run_id).info.lifecycle_stage == "active"


def test_looking_loads_neither_tensorflow_nor_mlflow(tmp_path: Path) -> None:
    keep(tmp_path, many(12))
    code = (
        "import sys; from brain_tumor.study import main; main(); "
        "print(sorted({'tensorflow', 'keras', 'mlflow', 'matplotlib', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("address", "printed"),
    [
        ("postgresql://me:p:a@ss@host/x", "postgresql://me:***@host/x"),
        ("postgresql://host/x?user=me&password=abc&a=b", "postgresql://host/x?user=me&password=***&a=b"),
        ("postgresql://me@host/x", "postgresql://me@host/x"),
        ("sqlite:////odd:folder@home/x.db", "sqlite:////odd:folder@home/x.db"),
    ],
)
def test_passwords_are_never_printed(address: str, printed: str) -> None:
    assert shown(address) == printed


def test_a_study_that_has_just_begun(run: Run, tmp_path: Path) -> None:
    keep(tmp_path / "work", empty())
    out = words(run("study").stdout)
    for text in ("finished 0 of 20", "No trial is complete yet.", "cost spent 0 s", "time left not known yet"):
        assert text in out
