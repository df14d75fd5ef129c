"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices)."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config import TrainConfig, plain, typed
from brain_tumor.errors import InputError
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.paths import existing_path

KEYS_BESIDE_RESUME = ("resume", "data.root", "data.cache", "tracking.uri", "tracking.checkpoints")


def train(raw: DictConfig) -> float:
    """Compose, train, track, register, explain, measure; returns the best epoch's `monitor` on the val part."""
    from brain_tumor.training.preflight import image_size, preflight

    config = typed(TrainConfig, raw)
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    multirun = hydra.mode == RunMode.MULTIRUN
    if config.resume:
        _check_resume(overrides, multirun)
        return _resume(config, overrides)
    weights = preflight(config)

    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)
    start_tensorflow()

    from brain_tumor.data.load import load
    from brain_tumor.tracking import runs, setup
    from brain_tumor.training import checkpoint
    from brain_tumor.training.run import prepare

    config = replace(config, test=config.test and not multirun)
    dataset = load(config.data, image_size=image_size(config), protocol=config.protocol.name)
    prepared = prepare(config, dataset, weights)
    checkpoints = existing_path(config.tracking.checkpoints)
    checkpoint.check_writable(checkpoints)
    plan = setup.Plan(config, plain(raw), overrides, dict(hydra.runtime.choices))
    tags = setup.tags(plan, dataset.split)
    name = setup.run_name(plan, dataset.split)
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        setup.log(plan, dataset.split)
        with checkpoint.claimed(checkpoints / run_id) as folder, _resumable(run_id, folder, overrides):
            return _run(prepared, store, tags, run_id, folder)


def _resume(config: TrainConfig, overrides: list[str]) -> float:
    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)
    start_tensorflow()

    from brain_tumor.data.logged import load_logged
    from brain_tumor.tracking import runs
    from brain_tumor.training import checkpoint
    from brain_tumor.training.preflight import image_size, preflight
    from brain_tumor.training.run import prepare

    run = runs.interrupted(str(config.resume))
    store = replace(store, experiment_id=run.info.experiment_id)
    run_id = run.info.run_id
    logged = typed(TrainConfig, runs.load_config(run_id))
    given = any(text.lstrip("+").startswith("tracking.checkpoints=") for text in overrides)
    folder = existing_path((config if given else logged).tracking.checkpoints) / run_id
    if not folder.is_dir():
        raise InputError(
            f"resume={run_id}: its checkpoint is not in {folder.absolute()}; "
            "resume where it was started, or give tracking.checkpoints=DIR"
        )
    with checkpoint.claimed(folder):
        history = checkpoint.read_history(folder)
        if not history and runs.logged_epochs(run_id):
            raise InputError(f"resume={run_id}: {folder.absolute()} holds no checkpoint any more: train anew")
        # Finished epochs hold all weights; the file that they began with may be gone by now.
        weights = None if history else preflight(logged)
        cache = config.data.cache or logged.data.cache
        data = replace(logged.data, cache=cache)
        split = runs.load_split(run_id)
        dataset = load_logged(split, data, root=config.data.root, image_size=image_size(logged))
        prepared = prepare(logged, dataset, weights)
        with (
            runs.started(store, run_id=run_id, system_metrics=logged.tracking.system_metrics),
            _resumable(run_id, folder, overrides),
        ):
            return _run(prepared, store, runs.own_tags(run), run_id, folder)


def _run(prepared: Any, store: Any, tags: dict[str, str], run_id: str, folder: Any) -> float:
    """Train, register, then measure and draw; `prepared` is a training.run.Prepared, `store` a tracking.store.Store."""
    from brain_tumor.evaluation.figures import curves
    from brain_tumor.evaluation.measure import measure
    from brain_tumor.evaluation.pictures import explainer
    from brain_tumor.tracking import registry, report, runs
    from brain_tumor.training import checkpoint
    from brain_tumor.training.run import train_model

    config, dataset = prepared.config, prepared.dataset
    on_epoch = report.epoch_reporter(config, dataset.split)
    trained = train_model(prepared, folder, on_epoch=on_epoch, logged=runs.logged_epochs(run_id))
    score = float(trained.history[trained.best_step - 1][config.monitor])
    report.log_cost(trained.history)
    # Registered before any figure is drawn: what goes wrong from here on loses no weights.
    model_tags = {**tags, "monitor": config.monitor, "score": repr(score)}
    uri, version = registry.log_model(trained.model, register=config.tracking.register, tags=model_tags)
    lines = [f"model     {uri}"]
    if config.tracking.register and version:
        lines.append(registry.crown(config.tracking.register, version))
    # The test part is opened once, by a single run that has finished; nothing is decided by it.
    measured = {}
    for part in ("val", "test") if config.test else ("val",):
        evaluation = measure(trained.model, dataset, part, config.protocol.name)
        table = report.log_evaluation(evaluation, part, resamples=config.bootstrap, history=trained.history)
        measured[part] = (evaluation, table)
    title = f"{config.model.name}, {dataset.split.name}, {config.protocol.name}"
    report.log_figure(curves(trained.history, best_step=trained.best_step, title=title), "curves")
    explain = explainer(trained.model, config.model.name, config.explain)
    for part, (evaluation, _) in measured.items():
        line = report.log_pictures(dataset, part, evaluation, explain)
        lines += [f"{part:<9} {line}"] if line else []
    checkpoint.discard(folder)
    print(report.summary(list(measured.values()), store, run_id, lines))
    return score


@contextmanager
def _resumable(run_id: str, folder: Any, overrides: list[str]) -> Iterator[None]:
    """Say how to go on, whatever stops the run."""
    try:
        yield
    except BaseException:
        if folder.is_dir():
            kept = [text for text in overrides if text.startswith(("tracking.uri=", "tracking.checkpoints="))]
            command = " ".join([entry.command("train"), f"resume={run_id}", *map(shlex.quote, kept)])
            print(f"stopped; to go on from the last finished epoch: {command}", file=sys.stderr)
        raise


def _check_resume(overrides: list[str], multirun: bool) -> None:
    others = [text for text in overrides if text.split("=")[0].lstrip("+~") not in KEYS_BESIDE_RESUME]
    if multirun or others:
        raise InputError(
            f"resume goes on with the run's own configuration: leave out {'-m' if multirun else ' '.join(others)}"
        )


def main() -> None:
    entry.run(train, "train")


if __name__ == "__main__":
    main()
