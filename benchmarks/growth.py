"""How cost grows: python benchmarks/growth.py [read epoch size batch trials files] [--rounds 2].

`read`: hashing SYNTHETIC images and decoding them to 64 px into a new cache. `epoch`: training `cnn_baseline` on them
for an epoch. `size`, `batch`: a training step of EfficientNet-Lite0 (batch 32; 160 px). `trials`: what the sweeper adds
to a trial where so many are finished; the processor time is without, the wall time with what it takes to bring the
study's MLflow run up to date, which is the third column (`sweep_overhead.py`). `files`: answering for SYNTHETIC images
with `cnn_baseline` at 64 px, as `predict` does, to the table at its end. Memory is the most that the process held of
its own, mapped files aside; of `trials` the most of the sweep's, with them. The exponent is the slope in logarithms.
Two threads, each point in a process of its own.
"""

import argparse
import json
import resource
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from jobs import machine
from networks import endless, learner, ours, pictures
from turns import THREADS, Clock, in_turn, median

SERIES = {
    "read": (1000, 4000, 16000, 50000),
    "epoch": (1000, 4000, 16000),
    "size": (96, 128, 160, 224),
    "batch": (8, 16, 32, 64),
    "trials": (10, 100, 1000, 5000),
    "files": (1000, 4000, 16000, 50000),
}
SIDE, STEPS, WARM_UP = 64, 5, 2


class Peak:
    """Watches the memory that the process holds of its own."""

    def __init__(self) -> None:
        self.bytes, self._done = 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.02):
            held = process.memory_info()
            self.bytes = max(self.bytes, held.rss - held.shared)


def step(size: int, batch: int) -> dict[str, float]:
    """Seconds of a training step."""
    model, images = ours(size), pictures(batch, size)
    learning = learner(model, STEPS)
    fed = endless(images)
    learning.fit(fed, steps_per_epoch=WARM_UP, shuffle=False, verbose=0)
    peak, clock = Peak(), Clock()
    learning.fit(fed, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    wall, processor = clock.spent(STEPS)
    return {"wall": wall, "processor": processor, "MiB": peak.bytes / 2**20}


def written(count: int, folder: Path) -> list[Path]:
    """Files of `count` different pictures: phantom slices, each again with noise of its own."""
    from PIL import Image

    from brain_tumor.config.train import PhantomConfig
    from brain_tumor.data.phantom.generate import draw_subject

    config, rng = PhantomConfig(), np.random.default_rng(0)
    slices = [picture for subject in range(8) for _, picture, _ in draw_subject(config, subject)]
    paths = [folder / f"{number:05d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        picture = slices[number % len(slices)]
        noisy = picture + rng.normal(0, 2, picture.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path, compress_level=1)  # quick to write
    return paths


def stored(files: list[Path], cache: Path) -> Any:
    """The pixels of `files`, decoded into `cache`."""
    from brain_tumor.data.cache import decoded, hash_files

    shas, _ = hash_files(files, THREADS)
    return decoded(dict(zip(shas, files, strict=True)), SIDE, cache, THREADS).pixels


def read(count: int) -> dict[str, float]:
    """Seconds of decoding so many files into a new cache."""
    with tempfile.TemporaryDirectory() as scratch:
        files = written(count, Path(scratch))
        peak, clock = Peak(), Clock()
        stored(files, Path(scratch) / "cache")
        wall, processor = clock.spent()
    return {"wall": wall, "processor": processor, "MiB": peak.bytes / 2**20}


def epoch(count: int) -> dict[str, float]:
    """Seconds of an epoch of training."""
    from omegaconf import OmegaConf

    from brain_tumor.config.train import AugmentConfig
    from brain_tumor.config.validation import typed
    from brain_tumor.data.augment import build
    from brain_tumor.data.batches import Examples, steps_per_epoch, train_batches
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow(THREADS)
    from composed import CONF

    from brain_tumor.models.classifier import build_classifier

    config: Any = OmegaConf.load(CONF / "augment/notebook.yaml")
    augment = build(typed(AugmentConfig, config), 0)
    learning = learner(build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0.2, seed=0), 1)
    learning.fit(endless(pictures(32, SIDE)), steps_per_epoch=WARM_UP, shuffle=False, verbose=0)
    with tempfile.TemporaryDirectory() as scratch:
        pixels = stored(written(count, Path(scratch)), Path(scratch) / "cache")
        peak, clock = Peak(), Clock()
        examples = Examples(pixels, np.arange(count), (np.arange(count) % 4).astype(np.int32))
        stream = train_batches(examples, batch_size=32, seed=0, augment=augment, workers=THREADS)
        learning.fit(stream, steps_per_epoch=steps_per_epoch(count, 32), shuffle=False, verbose=0)
        wall, processor = clock.spent()
        stream.close()
    return {"wall": wall, "processor": processor, "MiB": peak.bytes / 2**20}


def trials(count: int) -> dict[str, float]:
    """Seconds that the sweeper adds to a trial."""
    from sweep_overhead import TRIALS, grown, overhead, sweep, tracking

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        last = grown(folder, count)
        whole = processor(lambda: sweep(folder, last))
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        start = processor(lambda: sweep(folder, last))  # which has nothing left to do
        shown = tracking(folder)
        wall = overhead(folder) + shown
        return {"wall": wall, "processor": (whole - start) / TRIALS, "MLflow wall": shown, "MiB": memory}


def files(count: int) -> dict[str, float]:
    """Seconds of answering for so many files."""
    from brain_tumor.data.classes import STANDARD
    from brain_tumor.models.backend import start_tensorflow
    from brain_tumor.serving.files import answer_files, find_stacks, read_stacks
    from brain_tumor.serving.journal import journal_of
    from brain_tumor.serving.predictor import keras_predictor

    start_tensorflow(THREADS)

    from brain_tumor.models.classifier import build_classifier

    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0.2, seed=0)
    predictor = keras_predictor(model, "models:/growth/1", STANDARD, None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = [path.name for path in written(count, folder)]
        peak, clock = Peak(), Clock()
        with journal_of(folder / "answers.csv", {"model": predictor.uri}) as journal:
            found = find_stacks(folder, names)
            for file, answer in answer_files(
                predictor, read_stacks(folder, found, SIDE, plane="auto", workers=THREADS)
            ):
                journal.append(file, answer)
            journal.finish()
        wall, processor = clock.spent()
    return {"wall": wall, "processor": processor, "MiB": peak.bytes / 2**20}


def processor(task: Callable[[], None]) -> float:
    """Processor seconds of the processes that a task starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    task()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


MEASURES: dict[str, Callable[[int], dict[str, float]]] = {
    "read": read,
    "epoch": epoch,
    "size": lambda size: step(size, 32),
    "batch": lambda batch: step(160, batch),
    "trials": trials,
    "files": files,
}


def main() -> None:
    """Measure the series in turn and print a table of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("series", nargs="*", default=list(SERIES), metavar="series", help=", ".join(SERIES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        series, number = chosen.variant.split("=")
        print(json.dumps(MEASURES[series](int(number))))
        return
    print(machine())
    for series in chosen.series:
        found = in_turn([f"{series}={value}" for value in SERIES[series]], chosen.rounds)
        print_table(series, list(found.values()))


def print_table(series: str, found: list[list[dict[str, float]]]) -> None:
    """A row a point, and the exponents."""
    keys = list(found[0][0])
    values = np.array([[median(rounds, key) for key in keys] for rounds in found])
    print(f"| {series} | {' | '.join(key if key == 'MiB' else f'{key}, s' for key in keys)} |")
    print("|---" * (1 + len(keys)) + "|")
    for value, row in zip(SERIES[series], values, strict=True):
        print(f"| {value} | {' | '.join(f'{each:.3g}' if each < 100 else f'{each:.0f}' for each in row)} |")
    slopes = [np.polyfit(np.log(SERIES[series]), np.log(column), 1)[0] for column in values.T]
    print(f"| exponent | {' | '.join(f'{slope:.2f}' for slope in slopes)} |")


if __name__ == "__main__":
    main()
