"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config import TrainConfig, plain, typed
from brain_tumor.errors import InputError
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.training.preflight import image_size, preflight

KEYS_BESIDE_RESUME = ("resume", "data.root", "tracking.uri", "tracking.checkpoints")


def train(raw: DictConfig) -> float:
    """Compose, train, track, register, explain, measure; returns the best epoch's `monitor` on the val part."""
    config = typed(TrainConfig, raw)
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    multirun = hydra.mode == RunMode.MULTIRUN
    if config.resume:
        _check_resume(overrides, multirun)
        return _resume(config)
    weights = preflight(config)

    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)
    start_tensorflow()

    from brain_tumor.data.load import load
    from brain_tumor.tracking import runs, setup
    from brain_tumor.training import checkpoint

    config = replace(config, test=config.test and not multirun)
    dataset = load(config.data, image_size=image_size(config), protocol=config.protocol.name)
    plan = setup.Plan(config, plain(raw), overrides, dict(hydra.runtime.choices))
    tags = setup.tags(plan, dataset.split)
    with runs.started(
        store,
        name=setup.run_name(plan, dataset.split),
        tags=tags,
        system_metrics=config.tracking.system_metrics,
    ) as run_id:
        setup.log(plan, dataset.split)
        with checkpoint.claimed(Path(config.tracking.checkpoints) / run_id) as folder, _resumable(run_id):
            return _run(config, store, dataset, weights, tags, run_id, folder)


def _resume(config: TrainConfig) -> float:
    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)
    start_tensorflow()

    from brain_tumor.data.logged import load_logged
    from brain_tumor.tracking import runs
    from brain_tumor.training import checkpoint

    run_id = str(config.resume)
    tags = runs.interrupted(run_id)
    logged = typed(TrainConfig, runs.load_config(run_id))
    tracking = replace(logged.tracking, uri=config.tracking.uri, checkpoints=config.tracking.checkpoints)
    logged = replace(logged, tracking=tracking, resume=run_id)
    weights = preflight(logged)
    folder = Path(config.tracking.checkpoints) / run_id
    if not folder.is_dir():
        raise InputError(
            f"resume={run_id}: its checkpoint is not in {folder.absolute()}; "
            "resume where it was started, or give tracking.checkpoints=DIR"
        )
    with checkpoint.claimed(folder):
        dataset = load_logged(
            runs.load_split(run_id), logged.data, root=config.data.root, image_size=image_size(logged)
        )
        with runs.started(store, run_id=run_id, system_metrics=logged.tracking.system_metrics), _resumable(run_id):
            return _run(logged, store, dataset, weights, tags, run_id, folder)


@contextmanager
def _resumable(run_id: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted; go on from the last finished epoch with: {entry.command('train')} resume={run_id}")
        raise


def _run(
    config: TrainConfig,
    store: Any,
    dataset: Any,
    weights: Path | None,
    tags: dict[str, str],
    run_id: str,
    folder: Path,
) -> float:
    from brain_tumor.evaluation.figures import curves
    from brain_tumor.evaluation.measure import measure
    from brain_tumor.evaluation.pictures import explainer
    from brain_tumor.tracking import registry, report
    from brain_tumor.training import checkpoint
    from brain_tumor.training.run import train_model

    trained = train_model(config, dataset, weights, folder, run_id=run_id)
    score = float(trained.history[trained.best_step - 1][config.monitor])
    report.log_cost(trained.history)
    # Registered before any figure is drawn: what goes wrong from here on loses no weights.
    model_tags = {**tags, "monitor": config.monitor, "score": repr(score), "run_id": run_id}
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
