"""Runs and experiments that lie in MLflow's trash: they can be read, and neither written to nor had as a parent."""

import sys

import mlflow
from mlflow.entities import Run

from brain_tumor.tracking.store import mlflow_here


def is_trashed(run: Run) -> bool:
    return bool(run.info.lifecycle_stage == "deleted")


def restore(run: Run) -> str:
    """What to type to have a run back, with its whole experiment if that was deleted."""
    experiment = mlflow.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        return mlflow_here("experiments", "restore", "-x", experiment.experiment_id)
    return mlflow_here("runs", "restore", "--run-id", run.info.run_id)


def as_parent(run_id: str) -> str | None:
    """The run, if another can be its child; None, which is said, where it lies in the trash."""
    run = mlflow.get_run(run_id)
    if not is_trashed(run):
        return run_id
    print(
        f"the run that trained the model, {run_id}, lies in MLflow's trash: this evaluation will stand by itself, and "
        f"not below it; to restore it first: {restore(run)}",
        file=sys.stderr,
    )
    return None
