"""A store that cannot be used is known before any work, in one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError


def tracking(uri: str | None, experiment: str = "e") -> TrackingConfig:
    return TrackingConfig(uri=uri, experiment=experiment, register=None, checkpoints="c", system_metrics=False)


def test_a_server_that_is_not_there() -> None:
    from brain_tumor.tracking.store import open_store

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=rf"http://127.0.0.1:{port} cannot be reached .*refused"):
        open_store(tracking(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("uri", ["mlruns", "file:/tmp/mlruns", "file:///tmp/mlruns"])
def test_a_plain_folder(uri: str) -> None:
    from brain_tumor.tracking.store import open_store

    with pytest.raises(InputError, match=r"plain folder.*sqlite:///"):
        open_store(tracking(uri))


@pytest.mark.parametrize("name", ["", "a?b/m.db", "100%/m.db", "sub/"])
def test_a_path_that_sqlite_cannot_take(name: str, tmp_path: Path) -> None:
    from brain_tumor.tracking.store import open_store

    with pytest.raises(InputError, match=r"^tracking.uri="):
        open_store(tracking(f"sqlite:///{tmp_path}/{name}" if name else "sqlite://"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    from brain_tumor.tracking.store import open_store

    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        open_store(tracking(f"sqlite:///{tmp_path}/file/mlruns/mlflow.db"))


def test_a_deleted_experiment(tmp_path: Path) -> None:
    import mlflow

    from brain_tumor.tracking.store import open_store

    config = tracking(f"sqlite:///{tmp_path}/mlflow.db")
    store = open_store(config)
    mlflow.MlflowClient().delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match=r"was deleted.*restore"):
        open_store(config)


def test_artifacts_lie_beside_the_database_even_with_spaces(tmp_path: Path) -> None:
    import mlflow

    from brain_tumor.tracking import runs
    from brain_tumor.tracking.store import open_store

    folder = tmp_path / "my store, (1)"
    store = open_store(tracking(f"sqlite:///{folder}/mlflow.db"))
    with runs.started(store, system_metrics=False):
        mlflow.log_text("x", "figures/x.txt")
    assert [path.read_text() for path in folder.glob("artifacts/*/artifacts/figures/x.txt")] == ["x"]


@pytest.mark.slow
def test_two_processes_make_one_store_at_once(tmp_path: Path) -> None:
    code = (
        "from brain_tumor.config.train import TrackingConfig\n"
        "from brain_tumor.tracking.store import open_store\n"
        f"uri = 'sqlite:///{tmp_path}/mlflow.db'\n"
        "print(open_store(TrackingConfig(uri, 'e', None, 'c', False)).experiment_id)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
