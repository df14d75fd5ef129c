"""Where studies lie: one address for every worker, in a SQLite file or on a database server."""

import copy
import functools
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy
from filelock import FileLock

from brain_tumor import disk
from brain_tumor.command_line import pip_install, shown
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path
from brain_tumor.sqlite_file import tables

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import Connection, Engine

SQLITE_WAIT = 120  # seconds that a worker waits for the others to be done writing
MAX_RETRY = 3  # times that a trial whose process died is tried again
SERVER_WAIT = 10  # seconds that a server has to answer
LOCK = 20_251  # any number that no one else uses as an advisory lock of the same PostgreSQL database


def address(storage: str | None, cwd: Path) -> str:
    """The SQLAlchemy address of `sweep.storage`, the same from whichever folder a worker opens it.

    None is `mlruns/optuna.db` in `cwd`, a relative SQLite path starts there too, and `postgresql://` becomes
    `postgresql+psycopg://`. Nothing is opened or made. Raises InputError for what Optuna cannot use.
    """
    text = f"sqlite:///{cwd.absolute() / 'mlruns' / 'optuna.db'}" if storage is None else storage
    try:
        url = sqlalchemy.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", text))
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise _unusable(text, "is no address of a database: give sqlite:///FILE or postgresql://…") from error
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{_sqlite_file(text, cwd)}"
    try:
        url.get_dialect().import_dbapi()
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise _unusable(text, "is of no kind that Optuna takes: give sqlite:///FILE or postgresql://…") from error
    except ImportError as error:
        ours = url.get_driver_name() == "psycopg"
        advice = pip_install("brain-tumor[postgres]") if ours else f"install {error.name}"
        raise _unusable(text, f"needs the Python package {error.name}: {advice}") from error
    return url.render_as_string(hide_password=False)


def open_storage(
    address: str, *, heartbeat_interval: int = 60, grace_period: int = 180, max_retry: int = MAX_RETRY
) -> "RDBStorage":
    """Open Optuna's storage at an `address()`, and make its file or tables where they do not exist.

    A trial whose heartbeat (to be recorded every `heartbeat_interval` seconds) is older than `grace_period` seconds
    is failed by `optuna.storages.fail_stale_trials` and queued again with the same parameters but none of what it had
    recorded, `max_retry` times. Raises InputError, without the password, where the storage cannot be used.
    """
    url = sqlalchemy.make_url(address)
    _refuse_mlflows(address)
    with explained(address), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        with locked(url):
            storage = optuna.storages.RDBStorage(
                address,
                engine_kwargs=_engine_options(url),
                heartbeat_interval=heartbeat_interval,
                grace_period=grace_period,
                heartbeat_stale_trial_callback=functools.partial(retry_afresh, max_retry=max_retry),
            )
    if url.get_backend_name() == "sqlite":
        _serialise(storage.engine)
    return storage


def open_existing(address: str, sweep: str) -> "RDBStorage":
    """Open Optuna's storage at an `address()` to read it; makes nothing.

    Raises InputError where there is none, which names the command `sweep` that makes one.
    """
    url = sqlalchemy.make_url(address)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise _unusable(address, f"does not exist; a sweep makes it: {sweep}")
    _refuse_mlflows(address)
    with explained(address):
        return optuna.storages.RDBStorage(address, engine_kwargs=_engine_options(url), skip_table_creation=True)


def _refuse_mlflows(address: str) -> None:
    """Refuse MLflow's own SQLite file: Optuna would make its tables in it, and neither could be upgraded any more."""
    url = sqlalchemy.make_url(address)
    with suppress(sqlite3.Error):  # no database at all, which is said when it is opened
        if url.get_backend_name() == "sqlite" and {"experiments", "runs"} <= tables(Path(str(url.database))):
            raise _unusable(
                address, "is MLflow's database: studies need one to themselves, sqlite:///DIR/optuna.db say"
            )


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Say in one line, without the password, why a storage cannot be opened."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # SQLAlchemy's, the driver's, the file system's, and Optuna's RuntimeError
        cause = error.__cause__ or error
        reason = disk.refusal(error) or " ".join(str(getattr(cause, "orig", None) or cause).split())[:300]
        password = sqlalchemy.make_url(address).password
        if password:
            reason = reason.replace(str(password), "***")
        raise _unusable(address, f"cannot be opened: {reason}") from error


def _sqlite_file(text: str, cwd: Path) -> Path:
    name = text.partition(":///")[2]
    if name in ("", ":memory:") or name.endswith("/"):
        raise _unusable(text, "names no file that workers could share: give sqlite:///DIR/optuna.db")
    path = cwd.absolute() / existing_path(name)
    odd = sorted(set(str(path)) & set("?#%{}"))
    if odd:  # read as parts of the address by SQLAlchemy, as a template by Optuna
        raise _unusable(text, f"cannot be a SQLite file in a path with {' '.join(odd)}: take another")
    if path.is_dir():
        raise _unusable(text, f"is a folder: give sqlite:///{name}/optuna.db")
    return path


def _engine_options(url: Any) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_WAIT}}
    # A trial takes minutes to hours, in which a server or a firewall may drop the connection.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "postgresql":
        options["connect_args"] = {"connect_timeout": int(url.query.get("connect_timeout", SERVER_WAIT))}
    return options


@contextmanager
def locked(url: Any) -> Iterator[None]:
    """Let one worker at a time do what two at once would both do: make the tables, say, or queue points."""
    if url.get_backend_name() == "sqlite":
        database = Path(url.database)
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.with_suffix(".lock")):
            yield
        return
    engine = sqlalchemy.create_engine(url, **_engine_options(url))
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(LOCK)))
            yield
    finally:
        engine.dispose()


def _serialise(engine: "Engine") -> None:
    """Lock the SQLite file from the start of each transaction rather than from its first write.

    Optuna reads a queued trial's state, then sets it, and relies on `SELECT … FOR UPDATE`, which SQLite does not have:
    two workers would be handed the same trial. The recipe is SQLAlchemy's ("Serializable isolation" of its SQLite
    dialect).
    """

    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: "Connection") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before this


def retry_afresh(study: "Study", trial: "FrozenTrial", *, max_retry: int | None) -> None:
    """Queue a stale trial again, without the MLflow run and the other marks of the one that died."""
    trial = copy.copy(trial)
    trial.user_attrs = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        retry = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=max_retry, inherit_intermediate_values=False)
    retry(study, trial)


def _unusable(text: str, why: str) -> InputError:
    return InputError(f"sweep.storage={shown(text)} {why}")
