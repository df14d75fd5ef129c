"""What a run leaves on disk while it trains: the best weights, and all that `resume` needs to go on."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from filelock import FileLock, Timeout

from brain_tumor.errors import InputError

History = list[dict[str, Any]]


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Hold a run's checkpoint folder, made if need be; InputError if another process trains this run right now."""
    lock = FileLock(folder / "lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"run {folder.name} is being trained by another process: wait for it, or stop it first"
        ) from error
    except OSError as error:
        raise InputError(f"tracking.checkpoints: {folder} cannot be written ({error.strerror})") from error
    try:
        yield folder
    finally:
        lock.release()


def check_writable(checkpoints: Path) -> None:
    """Make the folder of all checkpoints; InputError if that cannot be."""
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"tracking.checkpoints={checkpoints} cannot be made ({error.strerror})") from error


def discard(folder: Path) -> None:
    """Remove the checkpoint of a run that has finished."""
    shutil.rmtree(folder, ignore_errors=True)


def adopt(left: Path, folder: Path) -> None:
    """Move what a lost run has left into the claimed `folder`, so that its finished epochs are not trained again.

    Does nothing where there is nothing left, or the run goes on after all.
    """
    lock = FileLock(left / "lock", timeout=0)
    if not (left / "last.npz").exists():
        return
    try:
        with lock:
            for path in sorted(left.glob("*.npz")):  # best-*.npz before last.npz, which counts on it
                path.replace(folder / path.name)
    except Timeout:
        return
    discard(left)


def save_last(folder: Path, model: keras.Model, optimizer: keras.Optimizer, history: History) -> None:
    """Write weights, optimizer state and history to `last.npz` in one rename."""
    state, scale = _state(optimizer)
    _write(folder / "last.npz", [*model.variables, *state, *scale], history)


def save_history(folder: Path, history: History) -> None:
    """Write a `last.npz` that ends with a phase: the next one starts from the best weights and needs no others."""
    _write(folder / "last.npz", [], history)


def load_last(folder: Path, model: keras.Model, optimizer: keras.Optimizer) -> None:
    """Put the weights and the optimizer state of `last.npz` back, the optimizer built for the same phase.

    Where it scales the loss and `last.npz` was written by one that does not, or the other way round, the scale stays.
    """
    state, scale = _state(optimizer)
    _read(folder / "last.npz", [*model.variables, *state], scale)


def _state(optimizer: keras.Optimizer) -> tuple[list[Any], list[Any]]:
    """The optimizer's variables, and apart from them those that scale the loss, which not every machine needs."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer.variables, [optimizer.step_counter, optimizer.dynamic_scale]
    return optimizer.variables, []


def read_history(folder: Path) -> History:
    """The finished epochs of an interrupted run; empty if none was finished."""
    path = folder / "last.npz"
    if not path.exists():
        return []
    with _opened(path) as file:
        history: History = json.loads(str(file["history"]))
        if not isinstance(history, list) or not history:
            raise ValueError("no history")
    return history


def save_best(folder: Path, model: keras.Model, step: int) -> None:
    """Write the weights of the best epoch so far, beside the ones that `last.npz` still counts as best."""
    _write(_best(folder, step), model.variables, [])


def load_best(folder: Path, model: keras.Model, step: int) -> None:
    """Put the weights of the best epoch, which `step` names, into the model."""
    _read(_best(folder, step), model.variables)


def check_best(folder: Path, model: keras.Model, step: int) -> None:
    """Read the weights of the best epoch and leave the model alone; InputError if they are not whole or do not fit."""
    with _opened(_best(folder, step)) as file:
        shapes = [file[str(index)].shape for index in range(len(file.files) - 1)]
        if shapes != [tuple(variable.shape) for variable in model.variables]:
            raise ValueError("it belongs to another model")


def copy_best(source: Path, folder: Path, step: int) -> None:
    """Copy the weights of the best epoch from one folder to another."""
    with _replaced(_best(folder, step)) as temporary:
        shutil.copyfile(_best(source, step), temporary)


def drop_others(folder: Path, step: int) -> None:
    """Remove the weights of epochs that are no longer the best, now that `last.npz` says so too."""
    for path in folder.glob("best-*.npz"):
        if path != _best(folder, step):
            path.unlink(missing_ok=True)


def _best(folder: Path, step: int) -> Path:
    return folder / f"best-{step}.npz"


def _write(path: Path, variables: Sequence[Any], history: History) -> None:
    arrays = {str(index): np.asarray(variable) for index, variable in enumerate(variables)}
    with _replaced(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, history=json.dumps(history), **arrays)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which then takes its place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"checkpoint {path} cannot be written ({error.strerror}): free or change the disk, then resume"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, variables: Sequence[Any], scale: Sequence[Any] = ()) -> None:
    with _opened(path) as file:
        extra = len(file.files) - 1 - len(variables)
        if extra not in (0, 2):
            raise ValueError("it belongs to another model or phase")
        for index, variable in enumerate([*variables, *(scale if extra else ())]):
            variable.assign(file[str(index)])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A checkpoint file, read without pickle; whatever is wrong with it becomes one line."""
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"checkpoint {path} cannot be read ({reason}): train anew instead of resume") from error
