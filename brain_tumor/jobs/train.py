"""One training job from its configuration to the registered model: a run of its own, or one trial of a sweep."""

import gc
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain_tumor import entry
from brain_tumor.config.train import TrainConfig
from brain_tumor.data.dataset import load
from brain_tumor.errors import InputError
from brain_tumor.imports import uncollected
from brain_tumor.jobs.preflight import image_size, preflight
from brain_tumor.models.backend import start
from brain_tumor.paths import existing_path
from brain_tumor.sweep.signals import Pruned

if TYPE_CHECKING:
    from brain_tumor.sweep.trial import JobTrial
    from brain_tumor.training.preparation import Prepared


@dataclass(frozen=True)
class Request:
    """What is to be trained, and how that was composed."""

    config: TrainConfig
    composed: dict[str, Any]  # the configuration as plain values
    overrides: list[str]  # as typed
    choices: Mapping[str, str]  # group -> the file chosen in it


@dataclass(frozen=True, eq=False)
class Opened:
    """A job whose mistakes have all been found: what it trains, and where that is tracked."""

    prepared: "Prepared"
    weights: Path | None
    store: Any  # tracking.store.Store
    plan: Any  # tracking.setup.Plan
    name: str
    tags: dict[str, str]
    checkpoints: Path


def run(request: Request, *, parent: str | None = None, member: str | None = None, listed: str = "") -> float:
    """Train a run of its own, or the `member` of several below a `parent` run.

    Returns the best epoch's `monitor` on the val part. Raises InputError if `listed`, the digest of all images that its
    siblings have seen, is given and not that of the images as they are now.
    """
    job = _open(request, load if parent is None else loaded)
    if listed and job.prepared.dataset.split.listed != listed:
        raise InputError(
            f"the images, their folders or their patients have changed since the first of these runs (run {parent}): "
            "put them back as they were, or train anew"
        )
    if member is not None:
        job = replace(job, name=f"{member}: {job.name}", tags={**job.tags, "member": member})
    with _started(job, parent) as (run_id, folder), ExitStack() as stack:
        if parent is None:  # several runs are gone on with by their parent
            stack.enter_context(resumable(run_id, folder, request.overrides))
        return finish(job.prepared, job.store, job.tags, run_id, folder)


def run_trial(request: Request, trial: "JobTrial") -> list[float]:
    """Train one trial of a sweep; returns its objective's values. The test part stays closed.

    Raises Pruned after the tracked run has ended, which is no failure of it.
    """
    from brain_tumor.tracking import runs

    # Model after model in one process: TensorFlow would advise against tracing each one's functions.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    request = replace(request, config=replace(request.config, test=False))
    job = _open(request, loaded)
    tags = {**job.tags, "study": trial.study.study_name, "trial": str(trial.number)}
    job = replace(job, name=f"trial {trial.number}: {job.name}", tags=tags)
    with _started(job, parent=trial.parent_run) as (run_id, folder):
        trial.note(run_id=run_id)
        try:
            return _train_trial(job, trial, run_id, folder)
        except Pruned as found:
            runs.tag(pruned=str(found))
            pruned = found
    raise pruned


def forget() -> None:
    """Free what a finished trial's model holds in this process, before the next one builds its own."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def finish(prepared: "Prepared", store: Any, tags: dict[str, str], run_id: str, folder: Path) -> float:
    """Train the current run from what `folder` holds, register, then measure and draw; returns the best `monitor`."""
    from brain_tumor.evaluation.prediction import observing
    from brain_tumor.evaluation.uncertainty.fitting import fit_uncertainty
    from brain_tumor.tracking import cards, logged_uncertainty, registry, results, runs
    from brain_tumor.training import checkpoint
    from brain_tumor.training.preparation import train_model

    config = prepared.config
    on_epoch = results.epoch_reporter(config, prepared.dataset.split)
    trained = train_model(prepared, folder, on_epoch=on_epoch, logged=runs.logged_epochs(run_id))
    score = float(trained.history[trained.best_step - 1][config.monitor])
    results.log_cost(trained.history)
    runs.tag(monitor=config.monitor, score=repr(score))  # of the kept epoch, before it is calibrated
    uncertainty = fit_uncertainty(
        observing(trained.model),
        prepared.dataset,
        calibrate=config.calibrate,
        levels=config.coverage,
        accuracy=config.selective_accuracy,
    )
    logged_uncertainty.log_uncertainty(uncertainty)
    # Registered before any figure is drawn: what goes wrong from here on loses no weights.
    model_tags = {**tags, "monitor": config.monitor, "score": repr(score)}
    uri, version = registry.log_model(trained.model, uncertainty, register=config.tracking.register, tags=model_tags)
    lines = [f"model     {uri}"]
    if config.tracking.register and version:
        lines.append(registry.crown(config.tracking.register, version))
    # The test part is opened once, by a single run that has finished; nothing is decided by it.
    measured, more = _measure(prepared, trained, ("val", "test") if config.test else ("val",), uncertainty)
    checkpoint.discard(folder)
    card = cards.card_line(run_id)
    print(results.run_summary(measured, prepared.dataset.split, store, run_id, [*lines, *more, card]))
    return score


def _train_trial(job: Opened, trial: "JobTrial", run_id: str, folder: Path) -> list[float]:
    from brain_tumor.evaluation.cost import cost_metrics
    from brain_tumor.tracking import registry, results, runs
    from brain_tumor.training import checkpoint
    from brain_tumor.training.preparation import train_model
    from brain_tumor.training.warm_start import shared_phases

    prepared, config = job.prepared, job.prepared.config
    before = trial.predecessor()
    if before is not None and before.get("run_id"):
        runs.end(str(before["run_id"]), "its process died: the trial was tried again")
        checkpoint.adopt(job.checkpoints / str(before["run_id"]), folder)
    shared = shared_phases(config.schedule, trial.swept)
    if trial.warm_start:
        _warm_start(job, trial, folder, shared)
    tell = results.epoch_reporter(config, prepared.dataset.split, prefix=trial.title)
    seconds, alike = 0.0, 0
    planned = sum(phase.epochs for phase in config.schedule.values())

    def on_epoch(row: dict[str, Any]) -> None:
        nonlocal seconds, alike
        seconds += 0 if row.get("reused") else row["seconds"]
        tell(row)
        trial.note(seconds=seconds)
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
        registry.log_model(trained.model, register=None, tags={})
        runs.tag(monitor=config.monitor, score=repr(float(best[config.monitor])))
        _measure(prepared, trained, ("val",), None)
    checkpoint.discard(folder)
    return values


def _warm_start(job: Opened, trial: "JobTrial", folder: Path, phases: list[str]) -> None:
    """Begin with the leading phases that the study's trials share."""
    from brain_tumor.tracking.warm_artifacts import fetcher, publisher
    from brain_tumor.training.warm_start import warm_start

    warm_start(
        job.prepared,
        folder,
        store=job.checkpoints / "warm_start",
        phases=phases,
        weights=job.weights,
        fetch=fetcher(trial.parent_run) if trial.parent_run else None,
        publish=publisher(trial.parent_run) if trial.parent_run else None,
    )


def _measure(
    prepared: "Prepared", trained: Any, parts: tuple[str, ...], uncertainty: Any
) -> tuple[list[Any], list[str]]:
    """Measure and draw the parts; returns each one's evaluation with its table, and in lines what else was found.

    The uncertainty was fitted on val, so it is weighed on test alone.
    """
    from brain_tumor.evaluation.figures import curves
    from brain_tumor.evaluation.prediction import observing
    from brain_tumor.evaluation.scoring import measure_all
    from brain_tumor.tracking import logged_uncertainty, results
    from brain_tumor.tracking.explanations import log_explanations

    config, dataset = prepared.config, prepared.dataset
    measured, lines, observed = {}, logged_uncertainty.describe(uncertainty), observing(trained.model)
    for part in parts:
        evaluation, outputs = measure_all(observed, dataset, part, config.protocol.name, uncertainty)
        table = results.log_evaluation(evaluation, part, resamples=config.bootstrap, history=trained.history)
        measured[part] = (evaluation, table)
        if part == "test":
            lines += logged_uncertainty.log_worth(uncertainty, evaluation, outputs, part)
    title = f"{config.model.name}, {dataset.split.name}, {config.protocol.name}"
    results.log_figure(curves(trained.history, best_step=trained.best_step, title=title), "curves")
    lines += log_explanations(
        trained.model,
        config.model.name,
        dataset,
        {part: evaluation for part, (evaluation, _) in measured.items()},
        config.explain,
        parts=parts,
        resamples=config.bootstrap,
    )
    return list(measured.values()), lines


def _open(request: Request, read: Any) -> Opened:
    config = request.config
    weights = preflight(config)

    with uncollected():
        from brain_tumor.tracking.store import open_store

        store = open_store(config.tracking)
        hardware = start(config.hardware)  # what is not there is known before the images are read

        from brain_tumor.tracking import setup
        from brain_tumor.training import checkpoint
        from brain_tumor.training.preparation import prepare

    dataset = read(config.data, image_size=image_size(config), protocol=config.protocol)
    prepared = prepare(config, dataset, weights)
    checkpoints = existing_path(config.tracking.checkpoints)
    checkpoint.check_writable(checkpoints)
    plan = setup.Plan(config, request.composed, request.overrides, request.choices)
    name, tags = setup.run_name(plan, dataset.split), setup.tags(plan, dataset.split)
    tags["hardware"] = hardware.removeprefix("hardware: ")
    return Opened(prepared, weights, store, plan, name, tags, checkpoints)


@contextmanager
def _started(job: Opened, parent: str | None = None) -> Iterator[tuple[str, Path]]:
    """The job's run, its settings logged; yields its id and its checkpoint folder, held for this process."""
    from brain_tumor.tracking import runs, setup
    from brain_tumor.training import checkpoint

    system_metrics = job.prepared.config.tracking.system_metrics
    with runs.started(job.store, name=job.name, tags=job.tags, parent=parent, system_metrics=system_metrics) as run_id:
        setup.log(job.plan, job.prepared.dataset.split)
        with checkpoint.claimed(job.checkpoints / run_id) as folder:
            yield run_id, folder


@contextmanager
def resumable(run_id: str, folder: Path, overrides: list[str]) -> Iterator[None]:
    """Say how to go on, whatever stops the run."""
    try:
        yield
    except BaseException:
        if folder.is_dir():
            kept = [text for text in overrides if text.startswith(("tracking.uri=", "tracking.checkpoints="))]
            command = entry.command("train", f"resume={run_id}", *kept)
            print(f"stopped; to go on from the last finished epoch: {command}", file=sys.stderr)
        raise


loaded = lru_cache(maxsize=1)(load)  # a sweep's trials mostly share their data
