"""How the search for twins grows: python benchmarks/twins.py [number of images, 2000 8000 32000 by default].

Images come in families of 30: a phantom slice, bent into a new head, and bent a little for each member, so that
members are compared as neighbouring slices are and yet are no twins. The last member is a true twin of the one before
it: mirrored or turned, in another window, with noise. Each size runs in a process of its own. Seconds are those after
decoding; memory is the most that the process held of its own, without the decoded images, which are mapped from disk.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import psutil
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import Contents
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.data.twins import graph
from brain_tumor.data.twins.signature import ORIENTATIONS

SETTINGS = PhantomConfig(subjects=40, slices_per_subject=5, size=224, seed=0)
FAMILY = 30  # images: as many are compared with each as on public data, some 13, whatever the number of images
HEAD, MEMBER = 10.0, 3.0  # pixels that a family, and a member of it, is bent by
THREADS = 2


def bent(image: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """`image` (S, S) moved smoothly by some `pixels`."""
    size = image.shape[0]
    coarse = rng.normal(0, pixels, (2, 6, 6)).astype(np.float32)
    moved = [cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) for field in coarse]
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    return cv2.remap(image, x + moved[0], y + moved[1], cv2.INTER_LINEAR)


def twin(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turn = list(ORIENTATIONS.values())[rng.integers(len(ORIENTATIONS))]
    window = 255 * np.clip(turn(image) / rng.uniform(180, 300), 0, 1) ** rng.uniform(0.8, 1.25)
    return np.clip(window + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def contents(place: Path, slices: list[np.ndarray], count: int) -> Contents:
    """`count` images, written to `place` and mapped."""
    rng = np.random.default_rng(count)
    gray = np.lib.format.open_memmap(place, "w+", np.uint8, (count, SETTINGS.size, SETTINGS.size))
    for number in range(count):
        if number % FAMILY == 0:
            head = bent(slices[rng.integers(len(slices))], HEAD, rng)
        last = number % FAMILY == FAMILY - 1
        gray[number] = twin(gray[number - 1], rng) if last else bent(head, MEMBER, rng)
    gray.flush()
    names = [f"{number:064x}" for number in range(count)]
    table = pd.DataFrame({"sha256": names, "digest": names, "error": ""})
    mapped = np.load(place, mmap_mode="r")
    return Contents(np.broadcast_to(mapped[..., None], (*mapped.shape, 3)), table)


def measure(count: int, phantom: Path, folder: Path) -> None:
    """Print seconds, MiB, and how many planted twins and other pairs were found."""
    slices = [
        np.asarray(Image.open(phantom / path).convert("L")) for path in pd.read_csv(phantom / "table.csv")["path"]
    ]
    images = contents(folder / "images.npy", slices, count)
    process, most, done = psutil.Process(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            held = process.memory_info()
            most = max(most, held.rss - held.shared)

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    found = graph.TwinGraph(graph._find(images, THREADS))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done.set()
    watcher.join()
    first, second = (found.edges[name].map(lambda sha: int(sha, 16)).to_numpy() for name in "ab")
    planted = (second == first + 1) & (second % FAMILY == FAMILY - 1)
    print(wall, cpu, most / 2**20, len(found.candidates), planted.sum() / (count // FAMILY), (~planted).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[2000, 8000, 32000])
    counts = parser.parse_args().counts
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        phantom = ensure_phantom(SETTINGS, Path(scratch), THREADS)
        for count in counts:
            code = f"import twins, pathlib as p; twins.measure({count}, p.Path({str(phantom)!r}), p.Path({scratch!r}))"
            command = [sys.executable, "-c", code]
            done = subprocess.run(command, cwd=Path(__file__).parent, check=True, text=True, stdout=subprocess.PIPE)
            rows.append((count, *map(float, done.stdout.split())))
            print(pd.Series(rows[-1], ["images", "s", "CPU s", "MiB", "compared", "recall", "other edges"]).to_string())
    if len(counts) > 1:
        images, wall, cpu, memory = np.log(np.array(rows)[:, :4]).T
        for name, values in (("seconds", wall), ("CPU seconds", cpu), ("memory", memory)):
            print(f"{name} grow as the number of images to the {np.polyfit(images, values, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
