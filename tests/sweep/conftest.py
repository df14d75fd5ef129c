"""The toy program under the sweeper, as a command in a folder of its own; and a database server for several workers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import postgres
import pytest
from debian import install
from toy import environment, hear_ctrl_c

APP = Path(__file__).parent / "toy_app.py"
CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `python toy_app.py … -m`; its stdout and stderr are pipes."""

    def start(*arguments: str, multirun: bool = True) -> subprocess.Popen[str]:
        place = tmp_path / "work"
        place.mkdir(exist_ok=True)
        command = [sys.executable, str(APP), *arguments, *(["-m"] if multirun else [])]
        env = {**environment(tmp_path), "SWEEP_CONF": str(CONF), "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=place, env=env, text=True, preexec_fn=hear_ctrl_c, **pipes)

    return start


@pytest.fixture
def toy_done(toy: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Run it to its end; returns the exit code, stdout and stderr."""

    def run(*arguments: str, multirun: bool = True) -> tuple[int, str, str]:
        process = toy(*arguments, multirun=multirun)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return run


@pytest.fixture
def study_of(tmp_path: Path) -> Callable[[str], optuna.Study]:
    """The study of that name that the program has left in its folder."""

    def load(name: str) -> optuna.Study:
        assert os.path.exists(tmp_path / "work" / "mlruns" / "optuna.db")
        return optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path}/work/mlruns/optuna.db")

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
