"""What can be known of a training before it starts, without TensorFlow: for `train`, its sweeps, and `lr_find`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.needs import require_method
from brain_tumor.jobs.member_runs import members, refuse
from brain_tumor.jobs.preflight import check_name, check_source, check_store
from brain_tumor.jobs.teacher import find_teacher, with_teacher
from brain_tumor.lazy import lazy
from brain_tumor.models.backbones import check_head, check_shape, get_backbone, input_shape
from brain_tumor.models.hardware import piece_size
from brain_tumor.models.weights import resolve_weights
from brain_tumor.paths import existing_path

if TYPE_CHECKING:
    from brain_tumor.config.commands import LrFindConfig

runs = lazy("brain_tumor.tracking.runs")  # by `resume` alone

# May stand beside `resume`: where things are, the model's name, and the machine that goes on.
KEYS_BESIDE_RESUME = (
    "resume",
    "data.root",
    "data.cache",
    "data.masks",
    "tracking.uri",
    "tracking.register",
    "tracking.checkpoints",
    "tracking.artifacts",
    "hardware",
    "hardware.threads",
    "hardware.strategy",
    "hardware.device",
    "hardware.precision",
    "hardware.jit_compile",
    "hardware.micro_batch",
)
FIGURES = (".png", ".svg", ".pdf")


def check_training(config: TrainConfig) -> Path | None:
    """Check the images, the model and its name; returns the weights' file, or None for random weights.

    Raises InputError as `check_source`, `check_name` and `check_model`.
    """
    check_source(config.data, protocol=config.protocol)
    check_name(config.tracking.register)
    return check_model(config)


def check_model(config: TrainConfig) -> Path | None:
    """Check the schedule, the model and its weights; returns the weights' file, or None for random weights.

    Raises InputError for an unknown model, a size, a head or maps that it cannot have, weights that cannot be had, a
    frozen backbone without trained weights, or batches that `hardware.micro_batch` does not divide.
    """
    for name, phase in config.schedule.items():
        piece_size(name, phase, config.hardware.micro_batch)
    check_shape(config.model.name, input_shape(config))
    check_head(config.model.name, config.model.head)
    draws, attends = config.model.head == "evidence", get_backbone(config.model.name).attends
    require_method(config.explain.method, draws=draws, attends=attends)
    weights = resolve_weights(config.model.name, config.model.weights)
    if config.model.name == "hybrid_lite0" and all(phase.unfreeze == "head" for phase in config.schedule.values()):
        raise InputError(
            "the transformer of model=hybrid_lite0 starts from nothing, and no phase of this schedule trains it: give "
            "schedule=vit"
        )
    name, phase = next(iter(config.schedule.items()))
    if weights is None and phase.unfreeze != "all":
        raise InputError(
            f"schedule.{name}.unfreeze={phase.unfreeze} freezes a backbone that has no trained weights "
            f"(model.weights=none): use schedule=scratch, or schedule.{name}.unfreeze=all, or give model.weights"
        )
    return weights


def check_run(composed: Composition, *, multirun: bool) -> Composition:
    """What is to be trained, checked; in a `multirun` of another sweeper than ours its test part stays closed."""
    config = composed.config
    if config.resume:
        _check_resume(composed, multirun)
        return composed
    if multirun:
        refuse(config)
        composed = replace(composed, config=replace(config, test=False))
    members(config)  # which refuses sites without folders
    check_training(config)
    check_store(config.tracking)
    return with_teacher(composed, check_source(config.data))


def _check_resume(composed: Composition, multirun: bool) -> None:
    others = [text for text in composed.overrides if text.split("=")[0].lstrip("+~") not in KEYS_BESIDE_RESUME]
    if multirun or others:
        raise InputError(
            f"resume goes on with the run's own configuration: leave out {'-m' if multirun else ' '.join(others)}"
        )
    tracking = composed.config.tracking
    check_store(tracking)
    run_id = runs.interrupted(str(composed.config.resume)).info.run_id
    logged = typed(TrainConfig, runs.load_config(run_id))
    name = (tracking if given(composed.overrides, "tracking.register") else logged.tracking).register
    try:
        check_name(name)
        find_teacher(logged)
    except InputError as error:
        raise InputError(f"resume={run_id}: {error}") from error


def given(overrides: Sequence[str], key: str) -> bool:
    """Whether the command line says anything of a key, or of what is under it."""
    keys = [text.partition("=")[0].lstrip("+") for text in overrides]
    return any(each == key or each.startswith(f"{key}.") for each in keys)


def check_lr_find(config: TrainConfig, asked: "LrFindConfig") -> tuple[Path | None, Path]:
    """Check what is to be trained, and where the figure goes; returns the weights' file, or None, and that place."""
    if config.resume:
        raise InputError(
            f"resume={config.resume} goes on with a run, and a learning rate is found before one: leave it out"
        )
    if several := members(config):
        raise InputError(
            f"a learning rate is found by one training, and this asks for {len(several)}: give one of them, "
            f"{' '.join(f'{key}={value}' for key, value in several[0].changes.items())} say"
            f"{', in place of seeds' if config.seeds else ''}"
        )
    if asked.phase is not None and asked.phase not in config.schedule:
        raise InputError(f"phase={asked.phase} is none of this schedule, which has {', '.join(config.schedule)}")
    out = existing_path(asked.out).absolute()
    if out.suffix.lower() not in FIGURES:
        raise InputError(f"out={asked.out}: name a file that ends in {', '.join(FIGURES)}")
    if out.exists():
        raise InputError(f"out={asked.out} is there already: name another file, or remove it")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"out={asked.out}: {out.parent} is no folder that can be written to: name another")
    weights = check_training(config)
    if config.distill.teacher is not None:
        check_store(config.tracking)
        find_teacher(config, check_source(config.data))
    return weights, out
