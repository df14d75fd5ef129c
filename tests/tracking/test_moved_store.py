"""A store that was moved or copied with its files: where they are looked for is said, and one key changes that."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from stores import Trained
from toy import call, client, run_id, runs_in

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.tracking import runs
from brain_tumor.tracking.model_address import find
from brain_tumor.tracking.store import Store, open_store

CHAMPION = "models:/brain-tumor@champion"


def opened(work: Path, artifacts: Path | str | None = None, experiment: str = "brain-tumor") -> Store:
    uri = f"sqlite:///{work}/mlruns/mlflow.db"
    return open_store(TrackingConfig(uri, experiment, None, "c", False, artifacts=artifacts and str(artifacts)))


@pytest.fixture
def moved(trained: Trained, tmp_path: Path) -> Trained:
    """A store that was moved, and whose addresses lead to where it was."""
    return move(trained.copy(tmp_path / "at first"), tmp_path)


def move(copy: Trained, tmp_path: Path) -> Trained:
    return Trained(copy.place.rename(tmp_path / "now (2)"), copy.run, copy.out, copy.err)


def named(work: Path) -> str:
    """All that the database says of where files are, but for MLflow's own first experiment, which is never used."""
    queries = ("artifact_uri FROM runs", "artifact_location FROM logged_models")
    queries += ("artifact_location FROM experiments WHERE experiment_id > 0",)
    with closing(sqlite3.connect(work / "mlruns" / "mlflow.db")) as database:
        return " ".join(str(database.execute(f"SELECT {query}").fetchall()) for query in queries)


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", f"model_uri={CHAMPION}"),
        ("predict", f"model_uri={CHAMPION}", "input=mlruns/artifacts/*/artifacts/figures/curves.png"),
        ("compare", "0", "1"),
        ("train", "debug=tiny"),
        ("train", "resume=abc"),
    ],
)
def test_a_command_says_where_it_looks_and_what_to_add(arguments: tuple[str, ...], moved: Trained) -> None:
    done = call(moved.place, *arguments, cwd=moved.work)
    assert done.returncode == 2
    there = moved.place.parent / "at first" / "work" / "mlruns" / "artifacts"
    [line] = [line for line in done.stderr.splitlines() if "error" in line]
    assert f"the files of its runs are looked for in {there}, which is not there" in line
    assert line.endswith(f": 'tracking.artifacts={moved.work}/mlruns/artifacts'")
    assert not there.exists()
    assert len(runs_in(moved.work)) == 1


@pytest.mark.slow
def test_with_the_key_once_everything_is_found_again(moved: Trained) -> None:
    there = f"tracking.artifacts={moved.work}/mlruns/artifacts"
    measured = call(moved.place, "evaluate", f"model_uri={CHAMPION}", "bootstrap=100", there, cwd=moved.work)
    assert measured.returncode == 2  # the images have moved as well
    assert f"addresses of sqlite:///{moved.work}/mlruns/mlflow.db now lead to" in measured.stderr
    images = f"data.root={moved.images}"
    measured = call(moved.place, "evaluate", f"model_uri={CHAMPION}", "bootstrap=100", images, cwd=moved.work)
    assert measured.returncode == 0, measured.stderr
    assert "first" not in named(moved.work)
    for command in (
        ("compare", moved.run, run_id(measured.stdout)),
        ("predict", f"model_uri={CHAMPION}", f"input={moved.images / 'Testing' / 'glioma'}", "out=answers.csv"),
    ):
        done = call(moved.place, *command, cwd=moved.work)
        assert done.returncode == 0, done.stderr
    listed = client(moved.work).list_artifacts(moved.run)  # as MLflow's page lists them
    assert {"config", "data", "tables"} <= {file.path for file in listed}
    assert not (moved.place.parent / "at first").exists()


def test_a_run_is_gone_on_with_in_a_store_that_was_moved(moved: Trained) -> None:
    client(moved.work).set_terminated(moved.run, "KILLED")
    there = f"tracking.artifacts={moved.work}/mlruns/artifacts"
    done = call(moved.place, "train", f"resume={moved.run}", there, cwd=moved.work)
    assert f"resume={moved.run}: its checkpoint is not in" in done.stderr  # which went when it finished


def test_a_copy_is_told_apart_from_what_it_was_copied_from(trained: Trained, tmp_path: Path) -> None:
    first = trained.copy(tmp_path / "first")
    before = named(first.work)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = tmp_path / "second" / "work"
    done = call(tmp_path, "compare", "0", "1", cwd=second)
    [said] = [line for line in done.stderr.splitlines() if "lie in" in line]
    assert f"lie in {first.work}/mlruns/artifacts, and new ones will" in said
    assert f"tracking.artifacts={second}/mlruns/artifacts, once" in said
    opened(second, second / "mlruns" / "artifacts")
    assert str(first.work) not in named(second)
    assert named(first.work) == before
    assert "lie in" not in call(tmp_path, "compare", "0", "1", cwd=second).stderr


def test_what_lies_at_the_old_place_alone_stays_addressed_there(trained: Trained, tmp_path: Path) -> None:
    """As what a run has logged that MLflow has put where the store was: it makes that folder again."""
    copy = trained.copy(tmp_path / "at first")
    with runs.started(opened(copy.work), system_metrics=False) as late:
        mlflow.log_text("x", "late.txt")
    there = Path("work", "mlruns", "artifacts", late)
    moved = move(copy, tmp_path)
    (copy.place / there.parent).mkdir(parents=True)
    (moved.place / there).rename(copy.place / there)
    store = opened(moved.work, moved.work / "mlruns" / "artifacts")
    assert runs.artifact_place(late, "late.txt") == str(copy.place / there / "artifacts" / "late.txt")
    with runs.started(store, system_metrics=False) as new:
        pass
    for run in (moved.run, new):
        assert Path(runs.artifact_place(run, "config")).is_relative_to(moved.work)


@pytest.mark.parametrize("folder", ["mlruns/artifacts", "mlruns", "."])
def test_any_folder_will_do_below_which_the_files_lie_as_they_did(
    folder: str, moved: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moved.work)
    opened(moved.work, folder)
    opened(moved.work, folder)  # once more does nothing
    assert find(CHAMPION).run_id == moved.run
    assert "first" not in named(moved.work)


def test_a_folder_that_holds_none_of_them_changes_nothing(moved: Trained, tmp_path: Path) -> None:
    before = named(moved.work)
    (tmp_path / "artifacts").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            InputError, match=f"^tracking.artifacts={folder} holds the files of no run .*{moved.run} say"
        ):
            opened(moved.work, folder)
    assert named(moved.work) == before
    with pytest.raises(InputError, match=r"^tracking\.artifacts=x is for a SQLite store"):
        open_store(TrackingConfig("postgresql://127.0.0.1:1/x", "e", None, "c", False, artifacts="x"))


def test_files_that_were_deleted_are_named_with_their_place(trained: Trained, tmp_path: Path) -> None:
    copy = trained.copy(tmp_path)
    opened(copy.work)
    shutil.rmtree(copy.artifacts / "config")
    with pytest.raises(
        InputError, match=f"no artifact config .* looked for in {copy.artifacts}/config: deleted, or moved"
    ):
        find(CHAMPION)
    shutil.rmtree(copy.artifacts.parents[1] / "models")
    with pytest.raises(InputError, match=f"its files are looked for in {copy.artifacts.parents[1]}/models/m-"):
        find(CHAMPION)
