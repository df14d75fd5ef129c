"""Time to the validation score that the plain script reaches: python benchmarks/time_to_accuracy.py DIR [OPTIONS].

Divides the images of DIR once (`--protocol`, `--patients`), copies the parts into a folder tree, and trains on it, in
turn for each seed: `plain_keras.py`, and `train schedule=fast`. Each is a process of its own, whose start counts. For
both it notes when each epoch's validation score (macro F1) is known, and prints how long ours took to reach the best
one of the plain script, in processor time (which other work on the machine hardly touches) and wall time. The test
part's accuracy comes from each program's own end and decides nothing. Our cache of decoded images and of twins is empty
for the first seed and filled for the others.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from composed import configured
from jobs import machine

from brain_tumor.data.dataset import load

EPOCH = re.compile(r"epoch \d+.*val/macro_f1 ([\d.]+)")
TEST = re.compile(r"test accuracy ([\d.]+)|^test part|^  accuracy +([\d.]+)")


@dataclass
class Course:
    """A run: the score, processor seconds and wall seconds at the end of each epoch; the test part's accuracy."""

    epochs: list[tuple[float, float, float]] = field(default_factory=list)
    test: float = float("nan")

    @property
    def best(self) -> tuple[float, float, float]:
        """The epoch with the best score, the first of equals."""
        return max(self.epochs, key=lambda epoch: epoch[0])

    def reaching(self, score: float) -> tuple[float, float, float] | None:
        """The first epoch with at least that score."""
        return next((epoch for epoch in self.epochs if epoch[0] >= score), None)


def divided(root: str, protocol: str, patients: str | None, tree: Path, cache: Path) -> dict[str, int]:
    """Copy the parts of the images to `tree`/part/class; returns how many there are of each."""
    choices = ["data=folder", f"data.root='{root}'", f"protocol={protocol}", "data.calibration_fraction=null"]
    choices += [f"data.cache='{cache}'", "data.val_fraction=0.2"]
    choices += [f"data.patients='{patients}'"] if patients else []
    config = configured(choices)
    split = load(config.data, shape=(32, 32, 3), protocol=config.protocol).split
    for number, row in enumerate(split.table.itertuples()):
        place = tree / str(row.part) / str(row.label)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(split.root / str(row.path), place / f"{number}{Path(str(row.path)).suffix}")
    return {part: sum(classes.values()) for part, classes in split.counts.items()}


def followed(command: list[str], folder: Path) -> Course:
    """Run the command, noting the clocks whenever it prints an epoch's score."""
    course, began, in_test = Course(), time.perf_counter(), False
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    watched = psutil.Process(process.pid)
    assert process.stdout is not None
    for line in process.stdout:
        found = EPOCH.search(line)
        if found:
            used = watched.cpu_times()
            course.epochs.append((float(found[1]), used.user + used.system, time.perf_counter() - began))
            print(f"  {line.strip()} ({used.user + used.system:.0f} s of processor time)", file=sys.stderr)
        accuracy = TEST.search(line)
        if accuracy and (accuracy[1] or (in_test and accuracy[2])):
            course.test = float(accuracy[1] or accuracy[2])
        in_test = line.startswith("test part") or (in_test and line.startswith("  "))
    if process.wait():
        sys.exit(f"failed: {' '.join(command)}")
    return course


def commands(tree: Path, cache: Path, seed: int, size: int, schedule: str) -> dict[str, list[str]]:
    shown = ["bootstrap=100", "explain.views=1", "tracking.system_metrics=false"]
    ours = ["data=folder", f"data.root={tree}", "protocol=official", "data.calibration_fraction=null", *shown]
    ours += ["model=effnet_lite0", f"data.image_size={size}", f"schedule={schedule}", f"seed={seed}"]
    peer = [sys.executable, str(Path(__file__).with_name("plain_keras.py")), str(tree)]
    return {
        "plain": [*peer, "--size", str(size), "--seed", str(seed)],
        "ours": [sys.executable, "-m", "brain_tumor.train", *ours, f"data.cache={cache}"],
    }


def report(pairs: list[dict[str, Course]]) -> None:
    """Print the table, a row a seed, and the ratios."""
    print(
        "| seed | plain: best val macro F1 | after | test accuracy "
        "| ours: that score after | best | test accuracy | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    ratios = []
    for seed, pair in enumerate(pairs):
        peer, ours = pair["plain"], pair["ours"]
        reached = ours.reaching(peer.best[0])
        if reached:
            ratios.append(peer.best[1] / reached[1])
        after = f"{reached[1]:.0f} s ({reached[2]:.0f} s)" if reached else f"not reached in {ours.epochs[-1][1]:.0f} s"
        print(
            f"| {seed} | {peer.best[0]:.3f} | {peer.best[1]:.0f} s ({peer.best[2]:.0f} s) | {peer.test:.3f} "
            f"| {after} | {ours.best[0]:.3f} | {ours.test:.3f} | {f'{ratios[-1]:.2f}' if reached else ''} |"
        )
    if ratios:
        print(f"ratio, median: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    whole = [pair["plain"].epochs[-1][1] / pair["ours"].epochs[-1][1] for pair in pairs]
    print(f"whole training, plain to ours: {statistics.median(whole):.2f} ({min(whole):.2f} to {max(whole):.2f})")
    for name in ("plain", "ours"):
        print(f"test accuracy, {name}: mean {statistics.mean(pair[name].test for pair in pairs):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root")
    parser.add_argument("--protocol", choices=["official", "grouped"], default="grouped")
    parser.add_argument("--patients")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--schedule", default="fast")
    chosen = parser.parse_args()
    root, patients = (str(Path(path).resolve()) if path else None for path in (chosen.root, chosen.patients))
    with tempfile.TemporaryDirectory() as scratch:
        folder, tree = Path(scratch), Path(scratch) / "tree"
        assert root is not None
        counts = divided(root, chosen.protocol, patients, tree, folder / "first")
        pairs = []
        for seed in range(chosen.seeds):
            pairs.append({})
            for name, command in commands(tree, folder / "cache", seed, chosen.size, chosen.schedule).items():
                print(f"seed {seed}, {name}", file=sys.stderr)
                pairs[-1][name] = followed(command, folder)
    print(f"{chosen.protocol}{', patients known' if patients else ''}, {counts}, {chosen.size} px; {machine()}")
    print("processor seconds (wall seconds) since the program's start")
    report(pairs)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
