"""MLflow's own variable names the store where no key does, and stays the user's, whatever this process opens."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from toy import call

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.tracking.store import command_here, open_store

VARIABLE = "MLFLOW_TRACKING_URI"


def tracking(uri: str | None) -> TrackingConfig:
    return TrackingConfig(uri=uri, experiment="e", register=None, checkpoints="c", system_metrics=False)


def test_a_key_comes_before_the_variable_and_that_before_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, typed = (f"sqlite:///{tmp_path}/{name}/mlflow.db" for name in ("theirs", "typed"))
    monkeypatch.chdir(tmp_path)
    assert open_store(tracking(None)).uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    monkeypatch.setenv(VARIABLE, theirs)
    assert [open_store(tracking(uri)).uri for uri in (None, typed, None)] == [theirs, typed, theirs]
    monkeypatch.setenv(VARIABLE, "")
    assert open_store(tracking(None)).uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_a_process_started_from_here_is_told_what_the_user_has_said_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import os; print(os.environ.get({VARIABLE!r}), os.environ.get('MLFLOW_REGISTRY_URI'))"

    def told() -> str:
        open_store(tracking(f"sqlite:///{tmp_path}/mlflow.db"))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    assert told() == "None None"
    monkeypatch.setenv(VARIABLE, "http://theirs")
    assert told() == "http://theirs None"


def test_a_command_says_which_store_the_variable_has_chosen_and_makes_no_other(tmp_path: Path) -> None:
    theirs = f"sqlite:///{tmp_path}/theirs/mlflow.db"
    done = call(tmp_path, "compare", "abc", "def", MLFLOW_TRACKING_URI=theirs)
    assert done.stderr.splitlines().count(f"MLFLOW_TRACKING_URI: the store is {theirs}") == 1
    assert f"run_a=abc: {theirs} has no run" in done.stderr
    assert (tmp_path / "theirs" / "mlflow.db").exists()
    assert not (tmp_path / "work" / "mlruns").exists()


@pytest.mark.parametrize("uri", ["mlruns", "http://127.0.0.1:1", "sqlite:///a?b.db"])
def test_a_mistake_in_it_is_named_as_the_variables(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, uri)
    with pytest.raises(InputError, match=rf"^MLFLOW_TRACKING_URI={uri.replace('?', '.')}"):
        open_store(tracking(None))


@pytest.fixture
def server() -> Iterator[str]:
    """HOST:PORT of a server that is well, and knows nothing else."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - as http.server finds it

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{answering.server_port}"
        answering.shutdown()


def test_a_password_reaches_the_server_and_is_not_printed(server: str) -> None:
    with pytest.raises(InputError, match=rf"^tracking.uri=http://me:\*\*\*@{server} cannot be opened"):
        open_store(tracking(f"http://me:secret@{server}"))


def test_a_printed_command_works_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "sqlite:///my runs/mlflow.db")
    open_store(tracking(None))
    there = "'tracking.uri=sqlite:///my runs/mlflow.db'"
    assert command_here("train", "seed=1", "-m").endswith(f" -m brain_tumor.train {there} seed=1 -m")  # Hydra's order
    assert command_here("train", "seed=1", "tracking.uri=x").endswith(" -m brain_tumor.train seed=1 tracking.uri=x")
    open_store(tracking("sqlite:///mlruns/mlflow.db"))
    assert command_here("train").endswith(" -m brain_tumor.train tracking.uri=sqlite:///mlruns/mlflow.db")
    monkeypatch.delenv(VARIABLE)
    assert command_here("train").endswith(" -m brain_tumor.train")
