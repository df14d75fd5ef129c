"""What a sweep's process holds after each trial: python benchmarks/sweep_memory.py [--trials 200] [key=value …].

A sweep of `debug=tiny` with one epoch a trial, as `train -m` runs it, all in this process; what is given as key=value
is added to its command (`model=effnet_lite0`). Each trial writes its line to stderr; the table has the memory that the
process held of its own (mapped files aside) after the tenth trial, half of them and the last, and what was added.
"""

import argparse
import os
import sys
import tempfile
import time

import psutil
from jobs import machine

COMMAND = (
    "debug=tiny",
    "schedule.scratch.epochs=1",
    "schedule.scratch.learning_rate=tag(log, interval(1e-4, 1e-2))",
    "sweep.metric=val/loss",  # seldom equal, so that few trials are the best so far and have their pictures drawn
    "sweep.study=memory",
)
FIRST = 10  # trials after which all that is loaded once has been


def sweep(trials: int, given: list[str]) -> list[float]:
    """The MiB that the process held after each trial."""
    from brain_tumor.models.backend import import_tensorflow

    import_tensorflow()
    from brain_tumor import train
    from brain_tumor.jobs import trial

    held: list[float] = []
    forget_models, process = trial.forget_models, psutil.Process()

    def watched() -> None:
        forget_models()
        memory = process.memory_info()
        held.append((memory.rss - memory.shared) / 2**20)
        print(f"trial {len(held)}: {held[-1]:.0f} MiB, {time.process_time():.0f} s", file=sys.stderr)

    trial.forget_models = watched
    sys.argv[1:] = [*COMMAND, f"sweep.n_trials={trials}", *given, "-m"]
    train.main()
    return held


def main() -> None:
    """Run the sweep and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    chosen, given = parser.parse_known_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        held = sweep(chosen.trials, given)
        os.chdir("/")
    first, middle, last = (held[number - 1] for number in (FIRST, len(held) // 2, len(held)))
    print(f"| after trial | {FIRST} | {len(held) // 2} | {len(held)} | more | a trial |\n{'|---' * 6}|")
    print(f"| MiB | {first:.0f} | {middle:.0f} | {last:.0f} | {last - first:+.0f} | ", end="")
    print(f"{(last - first) / (len(held) - FIRST):+.2f} |")


if __name__ == "__main__":
    main()
