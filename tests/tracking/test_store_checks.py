"""What is no store of MLflow's is known before MLflow has a hand in it: it would try for minutes, or spoil it."""

import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import click
import optuna
import pytest
import stores
from mlflow.cli import cli
from toy import located

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.tracking.store import open_store

OLDER = "cc1f77228345"  # a migration of MLflow 2.4


def opened(database: Path) -> None:
    open_store(TrackingConfig(f"sqlite:///{database}", "e", None, "c", False))


@pytest.fixture
def database(shared: Path, tmp_path: Path) -> Path:
    """A store of this MLflow, with nothing in it."""
    return Path(shutil.copy(stores.empty(shared), tmp_path / "mlflow.db"))


def migrate(database: Path, revision: str) -> None:
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_what_is_no_database_is_said_at_once_and_stays_as_it_is(database: Path) -> None:
    began = time.monotonic()
    for content in (b"no database, but long enough to be taken for one " * 99, database.read_bytes()[:50_000]):
        database.write_bytes(content)
        with pytest.raises(InputError, match=r"^tracking\.uri=sqlite:.* cannot be read \(.*\): put back a sound one"):
            opened(database)
        assert database.read_bytes() == content
    assert time.monotonic() - began < 10


def test_the_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "optuna.db"
    optuna.storages.RDBStorage(f"sqlite:///{database}")
    before = database.read_bytes()
    with pytest.raises(InputError, match="is the database of something else, and MLflow needs one to itself"):
        opened(database)
    assert database.read_bytes() == before


def test_a_newer_mlflows_is_left_alone(database: Path) -> None:
    migrate(database, "ffffffffffff")
    before = database.read_bytes()
    with pytest.raises(InputError, match=r"was made by a newer MLflow than the \d+\.\d+\S* that is installed here"):
        opened(database)
    assert database.read_bytes() == before


def test_an_older_mlflows_comes_with_the_line_that_upgrades_it(database: Path) -> None:
    migrate(database, OLDER)
    with pytest.raises(InputError, match="was made by an older MLflow") as caught:
        opened(database)
    program, *words = shlex.split(str(caught.value).rpartition(": ")[2])
    assert located(program) == Path(sys.executable).with_name("mlflow")
    group = cli.get_command(click.Context(cli), words[0])
    with group.get_command(click.Context(group), words[1]).make_context(words[1], words[2:]) as read:
        assert read.params == {"url": f"sqlite:///{database}"}


@pytest.mark.slow
def test_one_that_mlflow_upgrades_by_itself_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As MLflow 2.4 made it, by its own migrations."""
    database = tmp_path / "earlier.db"
    code = (
        "from alembic import command\n"
        "from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine\n"
        "from mlflow.store.tracking.dbmodels.initial_models import Base\n"
        f"engine = create_sqlalchemy_engine('sqlite:///{database}')\n"
        "Base.metadata.create_all(engine)\n"
        "config = _get_alembic_config(str(engine.url))\n"
        "with engine.begin() as config.attributes['connection']:\n"
        f"    command.upgrade(config, '{OLDER}')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    opened(database)
    said = f"tracking.uri=sqlite:///{database} was an older MLflow's, and is upgraded now"
    assert said in capsys.readouterr().err
    opened(database)
    assert said not in capsys.readouterr().err


@pytest.mark.parametrize("emptied", [True, False])
def test_files_that_a_store_does_not_know_are_named_when_it_begins(
    emptied: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the database was emptied, or deleted, and its artifacts were not."""
    for files in (False, True):
        place = tmp_path / str(files)
        (place / "artifacts" / "run").mkdir(parents=True) if files else place.mkdir()
        if emptied:
            (place / "mlflow.db").touch()
        for begins in (True, False):
            opened(place / "mlflow.db")
            said = f"holds nothing: a store begins there that knows nothing of the files in {place}/artifacts"
            assert (said in capsys.readouterr().err) == (files and begins)


def test_a_database_server_that_is_not_there_is_said_at_once() -> None:
    pytest.importorskip("psycopg", reason="needs brain-tumor[postgres]")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"^tracking\.uri=postgresql://me:\*\*\*@127\.0\.0\.1:1/x cannot be reached"):
        open_store(TrackingConfig("postgresql://me:secret@127.0.0.1:1/x", "e", None, "c", False))
    assert time.monotonic() - began < 10
