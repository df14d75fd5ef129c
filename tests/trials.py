"""Trials of seconds, as `train` runs them, and what it means that two are equal."""

from pathlib import Path
from typing import Any

import numpy as np
from composition import task
from toy import OFFICIAL

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed

FILTERS = (16, 32)  # of a `cnn_baseline` of two blocks, which takes half the time to trace
# The first phase moves batch-norm statistics and draws dropout: all that must come back with the weights.
SCHEDULE = (
    "data=folder",
    "data.image_size=32",
    "model=cnn_baseline",
    "schedule.head.epochs=2",
    "schedule.head.unfreeze=all",
    "schedule.head.update_batch_norm=true",
    "schedule.all.epochs=2",
    "schedule.all.dropout=0.5",
    "schedule.all.augment_strength=0.5",
    "explain.layer=block2_relu",  # which also a network of two blocks has
)


PHASE = PhaseConfig(
    epochs=3,
    batch_size=16,
    optimizer="adam",
    learning_rate=3e-3,
    warmup_epochs=0,
    decay="constant",
    plateau=None,
    weight_decay=0,
    unfreeze="all",
    update_batch_norm=True,
    batch_norm_momentum=None,
    label_smoothing=0,
    class_weights="none",
    weight_averaging=None,
    early_stopping=None,
)


def phase(**changes: Any) -> PhaseConfig:
    return PhaseConfig(**{**PHASE.__dict__, **changes})


class StoppedError(Exception):
    """In place of Ctrl-C, which pytest would take for its own."""


def configured(images: Path, *overrides: str) -> TrainConfig:
    places = (f"data.root={images}", f"data.cache={images.parent / 'cache'}")
    return typed(TrainConfig, task(*SCHEDULE, *places, *overrides))


def prepared(images: Path, *overrides: str) -> Any:
    from brain_tumor.data.dataset import load
    from brain_tumor.training.preparation import prepare

    config = configured(images, *overrides)
    return prepare(config, load(config.data, shape=(32, 32, 3), protocol=OFFICIAL), None)


def warm(ready: Any, folder: Path, store: Path, **hooks: Any) -> int:
    from brain_tumor.training.warm_start import warm_start

    folder.mkdir(exist_ok=True)
    return warm_start(ready, folder, store=store, phases=["head"], weights=None, **hooks)


def trial(
    images: Path, folder: Path, *overrides: str, store: Path | None = None, stop_after: int | None = None, **hooks: Any
) -> tuple[int, Any]:
    """A trial as `train` runs one; returns what `warm_start` returned (-1: not called) and the trained run."""
    from brain_tumor.training.preparation import train_model

    def on_epoch(row: dict[str, Any]) -> None:
        if row["step"] == stop_after:
            raise StoppedError

    folder.mkdir(exist_ok=True)
    ready = prepared(images, *overrides)
    reused = -1 if store is None else warm(ready, folder, store, **hooks)
    return reused, train_model(ready, folder, on_epoch=on_epoch)


def numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    apart = ("seconds", "images_per_second", "reused")
    return [{name: value for name, value in row.items() if name not in apart} for row in history]


def assert_equal(run: Any, other: Any) -> None:
    assert numbers(run.history) == numbers(other.history)
    assert run.best_step == other.best_step
    for one, two in zip(run.model.variables, other.model.variables, strict=True):
        np.testing.assert_array_equal(one, two)
