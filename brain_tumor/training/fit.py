"""Runs a schedule's phases on one model, resumable epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from brain_tumor.config import PhaseConfig
from brain_tumor.data.augment import Augment
from brain_tumor.data.batches import steps_per_epoch, train_batches
from brain_tumor.training import checkpoint
from brain_tumor.training.callbacks import Checkpoint, Progress, Record, Replay, WarmUp, best_step
from brain_tumor.training.checkpoint import History
from brain_tumor.training.distribute import Stream, fed, finished, predictor, synchronized
from brain_tumor.training.freezing import apply_phase, as_built, restore
from brain_tumor.training.optimizers import make_loss, make_optimizer


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training images: rows of `pixels` (N, H, W, 3) uint8 with their integer labels."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    augment: Mapping[str, Augment]  # of every phase
    workers: int
    weights: NDArray[np.float32] | None = None  # of each image in the loss; None: all alike


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A model with the weights of its best epoch, and how it got there."""

    model: keras.Model
    history: History
    best_step: int  # 1-based, continuous over the phases


def fit(
    model: keras.Model,
    training: TrainingSet,
    schedule: Mapping[str, PhaseConfig],
    *,
    seed: int,
    monitor: str,
    validate: Callable[[keras.Model], dict[str, float]],
    folder: Path,
    on_epoch: Callable[[dict[str, Any]], None],
    logged: int = 0,
) -> TrainedRun:
    """Train `model` through the phases of `schedule`, going on from what `folder` holds of an interrupted run.

    Every phase starts from the best weights so far. `validate` maps the model to `val/*` metrics, `monitor` names
    the one that picks the best epoch, `on_epoch` is told of every
    finished epoch's row but the first `logged` ones. Raises InputError if the
    loss diverges or a phase unfreezes more blocks than there are; KeyboardInterrupt passes through, with every
    finished epoch on disk.
    """
    built, alone = as_built(model), predictor(model)
    history = checkpoint.read_history(folder)
    for row in history[logged:]:  # the process died between the checkpoint and the tracking of an epoch
        on_epoch(row)
    for index, (name, phase) in enumerate(schedule.items()):
        past = [row for row in history if row["phase"] == name]
        later = [row for row in history if row["phase"] in list(schedule)[index + 1 :]]
        if later or len(past) == phase.epochs or (past and _stopped_early(phase, past)):
            continue
        apply_phase(model, phase, name, built)
        steps = steps_per_epoch(len(training.rows), phase.batch_size)
        compile_phase(model, phase, steps)
        if past:
            checkpoint.load_last(folder, model)
        elif history:
            checkpoint.load_best(folder, model, best_step(history, monitor))
        _fit_phase(
            model,
            training,
            name,
            phase,
            past=past,
            seed=seed,
            first_epoch=len(history),
            callbacks=_callbacks(
                name,
                phase,
                history,
                past,
                len(training.rows),
                steps,
                monitor,
                partial(validate, alone),
                folder,
                on_epoch,
            ),
        )
    checkpoint.load_best(folder, model, best_step(history, monitor))
    restore(model, built)
    return TrainedRun(finished(model), history, best_step(history, monitor))


def compile_phase(model: keras.Model, phase: PhaseConfig, steps: int) -> None:
    """Compile for the phase and create the optimizer's variables, which `load_last` fills."""
    with model.distribute_strategy.scope():
        model.compile(
            optimizer=make_optimizer(phase, steps),
            loss=make_loss(model.output_shape[-1], phase.label_smoothing),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            jit_compile=False,  # measured 7 times slower on a CPU
        )
        model.optimizer.build(model.trainable_variables)


def _fit_phase(
    model: keras.Model,
    training: TrainingSet,
    name: str,
    phase: PhaseConfig,
    *,
    past: History,
    seed: int,
    first_epoch: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    start = partial(_stream, training, name, phase, seed, first_epoch)
    with synchronized(model), fed(model, start) as batches:
        model.fit(
            batches,
            epochs=phase.epochs,
            initial_epoch=len(past),
            steps_per_epoch=steps_per_epoch(len(training.rows), phase.batch_size),
            callbacks=callbacks,
            shuffle=False,  # the stream is in its order already
            verbose=0,
        )


def _stream(training: TrainingSet, name: str, phase: PhaseConfig, seed: int, first_epoch: int) -> Stream:
    """A phase's batches, with a weight per image where classes or sites are balanced."""
    weights = training.weights
    if phase.class_weights == "balanced":
        of_class = class_weights(training.labels)
        balanced = np.array([of_class[int(label)] for label in training.labels], np.float32)
        weights = balanced if weights is None else balanced * weights
    return train_batches(
        training.pixels,
        training.rows,
        training.labels,
        batch_size=phase.batch_size,
        seed=seed,
        augment=training.augment[name],
        workers=training.workers,
        first_epoch=first_epoch,  # counted over all phases, so that no two see the same augmentation
        weights=weights,
    )


def _callbacks(
    name: str,
    phase: PhaseConfig,
    history: History,
    past: History,
    images: int,
    steps: int,
    monitor: str,
    validate: Callable[[], dict[str, float]],
    folder: Path,
    on_epoch: Callable[[dict[str, Any]], None],
) -> list[keras.callbacks.Callback]:
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True) if phase.weight_averaging else None
    watchers = _watchers(phase)
    plateau = phase.learning_rate if phase.decay == "plateau" else None
    callbacks = [
        Progress(name, phase.epochs, images, phase.batch_size),
        swap,
        WarmUp(phase.learning_rate, round(phase.warmup_epochs * steps)) if plateau and phase.warmup_epochs else None,
        Record(history, name, images=images, validate=validate),
        *watchers,
        Replay(past, watchers, plateau) if past else None,
        Checkpoint(folder, history, monitor=monitor, swap=swap, on_epoch=on_epoch),
    ]
    return [callback for callback in callbacks if callback is not None]


def _watchers(phase: PhaseConfig) -> list[Any]:
    watchers: list[Any] = []
    if phase.early_stopping is not None:
        watchers.append(
            keras.callbacks.EarlyStopping(
                "val/loss",
                patience=phase.early_stopping.patience,
                min_delta=phase.early_stopping.min_delta,
                mode="min",
            )
        )
    if phase.decay == "plateau" and phase.plateau is not None:
        watchers.append(
            keras.callbacks.ReduceLROnPlateau(
                "val/loss",
                patience=phase.plateau.patience,
                factor=phase.plateau.factor,
                min_lr=phase.plateau.min_learning_rate,
                mode="min",
            )
        )
    return watchers


def _stopped_early(phase: PhaseConfig, past: History) -> bool:
    if phase.early_stopping is None:
        return False
    best, since = float("inf"), 0
    for row in past:
        improved = row["val/loss"] < best - phase.early_stopping.min_delta
        best, since = (row["val/loss"], 0) if improved else (best, since + 1)
    return since >= phase.early_stopping.patience


def class_weights(labels: NDArray[np.int32]) -> dict[int, float]:
    """scikit-learn's balanced weights, n / (classes * count), by class index."""
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    return {int(label): float(weight) for label, weight in zip(present, weights, strict=True)}
