"""One trial of a sweep: trained like a run of its own, told of every epoch, pruned, and never shown the test part."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from brain_tumor.config.composition import Composition, composition
from brain_tumor.data.dataset import load_shared
from brain_tumor.evaluation.cost import cost_metrics
from brain_tumor.jobs.single_run import Opened, measure, open_job, started
from brain_tumor.models.forgetting import forget_models
from brain_tumor.models.hardware import smaller_pieces
from brain_tumor.sweep.budget import EPOCHS
from brain_tumor.sweep.job_side import JobTrial, conclude, current, failure
from brain_tumor.sweep.signals import Pruned
from brain_tumor.tracking import registry, results, runs, summary
from brain_tumor.tracking.warm_artifacts import fetcher, publisher
from brain_tumor.training import checkpoint
from brain_tumor.training.preparation import train_model
from brain_tumor.training.warm_start import shared_phases, warm_start


def run(raw: DictConfig) -> float | list[float]:
    """Train the trial that this process's environment names; returns its values, NaN where it was pruned or failed."""
    cwd = Path(HydraConfig.get().runtime.cwd)
    trial = current(raw.sweep.storage, cwd)
    if cwd.is_dir():  # some launchers start their jobs elsewhere; mlruns/ and relative paths are meant from here
        os.chdir(cwd)
    try:
        return conclude(trial, lambda: train_trial(composition(raw), trial))
    finally:
        forget_models()


def train_trial(composed: Composition, trial: JobTrial) -> list[float]:
    """Train one trial of a sweep; returns its objective's values. The test part stays closed.

    Raises Pruned after the tracked run has ended, which is no failure of it.
    """

    config = replace(composed.config, test=False)
    if trial.may_shrink and (size := smaller_pieces(config.schedule, config.hardware)):
        trial.note(smaller={"hardware.micro_batch": str(size)})
    composed = replace(composed, config=config)
    job = open_job(composed, load_shared)
    tags = trial.tags
    name = ", ".join([f"trial {tags['trial']}", *([tags["confirmation"]] if "confirmation" in tags else [])])
    job = replace(job, name=f"{name}: {job.name}", tags={**job.tags, **tags})
    with started(job, parent=trial.parent_run) as (run_id, folder):
        trial.note(run_id=run_id)
        try:
            return _train_trial(job, trial, run_id, folder)
        except Pruned as found:
            runs.tag(pruned=str(found))
            pruned = found
        except Exception as error:
            summary.describe_failed(run_id, failure(error))
            raise
    raise pruned


def _train_trial(job: Opened, trial: JobTrial, run_id: str, folder: Path) -> list[float]:

    prepared, config = job.prepared, job.prepared.config
    before = trial.predecessor()
    if before is not None and before.get("run_id"):
        checkpoint.adopt(job.checkpoints / str(before["run_id"]), folder)
    shared = shared_phases(config.schedule, trial.swept)
    if trial.warm_start:
        _warm_start(job, trial, folder, shared)
    tell = results.epoch_reporter(config, prepared.dataset.split, prefix=trial.title)
    seconds, alike, reused = 0.0, 0, 0
    planned = sum(phase.epochs for phase in config.schedule.values())

    def on_epoch(row: dict[str, Any]) -> None:
        nonlocal seconds, alike, reused
        seconds += 0 if row.get("reused") else row["seconds"]
        reused += bool(row.get("reused"))
        tell(row)
        trial.note(seconds=seconds, **{EPOCHS: (row["step"], planned, reused)})
        if row["phase"] in shared:
            alike += 1  # an epoch that all trials share tells none from another
        else:
            trial.report(row["step"] - alike, row, last=row["step"] == planned)

    try:
        trained = train_model(prepared, folder, on_epoch=on_epoch)
    except Pruned:
        checkpoint.discard(folder)
        raise
    results.log_cost(trained.history)
    best = trained.history[trained.best_step - 1]
    costs = cost_metrics(trained.model, prepared.dataset, trial.metrics)
    runs.metrics(costs)
    values = [float({**best, **costs}[name]) for name in trial.metrics]
    if trial.leads(values):  # the last of these is the study's best; the others' pictures would not be looked at
        classes, fitting = prepared.dataset.split.classes, config.data.fitting
        registry.log_model(trained.model, classes, register=None, tags={}, fitting=fitting)
        runs.tag(monitor=config.monitor, score=repr(float(best[config.monitor])))
        measure(prepared, trained, ("val",), None)
    checkpoint.discard(folder)
    return values


def _warm_start(job: Opened, trial: JobTrial, folder: Path, phases: list[str]) -> None:
    """Begin with the leading phases that the study's trials share."""

    warm_start(
        job.prepared,
        folder,
        store=job.checkpoints / "warm_start",
        phases=phases,
        weights=job.weights,
        fetch=fetcher(trial.parent_run) if trial.parent_run else None,
        publish=publisher(trial.parent_run) if trial.parent_run else None,
    )
