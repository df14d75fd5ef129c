"""Opens the MLflow store before any work starts, so that an unreachable one is known then and not after."""

import os
import re
import shlex
import sys
import urllib.error
import urllib.request
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from brain_tumor.command_line import STORE, command, program, shown
from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import existing_path
from brain_tumor.tracking import moved_store
from brain_tumor.tracking.view import TAG, view_tags, with_view

mlflow = lazy("mlflow")

# Opens the experiment in the UI for model training rather than the one for language models.
TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
TIMEOUT = 10  # seconds that a server has to answer its health check


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
    key, uri = ("tracking.uri", config.uri) if config.uri else (STORE, os.environ.get(STORE, ""))
    if key == STORE and uri:
        _say(uri)
    key, uri = (key, uri) if uri else ("tracking.uri", _embedded_uri())
    named = f"{key}={shown(uri)}"
    if uri.startswith(("http://", "https://")):
        _check_server(uri, named)
    elif uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        folder = uri.removeprefix("file:").removeprefix("//")
        raise InputError(f"{named} is a plain folder, which MLflow no longer takes: use sqlite:///{folder}/mlflow.db")
    database = _database(uri, named) if uri.startswith("sqlite:") else None
    if database is not None:
        uri = f"sqlite:///{database}"
    elif config.artifacts is not None:
        raise InputError(f"tracking.artifacts={config.artifacts} is for a SQLite store, and {named} is none")

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.pop("MLFLOW_RUN_ID", None)  # left by a parent process, it would hijack this run (mlflow issue 15713)

    _connect(uri)
    # Two first runs at once would both create the database's tables, and one of them would fail.
    with nullcontext() if database is None else FileLock(database.with_suffix(".lock")):
        try:
            experiment = _experiment(config.experiment, database)
        except Exception as error:  # SQLAlchemy's, requests' and MLflow's own
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{named} cannot be opened: {reason}") from error
        if database is not None and config.artifacts is not None:
            moved_store.readdress(database, config.artifacts)
            experiment = _experiment(config.experiment, database)
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


def _experiment(name: str, database: Path | None) -> Any:
    """The experiment of that name, created if need be."""
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


def _database(uri: str, named: str) -> Path:
    """The file of a SQLite URI, in a folder that exists and can be written; InputError if that cannot be."""
    text = uri.removeprefix("sqlite:///")
    if text in ("", uri) or text.endswith("/"):
        raise InputError(f"{named} names no file: give sqlite:///DIR/mlflow.db")
    odd = sorted(set(text) & set("?#%"))
    if odd:  # SQLAlchemy and MLflow read them differently, so that the parts of the store would end up apart
        raise InputError(f"{named}: a SQLite store cannot lie in a path with {' '.join(odd)}; take another")
    database = existing_path(text).absolute()
    if database.is_dir():
        raise InputError(f"{named} is a folder: give sqlite:///{text}/mlflow.db")
    _check_folder(database.parent, named)
    return database


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


def _check_server(uri: str, named: str) -> None:
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
    raise InputError(f"{named} cannot be reached ({reason}): start that server, or leave it out to track in mlruns/")


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
