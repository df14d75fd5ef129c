"""What lies in MLflow's trash can be read; what cannot be done with it is said with the way to restore it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from stores import Trained
from toy import call, client, run_id

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.tracking import comparison_run, runs
from brain_tumor.tracking.model_address import find
from brain_tumor.tracking.store import open_store

CHAMPION = "models:/brain-tumor@champion"


def tracking(trained: Trained, experiment: str = "brain-tumor") -> TrackingConfig:
    return TrackingConfig(f"sqlite:///{trained.work}/mlruns/mlflow.db", experiment, None, "c", False)


@pytest.fixture
def trashed(trained_copy: Trained) -> Iterator[Trained]:
    """A champion whose run has been deleted."""
    client(trained_copy.work).delete_run(trained_copy.run)
    yield trained_copy
    client(trained_copy.work).restore_run(trained_copy.run)


def test_a_model_is_evaluated_without_its_run_as_parent(trashed: Trained) -> None:
    done = call(trashed.place, "evaluate", f"model_uri={CHAMPION}", "bootstrap=100", cwd=trashed.work)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "trash" in line]
    assert trashed.run in line
    assert line.endswith(f"mlflow runs restore --run-id {trashed.run}")
    tags = client(trashed.work).get_run(run_id(done.stdout)).data.tags
    assert tags["trained_by"] == trashed.run
    assert "mlflow.parentRunId" not in tags


def test_what_its_run_has_predicted_is_found_by_its_id(trashed: Trained) -> None:
    open_store(tracking(trashed))
    found = comparison_run.find(trashed.run[:8], "run_a")
    assert found.info.run_id == trashed.run
    assert len(comparison_run.predictions(found, "test", "run_a").rows) == 24


def test_a_run_of_a_deleted_experiment_comes_back_with_that(trained_copy: Trained) -> None:
    there = client(trained_copy.work)
    there.set_terminated(trained_copy.run, "KILLED")
    experiment = there.get_run(trained_copy.run).info.experiment_id
    there.delete_experiment(experiment)
    try:
        open_store(tracking(trained_copy, "another"))
        with pytest.raises(InputError, match=f"mlflow experiments restore -x {experiment}$"):
            runs.interrupted(trained_copy.run)
    finally:
        there.restore_experiment(experiment)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("models:/brain-tumour@champion", "it has no model 'brain-tumour'; there is brain-tumor"),
        ("models:/brain-tumor@champoin", "brain-tumor has no alias 'champoin'; there is champion"),
        ("models:/brain-tumor/7", "brain-tumor has no version '7'; there is 1"),
        ("models:/brain-tumor/champion", "brain-tumor has no version 'champion'; there is 1"),
        ("runs:/0123/model", "Run with id=0123 not found"),
        ("models:/m-0123", "Logged model with ID 'm-0123' not found"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_loaded_or_made(
    uri: str, reason: str, trained_copy: Trained
) -> None:
    done = call(trained_copy.place, "export", f"model_uri={uri}", "out=never", cwd=trained_copy.work)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: model_uri={uri} cannot be loaded from {tracking(trained_copy).uri}: {reason}")
    assert not (trained_copy.work / "never").exists()


def test_a_page_names_the_model_that_is_not_there(trained_copy: Trained) -> None:
    pytest.importorskip("gradio", reason="needs brain-tumor[app]")
    missing = ("model_b=models:/brain-tumor/7", "port=0")
    done = call(trained_copy.place, "app", f"model_uri={CHAMPION}", *missing, cwd=trained_copy.work)
    assert done.returncode == 2
    assert "error: model_b=models:/brain-tumor/7 cannot be loaded" in done.stderr


def test_a_version_whose_own_were_all_deleted_and_a_run_that_is_gone_for_good(trained: Trained, tmp_path: Path) -> None:
    copy = trained.copy(tmp_path)
    open_store(tracking(copy))
    there = client(copy.work)
    uri = f"models:/{there.get_run(copy.run).outputs.model_outputs[0].model_id}"
    there.delete_model_version("brain-tumor", "1")
    with pytest.raises(InputError, match="brain-tumor has no alias 'champion', and no other"):
        find(CHAMPION)
    assert find(uri).run_id == copy.run
    with closing(sqlite3.connect(copy.work / "mlruns" / "mlflow.db")) as database, database:  # as `mlflow gc` does
        database.execute("DELETE FROM runs WHERE run_uuid = ?", (copy.run,))
    with pytest.raises(InputError, match=f"the run that trained it, {copy.run}, is gone for good"):
        find(uri)
    assert mlflow.models.get_model_info(uri).run_id == copy.run
