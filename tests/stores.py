"""MLflow stores of tests: quick to make, and one that holds a trained run, made once and copied.

Commands in processes of their own make theirs as everybody's.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock
from toy import TINY, draw_folders, run_id, spawn

EMPTY = "empty.db"  # in the folder that the processes of a test session share


@contextmanager
def quick(shared: Path) -> Iterator[None]:
    """Meanwhile SQLite waits for no disk in this process, and a new MLflow store gets its tables by a copy.

    MLflow makes them by all the migrations that there ever were, in seconds.
    """

    def connected(connection: Any, _: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous = OFF")
        [(_, _, file)] = connection.execute("PRAGMA database_list").fetchall()
        if Path(file).name == "mlflow.db" and not connection.execute("PRAGMA schema_version").fetchone()[0]:
            with closing(sqlite3.connect(empty(shared))) as tables:
                tables.backup(connection)

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)


def empty(shared: Path) -> Path:
    """A database with MLflow's tables and nothing in them, as MLflow makes it: to be copied."""
    path = shared / EMPTY
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

            made = path.with_name(f"new {EMPTY}")
            engine = create_sqlalchemy_engine(f"sqlite:///{made}")
            _initialize_tables(engine)
            engine.dispose()
            made.rename(path)
    return path


@dataclass(frozen=True)
class Trained:
    """A TINY run, version 1 of `brain-tumor` and its champion, that a process of its own has trained."""

    place: Path
    run: str  # its id
    out: str  # what the command printed
    err: str

    @property
    def images(self) -> Path:
        """What it was trained on, by `toy.draw_folders`."""
        return self.place / "bars"

    @property
    def work(self) -> Path:
        """The folder in which it was trained: the store is in its `mlruns`."""
        return self.place / "work"

    @property
    def artifacts(self) -> Path:
        return self.work / "mlruns" / "artifacts" / self.run / "artifacts"

    def copy(self, place: Path) -> "Trained":
        """The same run and images in a new or empty folder, to do with as one likes."""
        shutil.copytree(self.place, place, dirs_exist_ok=True)
        _readdress(place, str(self.place), str(place))
        return Trained(place, self.run, *(text.replace(str(self.place), str(place)) for text in (self.out, self.err)))


def trained(shared: Path) -> Trained:
    """The one run of a test session, trained by whichever of its processes comes first."""
    place = shared / "trained"
    printed = place / "printed.json"
    with FileLock(shared / "trained.lock"):
        if not printed.exists():
            shutil.rmtree(place, ignore_errors=True)
            done = spawn(place, "train", "data=folder", f"data.root={draw_folders(place / 'bars')}", *TINY)
            assert done.returncode == 0, done.stderr
            printed.write_text(json.dumps([done.stdout, done.stderr]))
    out, err = json.loads(printed.read_text())
    return Trained(place, run_id(out), out, err)


def _readdress(place: Path, old: str, new: str) -> None:
    """Replace a folder's address wherever a store and what lies beside it name it."""
    for path in place.rglob("*"):
        if path.is_file() and path.suffix != ".db" and old.encode() in (content := path.read_bytes()):
            path.write_bytes(content.replace(old.encode(), new.encode()))
    with closing(sqlite3.connect(place / "work" / "mlruns" / "mlflow.db")) as database, database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                if "CHAR" in kind or "TEXT" in kind:
                    changed = f'UPDATE {table} SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)'
                    database.execute(changed, (old, new, old))
