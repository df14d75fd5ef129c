"""Pairs of pictures compared, in whichever way: in both views, turned alike, by several threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.twins.signature import ORIENTATIONS, Image
from brain_tumor.progress import progress

_BATCH = 64  # pairs handed to a thread at once: a task each would cost more than comparing does


def compared(
    pictures: NDArray[np.uint8],
    pairs: NDArray[np.int64],
    compare: Callable[[Image, Image], float],
    *,
    title: str,
    workers: int,
) -> NDArray[np.float64]:
    """The better of both views' `compare`, (p,), of each pair; with progress under `title`.

    Args:
        pictures: uint8 (n, 2, SIDE, SIDE), of `signature.views`.
        pairs: int64 (p, 3), of `candidates.candidates`.
        compare: of two pictures (SIDE, SIDE), the first turned as the second.
        title: of the progress bar.
        workers: threads.
    """
    turns = list(ORIENTATIONS.values())

    def better(some: NDArray[np.int64]) -> list[float]:
        return [
            max(compare(turns[turn](pictures[first, view]), pictures[second, view]) for view in range(2))
            for first, second, turn in some
        ]

    parts = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
    found: list[float] = []
    with ThreadPoolExecutor(workers) as pool, progress(len(pairs), title) as bar:
        for values in pool.map(better, parts):
            found += values
            bar.update(len(values))
    return np.array(found)
