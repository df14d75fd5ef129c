"""Runs a schedule's phases on one model, resumable epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.models.hardware import Execution, Precision, piece_size
from brain_tumor.progress import begin
from brain_tumor.training import checkpoint
from brain_tumor.training.callbacks import Checkpoint, Progress, Record, Replay, WarmUp, best_step
from brain_tumor.training.checkpoint import History
from brain_tumor.training.distribute import fed, finished, predictor, synchronized
from brain_tumor.training.freezing import apply_phase, as_built, restore
from brain_tumor.training.gradient_accumulation import InPieces
from brain_tumor.training.optimizers import Objective, losses, make_optimizer
from brain_tumor.training.precision import compute_in, scaled
from brain_tumor.training.stage import Stage, TrainingSet, Turn, Validate, begin_bias, make_stage
from brain_tumor.training.xla import compilable, xla_pays


@dataclass(frozen=True)
class Bookkeeping:
    """What is measured, told and kept after every epoch."""

    monitor: str  # of the `val/*` metrics, the one that picks the best epoch
    validate: Validate  # gives these metrics
    folder: Path  # of the checkpoints
    on_epoch: Callable[[dict[str, Any]], None]  # is told of every finished epoch's row
    logged: int = 0  # but of the first ones that it has been told of


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
    books: Bookkeeping,
    *,
    seed: int,
    execution: Execution = Execution(),  # noqa: B008, it is frozen
) -> TrainedRun:
    """Train `model` through the phases of `schedule`, going on from what the checkpoints of an interrupted run hold.

    Every phase starts from the best weights so far. `execution` says how steps are computed, whatever it was before an
    interruption. Raises InputError if the loss diverges, a phase unfreezes more blocks than there are, or features
    cannot be stored; KeyboardInterrupt passes through, with every finished epoch on disk.
    """
    folder, monitor = books.folder, books.monitor
    built, alone = as_built(model), predictor(model)
    compute_in(model, execution.precision)
    history = checkpoint.read_history(folder)
    for row in history[books.logged :]:  # the process died between the checkpoint and the tracking of an epoch
        books.on_epoch(row)
    for index, (name, phase) in enumerate(schedule.items()):
        past = [row for row in history if row["phase"] == name]
        later = [row for row in history if row["phase"] in list(schedule)[index + 1 :]]
        if later or len(past) == phase.epochs or (past and _stopped_early(phase, past)):
            continue
        begin(phase_step(name))
        apply_phase(model, phase, name, built)
        if history:  # also for the features of a phase that goes on: its backbone is as it was
            checkpoint.load_best(folder, model, best_step(history, monitor))
        began = len(history) - len(past)
        stage = make_stage(Turn(model, alone, training, name, phase, seed, began, books.validate))
        if not history:
            begin_bias(model, stage.objective.mixture)
        stage = executed(stage, execution, done=len(past), epoch=len(history))
        if past:
            checkpoint.load_last(folder, model, stage.model.optimizer)
        callbacks = _callbacks(stage, model, books, history)
        with compilable(name, execution.jit_compile):
            fit_stage(stage, done=len(past), epoch=len(history), callbacks=callbacks)
    checkpoint.load_best(folder, model, best_step(history, monitor))
    restore(model, built)
    compute_in(model, "float32")
    return TrainedRun(finished(model), history, best_step(history, monitor))


def phase_step(name: str) -> str:
    """What the step of a run is called that trains a phase."""
    return f"training, phase {name}"


def compile_phase(
    model: keras.Model,
    phase: PhaseConfig,
    steps: int,
    objective: Objective = Objective(),  # noqa: B008, it is frozen
    precision: Precision = "float32",
    jit_compile: bool = False,
) -> None:
    """Compile for the phase and create the optimizer's variables, which `load_last` fills."""
    with model.distribute_strategy.scope():
        model.compile(
            optimizer=scaled(make_optimizer(phase, steps, objective.rates), precision),
            **losses(model, phase, objective),
            jit_compile=False,
        )
        # Keras turns XLA down where operations are deterministic, since XLA lacks some of these; it says so if it does.
        model._jit_compile = jit_compile
        model.optimizer.build(model.trainable_variables)
        if len(model.outputs) > 1:
            _build_losses(model, taught=objective.distill is not None)


def _build_losses(model: keras.Model, taught: bool) -> None:
    """Have Keras make now what counts the losses one by one: made in the first step, it would be traced twice."""
    answers = [keras.ops.zeros((1, *output.shape[1:])) for output in model.outputs]
    truth = keras.ops.zeros((1, 1 + answers[0].shape[-1])) if taught else keras.ops.zeros(1, "int32")
    model.compute_loss(y=[truth, answers[1]], y_pred=answers)
    model.reset_metrics()


def executed(stage: Stage, execution: Execution, *, done: int, epoch: int) -> Stage:
    """The stage compiled as `execution` says; for `done` and `epoch` see `fit_stage`."""
    phase = stage.phase
    size = piece_size(stage.name, phase, execution.micro_batch)
    model = stage.model if size is None else InPieces(stage.model, size)
    compile_model = partial(compile_phase, model, phase, stage.steps, stage.objective, execution.precision)
    jit_compile = execution.jit_compile if phase.feature_views is None else False  # a head alone gains nothing
    if jit_compile is None:
        stream = stage.stream(epoch)
        batch = next(stream)
        stream.close()
        jit_compile = xla_pays(model, batch, compile_model, title=stage.name, steps=stage.steps * (phase.epochs - done))
    compile_model(jit_compile)
    return replace(stage, model=model)


def fit_stage(stage: Stage, *, done: int, epoch: int, callbacks: list[keras.callbacks.Callback]) -> None:
    """Train the phase's epochs but the `done` ones; `epoch` is the first one's number over all phases."""
    with synchronized(stage.model), fed(stage.model, partial(stage.stream, epoch)) as batches:
        stage.model.fit(
            batches,
            epochs=stage.phase.epochs,
            initial_epoch=done,
            steps_per_epoch=stage.steps,
            callbacks=callbacks,
            shuffle=False,  # the stream is in its order already
            verbose=0,
        )


def _callbacks(
    stage: Stage, model: keras.Model, books: Bookkeeping, history: History
) -> list[keras.callbacks.Callback]:
    name, phase, steps = stage.name, stage.phase, stage.steps
    past = [row for row in history if row["phase"] == name]
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True) if phase.weight_averaging else None
    watchers = _watchers(phase)
    plateau = phase.learning_rate if phase.decay == "plateau" else None
    callbacks = [
        Progress(name, phase.epochs, stage.images, phase.batch_size),
        swap,
        WarmUp(phase.learning_rate, round(phase.warmup_epochs * steps)) if plateau and phase.warmup_epochs else None,
        Record(history, name, images=stage.images, validate=stage.validate),
        *watchers,
        Replay(past, watchers, plateau) if past else None,
        Checkpoint(books.folder, model, history, monitor=books.monitor, swap=swap, on_epoch=books.on_epoch),
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
