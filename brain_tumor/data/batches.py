"""Training batches: one endless stream, the same whatever the number of workers and wherever it starts."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.augment import Augment

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]] | tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches that hold all images once; the last one may be smaller."""
    return -(-images // batch_size)


def train_batches(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    *,
    batch_size: int,
    seed: int,
    augment: Augment,
    workers: int,
    first_epoch: int = 0,
    weights: NDArray[np.float32] | None = None,
) -> Generator[Batch, None, None]:
    """Shuffled, augmented batches, epoch after epoch without end.

    The order of epoch e and each image's augmentation depend on e and the seeds alone, so a stream that
    starts at epoch k goes on as the uninterrupted one. Closing the generator (`.close()`) ends its threads.

    Args:
        pixels: (U, S, S, 3) RGB 0..255; may be mapped from disk.
        rows: (n,): the picture in `pixels` of each training image.
        labels: (n,): its class.
        batch_size: images a batch.
        seed: of the order; `augment` brings its own.
        augment: called with a picture, the epoch and the image's position in `rows`.
        workers: threads; each makes whole batches, two batches a thread ahead of the consumer.
        first_epoch: 0 for a new stream.
        weights: (n,): of each image in the loss; None: all alike.

    Yields:
        images uint8 (B, S, S, 3), labels int32 (B,) and, where `weights` are given, those (B,); B = batch_size but for
        an epoch's last batch.
    """

    def make(epoch: int, indices: NDArray[np.int64]) -> Batch:
        images = np.stack([augment(np.array(pixels[rows[index]]), epoch, int(index)) for index in indices])
        classes = labels[indices].astype(np.int32)
        return (images, classes) if weights is None else (images, classes, weights[indices].astype(np.float32))

    def tasks() -> Iterator[tuple[int, NDArray[np.int64]]]:
        for epoch in count(first_epoch):
            order = np.random.default_rng([seed, epoch]).permutation(len(rows))
            for start in range(0, len(rows), batch_size):
                yield epoch, order[start : start + batch_size]

    if len(rows) == 0:
        raise ValueError("no training images")
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    ahead: deque[Future[Batch]] = deque()
    try:
        for task in tasks():
            ahead.append(pool.submit(make, *task))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
