"""Opens the MLflow store before any work starts, so that an unreachable one is known then and not after."""

import os
import shlex
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from brain_tumor import disk
from brain_tumor.command_line import STORE, command, program, shown
from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.tracking import moved_store, store_checks
from brain_tumor.tracking.view import TAG, view_tags, with_view

mlflow = lazy("mlflow")

DATABASE_SERVERS = ("postgresql", "mysql", "mssql")  # what MLflow takes beside SQLite
# Opens the experiment in the UI for model training rather than the one for language models.
TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store and the experiment that runs go into."""

    uri: str
    experiment_id: str

    @property
    def serve(self) -> list[str]:
        """What to type, in this folder, so that its addresses answer; nothing where a server does already."""
        if self.uri.startswith("http"):
            return []
        return [program("mlflow", "ui", "--backend-store-uri", _from_here(self.uri))]

    def run_address(self, run_id: str) -> str:
        return f"{self._experiment_address}/runs/{run_id}"

    def addresses(self, run_id: str) -> list[tuple[str, str]]:
        """Where a run is looked at, and all of them, each with its name."""
        return [("run", self.run_address(run_id)), ("all runs", self.runs_address)]

    @property
    def runs_address(self) -> str:
        """All runs of the experiment, with the columns and charts that matter."""
        return with_view(f"{self._experiment_address}/runs")

    @property
    def _experiment_address(self) -> str:
        base = shown(self.uri).rstrip("/") if self.uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{base}/#/experiments/{self.experiment_id}"


def open_store(config: TrackingConfig) -> Store:
    """Connect to the store, create it and the experiment where they do not exist, and make it MLflow's current one.

    It is the one of `tracking.uri`, of MLflow's own variable where that is null, or the one in `mlruns/`. Raises
    InputError if the store cannot be reached or written, or the experiment has been deleted.
    """
    uri, named, database = addressed(config)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.pop("MLFLOW_RUN_ID", None)  # left by a parent process, it would hijack this run (mlflow issue 15713)
    _connect(uri)
    # Two first runs at once would both create the database's tables, and one of them would fail.
    with nullcontext() if database is None else FileLock(database.with_suffix(".lock")):
        experiment = _experiment(config.experiment, uri, named, database)
        if database is not None and config.artifacts is not None:
            moved_store.readdress(database, config.artifacts)
            experiment = _experiment(config.experiment, uri, named, database)
    if experiment.lifecycle_stage == "deleted":
        raise InputError(
            f"tracking.experiment={config.experiment} was deleted in {shown(uri)}: "
            f"name another, or restore it: {mlflow_here('experiments', 'restore', '-x', experiment.experiment_id)}"
        )
    if database is not None:
        moved_store.check(database, experiment.experiment_id, experiment.artifact_location, named)
    if TAG not in experiment.tags:  # a user may have made it over
        with suppress(mlflow.exceptions.MlflowException):  # a server may let one log runs and no more
            for key, value in view_tags(experiment.experiment_id).items():
                if key not in experiment.tags:
                    mlflow.MlflowClient().set_experiment_tag(experiment.experiment_id, key, value)
    return Store(uri, experiment.experiment_id)


def addressed(config: TrackingConfig, *, make: bool = True) -> tuple[str, str, Path | None]:
    """Address of the store that is asked for, how a message names it, and its file, if it is one.

    Raises InputError where there can be no store, or it does not answer. Without `make` no folder is made for a file.
    """
    key, uri = ("tracking.uri", config.uri) if config.uri else (STORE, os.environ.get(STORE, ""))
    if key == STORE and uri:
        _say(uri)
    key, uri = (key, uri) if uri else ("tracking.uri", _embedded_uri())
    named, database = f"{key}={shown(uri)}", None
    if config.artifacts is not None and not uri.startswith("sqlite:"):
        raise InputError(f"tracking.artifacts={config.artifacts} is for a SQLite store, and {named} is none")
    if uri.startswith(("http://", "https://")):
        store_checks.check_server(uri, named)
    elif uri.startswith("sqlite:"):
        database = store_checks.database_of(uri, named, make=make)
    elif uri.startswith(DATABASE_SERVERS):
        store_checks.check_database_server(uri, named)
    elif uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        folder = uri.removeprefix("file:").removeprefix("//")
        raise InputError(f"{named} is a plain folder, which MLflow no longer takes: use sqlite:///{folder}/mlflow.db")
    return (uri if database is None else f"sqlite:///{database}"), named, database


def current() -> str:
    """The store that has been opened last, as it may be printed."""
    return shown(mlflow.get_tracking_uri())


def command_here(name: str, *arguments: str) -> str:
    """How this Python runs an entry on the store that has been opened last, ready to paste in this folder."""
    uri, variable = mlflow.get_tracking_uri(), os.environ.get(STORE)
    named = any(argument.startswith("tracking.uri=") for argument in arguments)
    if named or _is_kept(uri) or (uri == _embedded_uri() and not variable):
        return command(name, *arguments)
    return command(name, f"tracking.uri={_from_here(uri)}", *arguments)  # first: Hydra takes no override behind -m


def mlflow_here(*arguments: str) -> str:
    """How MLflow's own command is run on the store that has been opened last, ready to paste in this folder."""
    uri, line = mlflow.get_tracking_uri(), program("mlflow", *arguments)
    return line if _is_kept(uri) else f"{STORE}={shlex.quote(_from_here(uri))} {line}"


def _is_kept(uri: str) -> bool:
    """Whether an address stays in the variable that it is from, since it holds a password."""
    return uri == os.environ.get(STORE) and shown(uri) != uri


def _from_here(uri: str) -> str:
    """A store's address as it may be printed, a database below this folder by its path from here."""
    return shown(uri).replace(f"sqlite:///{Path.cwd()}/", "sqlite:///", 1)


def _experiment(name: str, uri: str, named: str, database: Path | None) -> Any:
    """The experiment of that name, created if need be; raises InputError where the store cannot be opened for it."""
    made_by = ""
    if database is not None:
        store_checks.check_content(database, named)
        made_by = store_checks.revision(database)
        artifacts = database.parent / "artifacts"
        if not made_by and artifacts.is_dir() and any(artifacts.iterdir()):
            said = f"{named} holds nothing: a store begins there that knows nothing of the files in {artifacts}"
            print(said, file=sys.stderr)
    try:
        found = _found_or_made(name, database)
    except Exception as error:  # SQLAlchemy's, requests' and MLflow's own
        reason = disk.refusal(error) or " ".join(str(error).split())[:200]
        raise InputError(f"{named} {store_checks.outdated(error, uri) or f'cannot be opened: {reason}'}") from error
    if database is not None and made_by and store_checks.revision(database) != made_by:
        print(f"{named} was an older MLflow's, and is upgraded now: that one no longer opens it", file=sys.stderr)
    return found


def _found_or_made(name: str, database: Path | None) -> Any:
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found
    location = None if database is None else (database.parent / "artifacts").absolute().as_uri()
    try:
        client.create_experiment(name, artifact_location=location, tags=TRAINING_VIEW)
    except mlflow.exceptions.MlflowException:  # on a server, another run may have just created it
        if client.get_experiment_by_name(name) is None:
            raise
    return client.get_experiment_by_name(name)


def _embedded_uri() -> str:
    return f"sqlite:///{Path('mlruns').absolute() / 'mlflow.db'}"


@lru_cache(maxsize=1)  # once a process, which opens its store more than once
def _say(uri: str) -> None:
    """Which store a variable has chosen, that nobody sees on the command line."""
    print(f"{STORE}: the store is {shown(uri)}", file=sys.stderr)


def _connect(uri: str) -> None:
    """Make a store MLflow's current one in this process, and leave the variables as the user has set them.

    MLflow would write its address over them, and then nothing could tell, here or in a process started from here,
    which one the user has asked for.
    """
    given = dict(os.environ)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    for name in (STORE, "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
        if name in given:
            os.environ[name] = given[name]
