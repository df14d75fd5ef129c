"""Opens the MLflow store before any work starts, so that an unreachable one is known then and not after."""

import os
import urllib.error
import urllib.request
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from brain_tumor import disk
from brain_tumor.command_line import mlflow_command
from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import existing_path
from brain_tumor.sweep.storage import shown
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
        here = f"sqlite:///{Path.cwd()}/"
        return [mlflow_command("ui", "--backend-store-uri", shown(self.uri).replace(here, "sqlite:///", 1))]

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

    Raises InputError if the store cannot be reached or written, or the experiment has been deleted.
    """
    uri = config.uri or _embedded_uri()
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
    elif uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        folder = uri.removeprefix("file:").removeprefix("//")
        raise InputError(
            f"tracking.uri={uri} is a plain folder, which MLflow no longer takes: use sqlite:///{folder}/mlflow.db"
        )
    database = _database(uri) if uri.startswith("sqlite:") else None
    if database is not None:
        uri = f"sqlite:///{database}"

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.pop("MLFLOW_RUN_ID", None)  # left by a parent process, it would hijack this run (mlflow issue 15713)

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    # Two first runs at once would both create the database's tables, and one of them would fail.
    with nullcontext() if database is None else FileLock(database.with_suffix(".lock")):
        try:
            experiment = _experiment(config.experiment, database)
        except Exception as error:  # SQLAlchemy's, requests' and MLflow's own
            reason = disk.refusal(error) or " ".join(str(error).split())[:200]
            raise InputError(f"tracking.uri={uri} cannot be opened: {reason}") from error
    if experiment.lifecycle_stage == "deleted":
        raise InputError(
            f"tracking.experiment={config.experiment} was deleted in {uri}: "
            f"restore it (mlflow experiments restore -x {experiment.experiment_id}) or name another"
        )
    if TAG not in experiment.tags:  # a user may have made it over
        with suppress(mlflow.exceptions.MlflowException):  # a server may let one log runs and no more
            for key, value in view_tags(experiment.experiment_id).items():
                if key not in experiment.tags:
                    mlflow.MlflowClient().set_experiment_tag(experiment.experiment_id, key, value)
    return Store(uri, experiment.experiment_id)


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


def _database(uri: str) -> Path:
    """The file of a SQLite URI, in a folder that exists and can be written; InputError if that cannot be."""
    text = uri.removeprefix("sqlite:///")
    if text in ("", uri) or text.endswith("/"):
        raise InputError(f"tracking.uri={uri} names no file: give sqlite:///DIR/mlflow.db")
    odd = sorted(set(text) & set("?#%"))
    if odd:  # SQLAlchemy and MLflow read them differently, so that the parts of the store would end up apart
        raise InputError(f"tracking.uri={uri}: a SQLite store cannot lie in a path with {' '.join(odd)}; take another")
    database = existing_path(text).absolute()
    if database.is_dir():
        raise InputError(f"tracking.uri={uri} is a folder: give sqlite:///{text}/mlflow.db")
    _check_folder(database.parent)
    return database


def _embedded_uri() -> str:
    return f"sqlite:///{Path('mlruns').absolute() / 'mlflow.db'}"


def _check_server(uri: str) -> None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):  # MLflow brings the credentials, and a proxy may hide /health
            return
        reason: object = f"it answers {error.code}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
    raise InputError(
        f"tracking.uri={uri} cannot be reached ({reason}): start that server, or leave the key out to track in mlruns/"
    )


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"tracking.uri: the folder {folder} cannot be made ({error.strerror}): give tracking.uri"
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(
            f"tracking.uri: the folder {folder} cannot be written to; give tracking.uri=sqlite:///DIR/mlflow.db"
        )
