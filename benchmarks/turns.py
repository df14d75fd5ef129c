"""Variants measured in turn, each in a process of its own, which runs its work in THREADS threads.

Other programs slow wall time down more than processor time: where the two ratios differ, trust the latter.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

THREADS = 2
WARM_UP = 2  # calls that are not measured
Spent = dict[str, float]


class Clock:
    """What the process, with all its threads, has spent since the clock was made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def spent(self, count: int = 1) -> tuple[float, float]:
        """Seconds of wall and of processor time, each divided by `count`."""
        return (time.perf_counter() - self._wall) / count, (time.process_time() - self._processor) / count


def clocked(task: Callable[[], object], images: int, steps: int = 6) -> tuple[float, float]:
    """Wall and processor seconds of an image, of which one `task` has so many, after a warm-up."""
    for _ in range(WARM_UP):
        task()
    clock = Clock()
    for _ in range(steps):
        task()
    return clock.spent(steps * images)


def clocked_fit(model: Any, batch: tuple[Any, Any], warm_up: int = 4, steps: int = 16) -> tuple[float, float]:
    """Wall and processor seconds of an image in a Keras `fit` on one batch again and again, after a warm-up."""
    import keras  # once the caller has set TensorFlow up

    clocks: list[Clock] = []

    class Warm(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            if step == warm_up:
                clocks.append(Clock())

    batches = (each for each in itertools.repeat(batch))  # Keras takes a generator, and no other iterator
    model.fit(batches, steps_per_epoch=warm_up + steps, callbacks=[Warm()], verbose=0)
    return clocks[0].spent(steps * len(batch[0]))


def in_turn(variants: Sequence[str], rounds: int, arguments: Sequence[str] = ()) -> dict[str, list[Spent]]:
    """What the running script prints last, as JSON, when it is started with `--variant NAME`: by variant and round."""
    found: dict[str, list[Spent]] = {variant: [] for variant in variants}
    # PyTorch's threads spin while they wait, which costs much where other programs want the processors.
    env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
    for number in range(rounds):
        env["ROUND"] = str(number)
        for variant in variants:
            command = [sys.executable, sys.argv[0], *arguments, "--variant", variant]
            done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
            found[variant].append(json.loads(done.stdout.splitlines()[-1]))
            shown = ", ".join(f"{key} {value:.4g}" for key, value in found[variant][-1].items())
            print(f"round {number + 1}/{rounds}, {variant}: {shown}", file=sys.stderr)
    return found


def median(rounds: Sequence[Spent], key: str) -> float:
    """The median over the rounds."""
    return statistics.median(each[key] for each in rounds)


def times(slow: Sequence[Spent], fast: Sequence[Spent], key: str) -> str:
    """How many times as much `slow` spends as `fast`, round by round: the median and the range."""
    ratios = [more[key] / less[key] for more, less in zip(slow, fast, strict=True)]
    digits = 0 if min(ratios) >= 20 else 2
    return f"{statistics.median(ratios):.{digits}f} ({min(ratios):.{digits}f} to {max(ratios):.{digits}f})"
