"""One MLflow run: what goes into it, and how it ends."""

import importlib.metadata
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from brain_tumor import disk
from brain_tumor.data.split import Split, read_csv
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.tracking import trash
from brain_tumor.tracking.moved_store import local
from brain_tumor.tracking.store import Store, current

if TYPE_CHECKING:
    from mlflow.entities import Run

mlflow = lazy("mlflow")

EPOCH_METRICS = ("train/loss", "train/accuracy", "train/lesion_loss", "learning_rate", "images_per_second")


@contextmanager
def started(
    store: Store,
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    system_metrics: bool = True,
) -> Iterator[str]:
    """A new run, or with `run_id` the same one again; yields its id.

    Ends as FINISHED, as KILLED after Ctrl-C, SIGTERM or a closed output, as FAILED after anything else; what was raised
    goes on, also where no end can be written.
    """
    run = mlflow.start_run(
        run_id=run_id,
        experiment_id=None if run_id else store.experiment_id,
        run_name=name,
        tags=dict(tags or {}),
        parent_run_id=parent,
        log_system_metrics=system_metrics,
        nested=mlflow.active_run() is not None,
    )
    try:
        yield run.info.run_id
    except BaseException as error:
        with suppress(mlflow.exceptions.MlflowException):  # where nothing can be written, what was raised says so
            mlflow.end_run("KILLED" if isinstance(error, KeyboardInterrupt | BrokenPipeError) else "FAILED")
        raise
    mlflow.end_run("FINISHED")


def log_epoch(row: Mapping[str, Any], phases: list[str]) -> None:
    """One epoch's metrics at its continuous step; `phase` is the 1-based place of its phase in the schedule."""
    val = {name: row[name] for name in row if name.startswith("val/")}
    # MLflow's pages of a run and of several list metrics as they first came, and open on the first.
    val = {name: val[name] for name in sorted(val, key=lambda name: name != "val/macro_f1")}
    metrics = val | {name: value for name, value in row.items() if name in EPOCH_METRICS}
    mlflow.log_metrics({**metrics, "phase": phases.index(row["phase"]) + 1}, step=row["step"])


def end(run_id: str, lost: str) -> None:
    """End the run of a process that is gone, with the reason as a tag; one that has ended, or is gone too, stays so."""
    client = mlflow.MlflowClient()
    with suppress(mlflow.exceptions.MlflowException):
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_tag(run_id, "lost", lost)
            client.set_terminated(run_id, "KILLED")


def tag(**tags: str) -> None:
    """Tag the current run."""
    mlflow.set_tags(tags)


def metrics(values: Mapping[str, float]) -> None:
    """Log metrics of the current run that have no step."""
    mlflow.log_metrics(dict(values))


def logged_epochs(run_id: str) -> int:
    """How many epochs' metrics a run holds already."""
    return len(mlflow.MlflowClient().get_metric_history(run_id, "train/loss"))


def log_split(split: Split, context: str) -> None:
    """The split table as an artifact, and the data set as the run's input (`context`: training or evaluation)."""
    with tempfile.TemporaryDirectory() as folder:
        split.to_csv(Path(folder) / "split.csv")
        mlflow.log_artifacts(folder, "data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds two equal ways to read a local folder
        dataset = mlflow.data.from_pandas(
            split.table[["path", "label", "part", "group", "sha256"]],
            source=str(split.root),
            targets="label",
            name=split.name,
            digest=split.digest[:12],
        )
    try:
        mlflow.log_input(dataset, context=context)
    except mlflow.exceptions.MlflowException:  # another run has just made the data set's row, and it can be had now
        mlflow.log_input(dataset, context=context)


def interrupted(run_id: str) -> "Run":
    """A training run, or the parent of several, that can be resumed.

    Raises InputError if there is none of that id, or it has finished.
    """
    try:
        run = mlflow.get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        raise InputError(f"resume={run_id}: {current()} has no run of that id") from error
    if run.data.tags.get("job") not in ("train", "several"):
        raise InputError(f"resume={run_id} is no training run of brain_tumor")
    if run.info.status == "FINISHED":
        raise InputError(f"resume={run_id} has finished: there is nothing to resume")
    if trash.is_trashed(run):
        raise InputError(f"resume={run_id} was deleted; restore it first: {trash.restore(run)}")
    return run


def own_tags(run: "Run") -> dict[str, str]:
    """A run's tags without MLflow's."""
    return {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}


def own_tags_of(run_id: str) -> dict[str, str]:
    """The tags of a run of this id without MLflow's."""
    return own_tags(mlflow.get_run(run_id))


def load_split(run_id: str) -> Split:
    """The split table that a run logged."""
    with tempfile.TemporaryDirectory() as folder:
        return read_csv(Path(download(run_id, "data", folder)) / "split.csv")


def load_config(run_id: str) -> dict[str, Any]:
    """The composed configuration that a run logged, as plain values."""
    with tempfile.TemporaryDirectory() as folder:
        text = (Path(download(run_id, "config", folder)) / "config.yaml").read_text(encoding="utf-8")
    # Plain YAML: OmegaConf would resolve a ${…} in a path, or in a configuration that somebody else has logged.
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def log_config(composed: dict[str, Any], overrides: Sequence[str]) -> None:
    """What `load_config` reads back, and the command line's overrides, one a line."""
    _log_values(composed)
    mlflow.log_text("".join(f"{override}\n" for override in overrides), "config/overrides.txt")


def log_name(register: str | None) -> None:
    """Change the name, under which the model is registered, in the configuration that the current run has logged."""
    values = load_config(mlflow.active_run().info.run_id)
    values["tracking"]["register"] = register
    _log_values(values)


def _log_values(composed: dict[str, Any]) -> None:
    mlflow.log_text(yaml.safe_dump(composed, sort_keys=False, allow_unicode=True), "config/config.yaml")


def download(run_id: str, path: str, folder: str) -> str:
    try:
        return str(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder))
    except Exception as error:  # each artifact store raises its own
        place = artifact_place(run_id, path)
        why = disk.refusal(error) or f"it is looked for in {place}: deleted, or moved (tracking.artifacts=DIR)?"
        raise InputError(f"run {run_id} has no artifact {path} that can be read: {why}") from error


def artifact_place(run_id: str, path: str) -> str:
    """Where an artifact of a run is: a path, or an address where the artifacts are on a server."""
    address = f"{mlflow.get_run(run_id).info.artifact_uri}/{path}"
    return str(local(address) or address)


def log_table(table: pd.DataFrame, path: str) -> None:
    """A table as a CSV artifact."""
    mlflow.log_text(table.to_csv(index=False, lineterminator="\n"), path)


def log_environment() -> None:
    """Installed packages, one `name==version` a line."""
    names = {(dist.metadata["Name"], dist.version) for dist in importlib.metadata.distributions()}
    mlflow.log_text(
        "\n".join(f"{name}=={version}" for name, version in sorted(names)) + "\n",
        "environment/requirements.txt",
    )


def git_tags() -> dict[str, str]:
    """Commit and dirty flag of the package's checkout; empty outside one."""
    place = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=place, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not the repository around an installed wheel
        return {
            "git_commit": git("rev-parse", "HEAD"),
            "git_dirty": str(bool(git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.SubprocessError):
        return {}
