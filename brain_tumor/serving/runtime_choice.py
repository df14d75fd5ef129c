"""Which runtime is to answer for a classifier: the one asked for, or the fastest on this machine."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brain_tumor.command_line import pip_install
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.pixels import at_once, spread
from brain_tumor.errors import InputError
from brain_tumor.evaluation.corruptions import corruptions_of
from brain_tumor.evaluation.prediction import Runtime, answering, observing
from brain_tumor.models.onnx_file import EXTRA
from brain_tumor.models.onnx_model import OnnxModel
from brain_tumor.serving import exports
from brain_tumor.serving.runtimes import FORMATS, missing, require

PAYS = 60.0  # seconds that Keras must have to do before exports, which take some 10 each, can pay
ROUNDS = 5  # timed batches of each runtime, in turn, after one that is not
Kind = Literal["auto", "keras", "onnx", "tflite"]


def choose_for(kind: Kind, model: Any, dataset: Dataset, *, robustness: bool, views: int) -> tuple[Any, str]:
    """`choose` for an evaluation of the test part; exports have to agree on val images, or test ones without any."""
    rows = dataset.rows("val") if len(dataset.rows("val")) else dataset.rows("test")
    passes = views * (1 + robustness * sum(len(each.strengths) for each in corruptions_of(dataset.shape)))
    compared = spread(rows, exports.COMPARED_IMAGES if kind != "keras" else 0)  # itself needs no comparison
    return choose(kind, model, dataset.images(compared), passes * len(dataset.rows("test")))


def choose(kind: Kind, model: Any, images: NDArray[np.uint8], total: int) -> tuple[Any, str]:
    """What is to answer for a classifier, and in a line which runtime that is, and why.

    Args:
        kind: keras, the model itself; onnx or tflite, an export that agrees with it; auto, the fastest of them, or
            keras where no export would pay.
        model: Keras classifier, or one of ONNX, which answers by itself.
        images: uint8 RGB (n, S, S, 3), or whole volumes (n, D, H, W, 1), of its data, on which exports have to agree
            and are timed.
        total: how many images are to be answered.

    Returns:
        An `observing` model, or a Runtime.

    Raises:
        InputError: what `kind` needs is not installed, or disagrees with Keras.
    """
    observed = observing(model)
    if isinstance(model, OnnxModel):
        return observed, "onnx, as it was adopted"
    if kind == "keras":
        return observed, "keras"
    if kind != "auto":
        return exported(kind, model, images)
    there = [name for name in ("onnx", "tflite") if not missing(name)]
    if not there:
        return observed, f"keras (others to choose from: {pip_install(EXTRA)})"
    alone = seconds({"keras": answering(observed)}, images)["keras"] * total
    if alone < PAYS:
        return observed, f"keras ({total} images take it about {alone:.0f} s, too few for an export to pay)"
    runs, failed = {"keras": answering(observed)}, ""
    for name in there:
        try:
            runs[name] = exported(name, model, images)[0]
        except InputError as error:
            failed += f"; {error}"
    taken = seconds(runs, images)
    best = min(taken, key=taken.__getitem__)
    figures = ", ".join(f"{name} {1000 * each:.2f}" for name, each in taken.items())
    return observed if best == "keras" else runs[best], f"{best} (milliseconds an image: {figures}{failed})"


def exported(name: str, model: Any, images: NDArray[np.uint8]) -> tuple[Runtime, str]:
    """A classifier in the runtime of a format, once it agrees with Keras on `images`, and how far, in a line."""
    require(name)
    with tempfile.TemporaryDirectory() as folder:
        run, agreement = exports.make(name, model, Path(folder) / FORMATS[name].file, images)
    return run, f"{name} ({agreement})"


def seconds(runs: Mapping[str, Runtime], images: NDArray[np.uint8]) -> dict[str, float]:
    """Seconds an image that each takes for `images`, of which one batch: median of ROUNDS in which they take turns."""
    images = images[: at_once(images.shape[1:], len(images))]
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(images)
            if turn:
                taken[name].append((time.perf_counter() - started) / len(images))
    return {name: median(each) for name, each in taken.items()}
