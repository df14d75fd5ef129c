"""What is wrong with the address of a store, said before MLflow tries it for minutes or makes its tables there."""

import importlib.util
import os
import re
import sqlite3
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import sqlalchemy

from brain_tumor import sqlite_file
from brain_tumor.command_line import program
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path, nearest_folder

TIMEOUT = 10  # seconds that a server has to answer
LEAVE_OUT = "start that server, or leave it out to track in mlruns/"


def check_server(uri: str, named: str) -> None:
    """Raise InputError unless an MLflow server answers at `uri`; messages begin with `named`."""
    bare = re.sub(r"//[^/@]*@", "//", uri)  # MLflow brings a name and a password that stand in it
    try:
        with urllib.request.urlopen(f"{bare.rstrip('/')}/health", timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):  # MLflow brings the credentials, and a proxy may hide /health
            return
        reason: object = f"it answers {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
    raise InputError(f"{named} cannot be reached ({reason}): {LEAVE_OUT}")


def check_database_server(uri: str, named: str) -> None:
    """Raise InputError unless a database server (PostgreSQL, say) answers at `uri`."""
    try:
        url = sqlalchemy.make_url(uri)
        limit = {"connect_timeout": TIMEOUT} if url.get_backend_name() == "postgresql" else {}
        engine = sqlalchemy.create_engine(url, connect_args=limit)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except Exception as error:  # SQLAlchemy's, and each driver's own
        reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        raise InputError(f"{named} cannot be reached ({reason}): {LEAVE_OUT}") from error


def database_of(uri: str, named: str, *, make: bool = True) -> Path:
    """The file of a SQLite URI, in a folder that can be written; raises InputError if MLflow could not use it.

    The folder is made, or, without `make`, is one that could be.
    """
    text = uri.removeprefix("sqlite:///")
    if text in ("", uri) or text.endswith("/"):
        raise InputError(f"{named} names no file: give sqlite:///DIR/mlflow.db")
    odd = sorted(set(text) & set("?#%"))
    if odd:  # SQLAlchemy and MLflow read them differently, so that the parts of the store would end up apart
        raise InputError(f"{named}: a SQLite store cannot lie in a path with {' '.join(odd)}; take another")
    database = existing_path(text).absolute()
    if database.is_dir():
        raise InputError(f"{named} is a folder: give sqlite:///{text}/mlflow.db")
    _check_folder(database.parent if make else nearest_folder(database.parent), named)
    return database


def revision(database: Path) -> str:
    """By which of MLflow's migrations a database has its tables; empty if it has none."""
    if "alembic_version" not in sqlite_file.tables(database):
        return ""
    return "".join(found for (found,) in sqlite_file.rows(database, "SELECT version_num FROM alembic_version"))


def outdated(error: Exception, uri: str) -> str | None:
    """What to do where MLflow's error says that a store's tables are an older MLflow's; None of another error."""
    if "out-of-date database schema" not in str(error):
        return None
    return (
        f"was made by an older MLflow than the {version('mlflow')} that is installed here: keep a copy of it, then "
        f"upgrade it: {program('mlflow', 'db', 'upgrade', uri)}"
    )


def check_content(database: Path, named: str) -> None:
    """Raise InputError where a file is no database, or not one that this MLflow can use; it may be empty."""
    try:
        found, made_by = sqlite_file.tables(database), revision(database)
    except sqlite3.Error as error:
        raise InputError(f"{named} cannot be read ({error}): put back a sound one, or name another") from error
    if found and (not {"experiments", "runs"} <= found or "studies" in found):
        raise InputError(f"{named} is the database of something else, and MLflow needs one to itself: name another")
    spec = importlib.util.find_spec("mlflow")
    known = Path(str(spec.origin if spec else "")).parent / "store" / "db_migrations" / "versions"
    if made_by and known.is_dir() and not any(known.glob(f"{made_by}_*.py")):
        raise InputError(
            f"{named} was made by a newer MLflow than the {version('mlflow')} that is installed here: install that, "
            "or name another store"
        )


def _check_folder(folder: Path, named: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{named}: the folder {folder} cannot be made ({error.strerror}): give tracking.uri"
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(
            f"{named}: the folder {folder} cannot be written to; give tracking.uri=sqlite:///DIR/mlflow.db"
        )
