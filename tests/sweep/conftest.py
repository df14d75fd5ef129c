"""The toy program under the sweeper, as a command in a folder of its own; and a database server for several workers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import postgres
import pytest
import toy_app
from debian import install
from isolation import called
from toy import environment, hear_ctrl_c

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the program runs."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def surroundings(place: Path) -> dict[str, str]:
    return {**environment(place.parent), "SWEEP_CONF": str(CONF), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def toy(place: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `python toy_app.py … -m`; its stdout and stderr are pipes."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, toy_app.__file__, *arguments, "-m"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=place, env=surroundings(place), text=True, preexec_fn=hear_ctrl_c, **pipes)

    return start


@pytest.fixture
def toy_done(place: Path) -> Callable[..., tuple[int, str, str]]:
    """Run it to its end, in this process; returns the exit code, stdout and stderr."""

    def run(*arguments: str, multirun: bool = True) -> tuple[int, str, str]:
        command = [toy_app.__file__, *arguments, *(["-m"] if multirun else [])]
        done = called(toy_app.main, command, cwd=place, environment=surroundings(place))
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def study_of(place: Path) -> Callable[[str], optuna.Study]:
    """The study of that name that the program has left in its folder."""

    def load(name: str) -> optuna.Study:
        assert os.path.exists(place / "mlruns" / "optuna.db")
        return optuna.load_study(study_name=name, storage=f"sqlite:///{place}/mlruns/optuna.db")

    return load


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """`postgresql://…` of a server that the session starts, with an empty database."""
    failure = None if postgres.binaries() else install("postgresql")
    binaries = postgres.binaries()
    if binaries is None:
        pytest.skip(f"{failure or 'PostgreSQL was not found'}: {postgres.INSTALL}")
    with postgres.server(binaries) as url:
        yield url
