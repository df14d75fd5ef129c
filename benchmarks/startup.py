"""What each command takes to answer: python benchmarks/startup.py [--rounds 5] [--first-step].

Processor and wall seconds of every entry's `--help`, of mistakes in the configuration, and of mistakes in the folder of
images, as a user types them: the median of the rounds, run in turn, after one that fills Python's cache of compiled
modules. With `--first-step` also those of `train`, on 40 generated people at 32 px, from the command to the end of its
first training step.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from brain_tumor.data.classes import STANDARD

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "train --help",
    "train model=nope",
    "train schedule.all.epochs=zero",
    "train hardware.micro_batch=5",
    "evaluate --help",
    "evaluate model_uri=x bootstrap=zero",
    "audit --help",
    "audit floor=perhaps",
    "compare --help",
    "compare a b bootstrap=zero",
    "study --help",
    "study colour=red",
    "predict --help",
    "predict model_uri=x input=x plane=nope",
    "app --help",
    "app model_uri=x port=nope",
    "checks --help",
    "checks seed=zero",
    "lr_find --help",
    "lr_find steps=few",
    "ensemble --help",
    "ensemble run=x register=y coverage=[2]",
    "pool --help",
    "pool model_uri=x coverage=[2]",
    "export --help",
    "export model_uri=x out=x formats=[nope]",
    "train data=folder data.root=no_such_folder",
    "train data=folder data.root=one_class",
    "train data=folder data.root=unreadable",
)
# The progress bar's callback sees the first step, and ends the process. It is set once the program has imported Keras.
FIRST_STEP = """
import os
from brain_tumor import entry, train
load = entry.job
def job(*given, **options):
    found = load(*given, **options)
    from brain_tumor.training import callbacks
    callbacks.Progress.on_train_batch_end = lambda self, batch, logs=None: (float(logs["loss"]), os._exit(0))
    return found
entry.job = job
train.main()
"""
TINY = (
    "data.phantom.subjects=40",
    "data.image_size=32",
    "model=cnn_baseline",
    "schedule=scratch",
    "tracking.system_metrics=false",
)


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Processor and wall seconds of a command that is run in `folder`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def _make_folders(place: Path) -> None:
    """Images that lack three classes, and a set that holds no picture."""
    (place / "one_class" / "glioma").mkdir(parents=True)
    for name in STANDARD.names:
        (place / "unreadable" / name).mkdir(parents=True)
        (place / "unreadable" / name / "a.png").write_text("no picture")


def main() -> None:
    """Run the commands in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first-step", action="store_true")
    chosen = parser.parse_args()
    commands = {text: [sys.executable, "-m", *f"brain_tumor.{text}".split()] for text in COMMANDS}
    if chosen.first_step:
        commands["train, to its first step"] = [sys.executable, "-c", FIRST_STEP, *TINY]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        _make_folders(Path(folder))
        for index in range(chosen.rounds + 1):
            for name, command in commands.items():
                each = measured(command, Path(folder))
                if index:
                    found[name].append(each)
    print("| command | processor s | wall s |\n|---|---|---|")
    for name, values in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"| `{name}` | {cpu:.2f} | {wall:.2f} |", flush=True)
    print(f"median of {chosen.rounds}; {os.cpu_count()} cores, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
