"""Training through XLA: whether it pays, tried on the real model and a real batch, then undone; where it cannot be."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from brain_tumor.errors import InputError

_WARM_UP, _STEPS = 2, 8


def xla_pays(
    model: keras.Model,
    batch: tuple[Any, ...],
    compile_model: Callable[[bool], None],
    *,
    title: str,
    steps: int,
    clock: Callable[[keras.Model, tuple[Any, ...]], tuple[float, float]] | None = None,
) -> bool:
    """Whether `steps` more steps take less time with XLA, its compilation included; says so in one line.

    Args:
        model: left with the variables that it came with, and to be compiled anew.
        batch: what `model.fit` takes, of the phase's batch size.
        compile_model: compiles it, with XLA or without.
        title: the phase's.
        steps: that the phase has yet to train.
        clock: `seconds`, or what tests put in its place.
    """
    clock = clock or seconds
    before = [np.array(variable) for variable in model.variables]
    try:
        compile_model(False)
        _, plain = clock(model, batch)
        compile_model(True)
        try:
            once, compiled = clock(model, batch)
        except tf.errors.OpError as error:
            print(f"{title}: without XLA, which does not compile this model ({_reason(error)})", file=sys.stderr)
            return False
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    pays = once + compiled * steps < plain * steps
    print(
        f"{title}: {'with' if pays else 'without'} XLA, a step takes {1000 * compiled:.0f} ms with it "
        f"(after {once:.0f} s of compilation) and {1000 * plain:.0f} ms without",
        file=sys.stderr,
    )
    return pays


def seconds(model: keras.Model, batch: tuple[Any, ...]) -> tuple[float, float]:
    """Seconds of the first step, which compiles, and of each later one."""
    ends = [time.perf_counter()]

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, step: int, logs: dict[str, Any] | None = None) -> None:
            float((logs or {})["loss"])  # a GPU works on until somebody asks for what it has found
            ends.append(time.perf_counter())

    model.fit(
        (batch for _ in count()), steps_per_epoch=_WARM_UP + _STEPS, callbacks=[Clock()], shuffle=False, verbose=0
    )
    return ends[1] - ends[0], (ends[-1] - ends[_WARM_UP]) / _STEPS


@contextmanager
def compilable(title: str, jit_compile: bool | None) -> Iterator[None]:
    """Turn what XLA cannot compile, where it has to, into an InputError that names the phase `title`."""
    try:
        yield
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
        if not jit_compile:
            raise
        raise InputError(
            f"hardware.jit_compile=true: XLA does not compile phase {title} of this model ({_reason(error)}): use "
            "hardware.jit_compile=false"
        ) from error


def _reason(error: tf.errors.OpError) -> str:
    """Its one line that tells what is amiss, among those that tell where."""
    lines = [line.strip() for line in error.message.splitlines()]
    where = ("Graph execution error", "Detected at node", "Detected unsupported", "<stack traces", "[[", "tf2xla")
    telling = [line for line in lines if line and not line.startswith(where)]
    return str((telling or lines)[0])[:160]
