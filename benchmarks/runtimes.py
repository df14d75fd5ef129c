"""Single-image latency, throughput, size and memory of a classifier in each runtime.

    pip install 'brain-tumor[export,benchmarks]'
    python benchmarks/runtimes.py [effnet_lite0 [160]]

Each runtime opens its file in a process of its own, on two threads and two cores, and all take turns, round after
round. Ratios are to Keras' `predict_on_batch` in the same round: median over rounds, with the lowest and highest.
Processor time stands beside wall time, since what else a shared machine does is in the latter alone.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from jobs import machine
from numpy.typing import NDArray

from brain_tumor.serving.runtimes import FORMATS

THREADS, ROUNDS, SINGLE, BATCHES, BATCH = 2, 3, 40, 4, 32
KERAS = "keras"
FILES = {KERAS: "model.keras", **{name: each.file for name, each in FORMATS.items()}, "openvino": "model.onnx"}
HEADER = f"""| runtime | one image: ms | its 95th percentile | processor ms | times as fast as keras | by processor \
| batches of {BATCH}: images/s | processor ms an image | times as fast | by processor | MiB on disk | peak MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
Images = NDArray[np.uint8]


def make(name: str, side: int, folder: Path) -> None:
    """A classifier with ImageNet weights where this package brings them, in every format."""
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow(THREADS)

    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.models.weights import resolve_weights
    from brain_tumor.serving.exports import convert

    weights = resolve_weights(name, "imagenet") if "lite" in name else None
    model = build_classifier(name, shape=(side, side, 3), weights=weights, dropout=0.2, seed=0)
    model.save(folder / FILES[KERAS])
    for each in FORMATS:
        convert(each, model, folder / FILES[each], pixels(32, side))


def pixels(count: int, side: int) -> Images:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def opened(name: str, path: Path) -> Callable[[Images], Any]:
    if name == KERAS:
        from brain_tumor.models.backend import start_tensorflow

        start_tensorflow(THREADS)
        import keras

        from brain_tumor.evaluation.prediction import answering, observing

        return answering(observing(keras.saving.load_model(path, compile=False)))
    if name == "openvino":
        import openvino

        options = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(path, "CPU", options)
        return lambda images: compiled([images])
    return FORMATS[name].open(path)


def measure(name: str, path: Path, side: int) -> dict[str, Any]:
    """Milliseconds (wall, processor) of each single image and an image of each batch; MiB at the peak."""
    run = opened(name, path)
    found: dict[str, Any] = {}
    for key, count, times in (("single", 1, SINGLE), ("batch", BATCH, BATCHES)):
        images = pixels(count, side)
        for _ in range(3):
            run(images)
        rows = []
        for _ in range(times):
            wall, processor = time.perf_counter(), time.process_time()
            run(images)
            rows.append((time.perf_counter() - wall, time.process_time() - processor))
        found[key] = [[1000 * each / count for each in row] for row in rows]
    found["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def child(*arguments: str) -> str:
    """This script in a process of its own, on the first THREADS cores that are ours."""
    cores = sorted(os.sched_getaffinity(0))[:THREADS]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": str(THREADS)},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def row(name: str, rounds: list[dict[str, dict[str, Any]]], size: int) -> str:
    singles = np.concatenate([each[name]["single"] for each in rounds])  # (n, 2): wall, processor
    batches = np.concatenate([each[name]["batch"] for each in rounds])
    single, batch = np.median(singles, axis=0), np.median(batches, axis=0)
    cells = [f"{single[0]:.1f}", f"{np.quantile(singles[:, 0], 0.95):.1f}", f"{single[1]:.1f}"]
    cells += [ratio(name, rounds, "single", column) for column in (0, 1)]
    cells += [f"{1000 / batch[0]:.0f}", f"{batch[1]:.1f}"]
    cells += [ratio(name, rounds, "batch", column) for column in (0, 1)]
    cells += [f"{size / 2**20:.1f}", f"{median([each[name]['mib'] for each in rounds]):.0f}"]
    return f"| {name} | " + " | ".join(cells) + " |"


def ratio(name: str, rounds: list[dict[str, dict[str, Any]]], key: str, column: int) -> str:
    """How many times as fast as Keras in the same round: median, lowest to highest."""
    found = []
    for each in rounds:
        ours, keras = (np.median(np.array(each[who][key])[:, column]) for who in (name, KERAS))
        found.append(keras / ours)
    return f"{median(found):.1f} ({min(found):.1f} to {max(found):.1f})"


def main(name: str, side: int) -> None:
    names = [each for each in FILES if each != "openvino" or importlib.util.find_spec("openvino")]
    packages = ["onnxruntime", "ai-edge-litert", *(["openvino"] if "openvino" in names else [])]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        child("make", name, str(side), text)
        rounds = []
        for turn in range(ROUNDS):
            found = {}
            for each in names[turn % len(names) :] + names[: turn % len(names)]:
                found[each] = json.loads(child("measure", each, str(folder / FILES[each]), str(side)))
            rounds.append(found)
        print(f"{name}, {side} px, {THREADS} threads, {ROUNDS} rounds; {machine(*packages)}\n")
        print(HEADER)
        for each in names:
            print(row(each, rounds, (folder / FILES[each]).stat().st_size))


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(*(sys.argv[1:2] or ["effnet_lite0"]), int(*(sys.argv[2:3] or ["160"])))
