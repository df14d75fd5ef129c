"""One training from its configuration to the registered model, in a run of its own."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from brain_tumor.auditing.volume_features import file_floor
from brain_tumor.command_line import as_typed
from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.data.dataset import Dataset, load, load_shared
from brain_tumor.errors import InputError
from brain_tumor.evaluation.figures import curves
from brain_tumor.evaluation.measuring import measure_all
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.prediction import observing
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.jobs.steps import IMAGES, MAPS, SCORES, UNCERTAINTY, expect_work, titles
from brain_tumor.jobs.teacher import load_teacher, require_stranger, with_teacher
from brain_tumor.jobs.training_checks import check_training
from brain_tumor.layout.blocks import Finding
from brain_tumor.models.backbones import input_shape
from brain_tumor.models.backend import start
from brain_tumor.paths import existing_path
from brain_tumor.progress import begin, course
from brain_tumor.tracking import cards, logged_uncertainty, registry, results, runs, setup, summary
from brain_tumor.tracking.explanations import log_explanations
from brain_tumor.tracking.store import Store, command_here, open_store
from brain_tumor.training import checkpoint
from brain_tumor.training.fit import TrainedRun
from brain_tumor.training.preparation import Prepared, prepare, train_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Opened:
    """A job whose mistakes have all been found: what it trains, and where that is tracked."""

    prepared: Prepared
    weights: Path | None
    store: Store
    composed: Composition
    name: str
    tags: dict[str, str]
    checkpoints: Path


def run(composed: Composition, *, parent: str | None = None, member: str | None = None, listed: str = "") -> float:
    """Train a run of its own, or the `member` of several below a `parent` run.

    Returns the best epoch's `monitor` on the val part. Raises InputError if `listed`, the digest of all images that its
    siblings have seen, is given and not that of the images as they are now.
    """
    with course(titles(composed.config)):
        return _run(composed, parent, member, listed)


def _run(composed: Composition, parent: str | None, member: str | None, listed: str) -> float:
    job = open_job(composed, load if parent is None else load_shared)
    if listed and job.prepared.dataset.split.listed != listed:
        raise InputError(
            f"the images, their folders or their patients have changed since the first of these runs (run {parent}): "
            "put them back as they were, or train anew"
        )
    if member is not None:
        job = replace(job, name=f"{member}: {job.name}", tags={**job.tags, "member": member})
    with started(job, parent) as (run_id, folder), ExitStack() as stack:
        if parent is None:  # several runs are gone on with by their parent
            stack.enter_context(resumable(run_id, folder, composed.overrides))
        search = composed.searchable and member is None
        return finish(job.prepared, job.store, job.tags, run_id, folder, search=search)


def finish(
    prepared: Prepared, store: Store, tags: dict[str, str], run_id: str, folder: Path, *, search: bool = False
) -> float:
    """Train the current run from what `folder` holds, register, then measure and draw; returns the best `monitor`.

    With `search` the command that searches for a better one is printed at the end.
    """

    config, member = prepared.config, tags.get("member")
    expect_work(prepared, checkpoint.read_history(folder))
    on_epoch = results.epoch_reporter(config, prepared.dataset.split)
    trained = train_model(prepared, folder, on_epoch=on_epoch, logged=runs.logged_epochs(run_id))
    begin(UNCERTAINTY)
    score = float(trained.history[trained.best_step - 1][config.monitor])
    results.log_cost(trained.history)
    runs.tag(monitor=config.monitor, score=repr(score))  # of the kept epoch, before it is calibrated
    uncertainty = logged_uncertainty.fit_and_log(trained.model, prepared.dataset, config)
    # Registered before any figure is drawn: what goes wrong from here on loses no weights.
    model_tags = {**tags, "monitor": config.monitor, "score": repr(score)}
    uri, version = registry.log_model(
        trained.model,
        prepared.dataset.split.classes,
        uncertainty,
        register=config.tracking.register,
        tags=model_tags,
        fitting=config.data.fitting,
    )
    model, crowned = uri, []
    if config.tracking.register and version:
        crowned = [registry.crown(config.tracking.register, version)]
        model = f"{uri}, {crowned[0].verdict}"
    # The test part is opened once, by a single run that has finished; nothing is decided by it.
    measured, found = measure(prepared, trained, ("val", "test") if config.test else ("val",), uncertainty)
    checkpoint.discard(folder)
    card = cards.publish_card(run_id)
    said = summary.summarize_run(
        store,
        run_id,
        measured,
        prepared.dataset.split,
        [*found, card],
        facts=[("model", model), *summary.taught_by(config.distill)],
        details=crowned,
        commands=_next(config, uri, search=search),
    )
    summary.publish(run_id, said, printed=member is None)
    if member is not None:
        print(f"{member}: {summary.in_a_line(*measured[-1])}")
    return score


def measure(
    prepared: Prepared, trained: TrainedRun, parts: tuple[str, ...], uncertainty: Uncertainty | None
) -> tuple[list[tuple[Evaluation, pd.DataFrame]], list[Finding]]:
    """Measure and draw the parts; returns each one's evaluation with its table, and what else was found.

    The uncertainty was fitted on val, so it is weighed on test alone.
    """

    config, dataset = prepared.config, prepared.dataset
    begin(SCORES)
    measured, observed = {}, observing(trained.model)
    worth: list[Finding] = []
    for part in parts:
        evaluation, outputs = measure_all(observed, dataset, part, config.protocol.name, uncertainty)
        table = results.log_evaluation(evaluation, part, resamples=config.bootstrap, history=trained.history)
        measured[part] = (evaluation, table)
        if part == "test":
            worth = [
                *summary.absent_classes(dataset.split),
                *summary.no_leak(dataset.split, patients=config.data.knows_patients),
                *logged_uncertainty.log_worth(uncertainty, evaluation, outputs, part),
            ]
    title = f"{config.model.name}, {dataset.split.name}, {config.protocol.name}"
    results.log_figure(curves(trained.history, best_step=trained.best_step, title=title), "curves")
    begin(MAPS)
    maps, values = log_explanations(
        trained.model,
        config.model.name,
        dataset,
        {part: evaluation for part, (evaluation, _) in measured.items()},
        config.explain,
        parts=parts,
        resamples=config.bootstrap,
    )
    for part, (evaluation, table) in measured.items():
        whole = results.log_lesions(
            evaluation, values[part], part, table, resamples=config.bootstrap, history=trained.history
        )
        measured[part] = (evaluation, whole)
    return list(measured.values()), [*maps, *worth, *logged_uncertainty.describe(uncertainty)]


def _next(config: TrainConfig, uri: str, *, search: bool) -> list[str]:
    """What to type next: measure the model in a fresh process, and search for a better one."""
    again = summary.with_store(config.tracking, "evaluate", f"model_uri={uri}", "robustness=true")
    return [again, command_here("train", *as_typed, "-m")] if search and config.test else [again]


def open_job(composed: Composition, read: Callable[..., Dataset]) -> Opened:
    """Find every mistake in what is asked for, read the images with `read`, and build the model."""
    weights = check_training(composed.config)

    store = open_store(composed.config.tracking)
    composed = with_teacher(composed)
    config = composed.config
    hardware = start(config.hardware)  # what is not there is known before the images are read
    begin(IMAGES)
    dataset = read(config.data, shape=input_shape(config), protocol=config.protocol)
    require_stranger(config, dataset)
    if dataset.volumes and (said := file_floor(dataset, seed=config.data.split_seed, workers=config.data.workers)):
        logger.warning("%s", said)
    prepared = prepare(config, dataset, weights, load_teacher(config, dataset))
    checkpoints = existing_path(config.tracking.checkpoints)
    checkpoint.check_writable(checkpoints)
    name, tags = setup.run_name(composed, dataset.split), setup.tags(composed, dataset.split)
    tags["hardware"] = hardware.removeprefix("hardware: ")
    return Opened(prepared, weights, store, composed, name, tags, checkpoints)


@contextmanager
def started(job: Opened, parent: str | None = None) -> Iterator[tuple[str, Path]]:
    """The job's run, its settings logged; yields its id and its checkpoint folder, held for this process."""
    system_metrics = job.prepared.config.tracking.system_metrics
    with runs.started(job.store, name=job.name, tags=job.tags, parent=parent, system_metrics=system_metrics) as run_id:
        setup.log(job.composed, job.prepared.dataset.split)
        with checkpoint.claimed(job.checkpoints / run_id) as folder:
            yield run_id, folder


@contextmanager
def resumable(run_id: str, folder: Path, overrides: list[str]) -> Iterator[None]:
    """Say how to go on, in its description and, whatever stops the run, on stderr."""
    again = resume_command(run_id, overrides)
    summary.describe_unfinished(run_id, again)
    try:
        yield
    except BaseException:
        if folder.is_dir():
            print(f"stopped; to go on from the last finished epoch: {again}", file=sys.stderr)
        raise


def resume_command(run_id: str, overrides: list[str]) -> str:
    """What to type to go on with a run that was started with `overrides`."""
    kept = [text for text in overrides if text.startswith("tracking.checkpoints=")]
    return command_here("train", f"resume={run_id}", *kept)
