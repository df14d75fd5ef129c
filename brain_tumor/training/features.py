"""What a frozen backbone makes of the training images, kept on disk: its head can learn from that alone.

Below `<cache>/features/` a file `KEY.npy` holds the pooled features, float32 (n, D), of n pictures as one view shows
them, or (n, slices, D) of n volumes whose slices are weighed. The key is a digest of all that they depend on: the
backbone, its weights and precision, the pictures, the view.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from brain_tumor.data.pixels import Pixels, at_once
from brain_tumor.data.prefetch import worked_ahead
from brain_tumor.errors import InputError
from brain_tumor.models.heads import SLICES, attended, head_of
from brain_tumor.progress import progress

_BATCH = 64
View = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]  # a picture and its position -> what is seen of it


def pooled(model: keras.Model) -> keras.Model:
    """The classifier's backbone: from images to its pooled features (B, D), without dropout or anything that learns.

    Of a head that weighs the slices of volumes these are the features of each slice (B, slices, D).
    """
    backbone = keras.Model(model.inputs, model.get_layer(_cut(model)).output, name=f"{model.name}_features")
    backbone.jit_compile = False  # measured 7 times slower on a CPU
    return backbone


def head(model: keras.Model) -> keras.Model:
    """The classifier's head, from pooled features to probabilities: the classifier's own layers."""
    inputs = outputs = keras.Input(model.get_layer(_cut(model)).output.shape[1:], name="features")
    if head_of(model) == "attention":
        outputs = attended(outputs, {layer.name: layer for layer in model.layers})
    for name in ("dropout", "logits", "probabilities"):
        outputs = model.get_layer(name)(outputs)
    return keras.Model(inputs, outputs, name=f"{model.name}_head")


def _cut(model: keras.Model) -> str:
    """The last layer of what does not learn."""
    return SLICES if head_of(model) == "attention" else "avg_pool"


def stored_features(
    backbone: keras.Model,
    pixels: Pixels,
    rows: NDArray[np.int64],
    *,
    view: View,
    facts: Any,
    cache: Path,
    workers: int,
    title: str,
) -> NDArray[np.float32]:
    """The features (n, …) of `pixels[rows]` as `view` shows them, mapped from the cache, or computed into it.

    Of several processes that want the same features one computes them, and the others wait.

    Args:
        backbone: from `pooled`, or a teacher, whose logits are kept likewise.
        pixels: (U, S, S, 3) RGB 0..255.
        rows: (n,).
        view: called with a picture and its position in `rows`, in several threads.
        facts: all that determines what `view` does; becomes JSON.
        cache: folder, see `data.cache.cache_folder`.
        workers: threads that call `view`.
        title: of the progress bar.

    Raises:
        InputError: the cache cannot be written.
    """
    path = cache / "features" / f"{_key(backbone, pixels, rows, facts)}.npy"
    shape = (len(rows), *(int(side) for side in backbone.output_shape[1:]))
    with _locked(path):
        found = _read(path, shape)
        if found is None:
            _write(path, _computed(backbone, pixels, rows, view, workers, title))
            found = _read(path, shape)
        if found is None:
            raise InputError(f"the features in {path} cannot be read back: remove it or point data.cache=DIR elsewhere")
        return found


def _computed(
    backbone: keras.Model, pixels: Pixels, rows: NDArray[np.int64], view: View, workers: int, title: str
) -> NDArray[np.float32]:
    size = at_once(pixels.shape[1:], _BATCH)

    def batch(start: int) -> NDArray[np.uint8]:
        positions = range(start, min(start + size, len(rows)))
        return np.stack([view(np.array(pixels[rows[position]]), position) for position in positions])

    features = []
    with progress(len(rows), title) as bar:
        for images in worked_ahead(batch, range(0, len(rows), size), workers):
            features.append(np.asarray(backbone.predict_on_batch(images), np.float32))
            bar.update(len(images))
    return np.concatenate(features)


def _key(backbone: keras.Model, pixels: Pixels, rows: NDArray[np.int64], facts: Any) -> str:
    versions = [tf.__version__, keras.__version__]
    computed = backbone.layers[-1].compute_dtype
    shapes = backbone.input_shape, backbone.output_shape  # a head that weighs slices has the features of each
    digest = hashlib.sha256(json.dumps([backbone.name, *shapes, computed, facts, versions]).encode())
    for weights in backbone.get_weights():
        digest.update(np.ascontiguousarray(weights).data)
    for row in rows:
        digest.update(np.ascontiguousarray(pixels[row]).data)
    return digest.hexdigest()[:32]


def _read(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """None if there is no such file, or it is damaged: then it is computed anew."""
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == shape and features.dtype == np.float32 else None


def _write(path: Path, features: NDArray[np.float32]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.save(file, features, allow_pickle=False)
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print("features: waits for the process that computes them", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write features to {path.parent} ({error.strerror or error}): "
        "free some space there or point data.cache=DIR elsewhere"
    )
