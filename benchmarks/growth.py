"""How cost grows with images, resolution and batch: python benchmarks/growth.py [images size batch] [--rounds 2].

`images`: hashes and decodes SYNTHETIC images (`read`), then trains `cnn_baseline` on them at 64 px for an epoch.
`size`, `batch`: a training step of EfficientNet-Lite0 (batch 32; 160 px). Memory is the most that the process held of
its own, mapped files aside. The exponent is the slope in logarithms. Two threads, each point in a process of its own.
"""

import argparse
import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from jobs import machine
from networks import endless, learner, ours, pictures
from turns import THREADS, Clock, in_turn, median

SERIES = {"images": (500, 1000, 2000, 4000), "size": (96, 128, 160, 224), "batch": (8, 16, 32, 64)}
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

    from brain_tumor.config import PhantomConfig
    from brain_tumor.data.phantom.generate import draw_subject

    config, rng = PhantomConfig(), np.random.default_rng(0)
    slices = [picture for subject in range(8) for _, picture, _ in draw_subject(config, subject)]
    paths = [folder / f"{number:05d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        picture = slices[number % len(slices)]
        noisy = picture + rng.normal(0, 2, picture.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path)
    return paths


def epoch(count: int) -> dict[str, float]:
    """Seconds of decoding into a new cache, and of an epoch of training."""
    from omegaconf import OmegaConf

    from brain_tumor.config import AugmentConfig
    from brain_tumor.data.augment import build
    from brain_tumor.data.batches import steps_per_epoch, train_batches
    from brain_tumor.data.cache import decoded, hash_files
    from brain_tumor.models.backend import start_tensorflow
    from brain_tumor.typed import typed

    start_tensorflow(THREADS)
    from networks import CONF

    from brain_tumor.models.classifier import build_classifier

    config: Any = OmegaConf.load(CONF / "augment/notebook.yaml")
    augment = build(typed(AugmentConfig, config), 0)
    learning = learner(build_classifier("cnn_baseline", image_size=SIDE, weights=None, dropout=0.2, seed=0), 1)
    learning.fit(endless(pictures(32, SIDE)), steps_per_epoch=WARM_UP, shuffle=False, verbose=0)
    with tempfile.TemporaryDirectory() as scratch:
        files = written(count, Path(scratch))
        peak, clock = Peak(), Clock()
        shas, _ = hash_files(files, THREADS)
        pixels = decoded(dict(zip(shas, files, strict=True)), SIDE, Path(scratch) / "cache", THREADS).pixels
        read_wall, read_processor = clock.spent()
        clock = Clock()
        stream = train_batches(
            pixels,
            np.arange(count),
            (np.arange(count) % 4).astype(np.int32),
            batch_size=32,
            seed=0,
            augment=augment,
            workers=THREADS,
        )
        learning.fit(stream, steps_per_epoch=steps_per_epoch(count, 32), shuffle=False, verbose=0)
        wall, processor = clock.spent()
        stream.close()
    read = {"read wall": read_wall, "read processor": read_processor}
    return {**read, "wall": wall, "processor": processor, "MiB": peak.bytes / 2**20}


def main() -> None:
    """Measure the series in turn and print a table of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("series", nargs="*", default=list(SERIES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        series, number = chosen.variant.split("=")
        value = int(number)
        spent = epoch(value) if series == "images" else step(value, 32) if series == "size" else step(160, value)
        print(json.dumps(spent))
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
