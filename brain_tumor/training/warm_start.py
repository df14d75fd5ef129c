"""Trials that share everything up to the end of their leading phases train those once.

What a phase starts from is the best weights so far and nothing else (see `fit`), so a checkpoint that ends with the
leading phases gives the very run that training them again would give.
"""

import hashlib
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path

import keras
import tensorflow as tf
from filelock import FileLock, Timeout

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.errors import InputError
from brain_tumor.paths import sha256_of
from brain_tumor.training import checkpoint
from brain_tumor.training.callbacks import best_step
from brain_tumor.training.checkpoint import History
from brain_tumor.training.preparation import Prepared, train_model

Fetch = Callable[[str, Path], bool]  # (key, empty folder to fill) -> whether it was filled
Publish = Callable[[str, Path], None]  # (key, finished folder)


def shared_phases(schedule: Mapping[str, PhaseConfig], swept: Collection[str]) -> list[str]:
    """The leading phases that no swept key touches; never the last phase.

    `swept` are Hydra keys, such as "schedule.all.epochs". Only keys of the schedule count here: sweeping others that
    determine the weights (the model, say) leaves the phases shared among the trials with equal values.
    """
    keys = {key.lstrip("+~") for key in swept}

    def same(name: str) -> bool:
        own = f"schedule.{name}"
        return not any(key in ("schedule", own) or key.startswith(f"{own}.") for key in keys)

    return list(takewhile(same, list(schedule)[:-1]))


def warm_start(
    prepared: Prepared,
    folder: Path,
    *,
    store: Path,
    phases: list[str],
    weights: Path | None,
    fetch: Fetch | None = None,
    publish: Publish | None = None,
) -> int:
    """Let `folder` begin with the finished `phases`, taken from `store` or trained into it now.

    A folder that holds finished epochs is left as it is. Of several workers with the same store one trains, the others
    wait for it. What is damaged in the store is made again.

    Args:
        prepared: the trial, of which nothing has been trained; its model's weights may change.
        folder: the trial's checkpoint folder, claimed.
        store: folder shared by the trials, made if need be; each entry is a folder named by its key.
        phases: the schedule's leading phases, from `shared_phases`; with none nothing happens.
        weights: file that the model was built from, None for random weights.
        fetch: asked for an entry that the store lacks.
        publish: told of an entry that was trained here.

    Returns:
        How many epochs were reused: 0 if the phases were trained by this call, or nothing was done.

    Raises:
        InputError: store or folder cannot be written, or training diverges.
    """
    if not phases or checkpoint.read_history(folder):
        return 0
    names = list(prepared.config.schedule)
    if phases != names[: len(phases)] or phases == names:
        raise ValueError(f"{phases} are not leading phases of {names}")
    key = warm_key(prepared, phases, weights)
    entry = store / key
    with _locked(store / f"{key}.lock", phases):
        history = _stored(entry, prepared, phases)
        if history is None and fetch is not None:
            history = _fetched(entry, prepared, phases, fetch)
        reused = history is not None
        if history is None:
            history = _trained(entry, prepared, phases)
        checkpoint.copy_best(entry, folder, best_step(history, prepared.config.monitor))
        # From here on the folder counts as begun, so this comes last.
        checkpoint.save_history(folder, [{**row, "reused": True} for row in history] if reused else history)
    if publish is not None and not reused:
        publish(key, entry)
    return len(history) if reused else 0


def warm_key(prepared: Prepared, phases: list[str], weights: Path | None) -> str:
    """Hex digest (32 characters) of all that determines the weights at the end of `phases`."""
    config, split = prepared.config, prepared.dataset.split
    facts = {
        "split": split.digest,
        "order": hashlib.sha256("".join(split.table["sha256"]).encode()).hexdigest(),  # the digest sorts its rows
        "shape": prepared.dataset.shape,
        "model": {**asdict(config.model), "weights": None if weights is None else sha256_of(weights)},
        "augment": asdict(config.augment),
        "masks": None if prepared.training.masks is None else prepared.training.masks.digest,
        "phases": [[name, asdict(config.schedule[name])] for name in phases],
        "seed": config.seed,
        "distill": asdict(config.distill),
        "monitor": config.monitor if prepared.painted is None else [config.monitor, prepared.painted.digest],
        "protocol": asdict(config.protocol),
        "site_weights": config.data.site_weights,
        "versions": [_version(), tf.__version__, keras.__version__],
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _version() -> str:
    try:
        return importlib.metadata.version("brain-tumor")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "checkout"


def _stored(entry: Path, prepared: Prepared, phases: list[str]) -> History | None:
    """The history of a finished entry; None if there is none, or it was damaged and is now removed."""
    if not entry.exists():
        return None
    try:
        history = checkpoint.read_history(entry)
        if [*dict.fromkeys(row["phase"] for row in history)] != phases:
            raise InputError(f"{entry / 'last.npz'} is missing, or does not hold the phases {', '.join(phases)}")
        checkpoint.check_best(entry, prepared.model, best_step(history, prepared.config.monitor))
    except InputError as error:
        print(f"warm start: stored phases are of no use and are made again: {error}", file=sys.stderr)
        _remove(entry)
        return None
    return history


def _fetched(entry: Path, prepared: Prepared, phases: list[str], fetch: Fetch) -> History | None:
    partial = _empty(entry)
    history = _stored(partial, prepared, phases) if fetch(entry.name, partial) else None
    if history is None:
        _remove(partial)
    else:
        partial.rename(entry)
    return history


def _trained(entry: Path, prepared: Prepared, phases: list[str]) -> History:
    """Train the phases into a new entry, which is there only once it is whole."""
    title = " and ".join(phases)
    print(f"warm start: trains {title} once for all trials that share it", file=sys.stderr)
    partial = _empty(entry)
    config = replace(prepared.config, schedule={name: prepared.config.schedule[name] for name in phases})
    history = train_model(replace(prepared, config=config), partial, on_epoch=lambda row: None).history
    checkpoint.save_history(partial, history)
    partial.rename(entry)
    return history


def _empty(entry: Path) -> Path:
    """The folder in which an entry is made; what an interrupted process has left in it goes."""
    partial = entry.with_name(f"{entry.name}.partial")
    _remove(partial)
    partial.mkdir()
    return partial


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, phases: list[str]) -> Iterator[None]:
    """Hold the lock of an entry; says so if that means to wait."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"warm start: waits for the trial that trains {' and '.join(phases)}", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise InputError(f"the warm-start folder {path.parent} cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
