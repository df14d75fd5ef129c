"""Training batches: one endless stream, the same whatever the number of workers and wherever it starts."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.augment import Augment
from brain_tumor.data.pixels import Pixels
from brain_tumor.data.prefetch import worked_ahead

# inputs (B, …), labels (B,) and, where images are weighted, those (B,)
Batch = tuple[NDArray[Any], NDArray[np.int32]] | tuple[NDArray[Any], NDArray[np.int32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Examples:
    """n training images: rows of `pixels` with their labels."""

    pixels: Pixels  # (U, S, S, 3) RGB 0..255; may be mapped from disk
    rows: NDArray[np.int64]  # (n,): the picture in `pixels` of each
    labels: NDArray[np.int32]  # (n,): its class
    weights: NDArray[np.float32] | None = None  # (n,): of each in the loss; None: all alike


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches that hold all images once; the last one may be smaller."""
    return -(-images // batch_size)


def train_batches(
    examples: Examples, *, batch_size: int, seed: int, augment: Augment, workers: int, first_epoch: int = 0
) -> Generator[Batch, None, None]:
    """Shuffled, augmented batches, epoch after epoch without end.

    The order of epoch e and each image's augmentation depend on e and the seeds alone, so a stream that
    starts at epoch k goes on as the uninterrupted one. Closing the generator (`.close()`) ends its threads.

    Args:
        examples: what is learned from.
        batch_size: images a batch.
        seed: of the order; `augment` brings its own.
        augment: called with a picture, the epoch and the image's position among the examples.
        workers: threads; each makes whole batches, two batches a thread ahead of the consumer.
        first_epoch: 0 for a new stream.

    Yields:
        images uint8 (B, S, S, 3), labels int32 (B,) and, where the examples have weights, those (B,); B = batch_size
        but for an epoch's last batch.
    """

    def make(task: tuple[int, NDArray[np.int64]]) -> Batch:
        epoch, indices = task
        pictures = (np.array(examples.pixels[examples.rows[index]]) for index in indices)
        images = np.stack([augment(each, epoch, int(index)) for each, index in zip(pictures, indices, strict=True)])
        return _batch(images, examples.labels, examples.weights, indices)

    yield from worked_ahead(make, _tasks(len(examples.rows), batch_size, seed, first_epoch), workers)


def feature_batches(
    views: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int32],
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_view: int = 0,
    weights: NDArray[np.float32] | None = None,
) -> Generator[Batch, None, None]:
    """As `train_batches`, of features (n, D) that are known: those of one of the `views`, in turn, for each epoch.

    The order is that of `train_batches`. Epoch `first_view` has the first view.
    """
    for epoch, indices in _tasks(len(labels), batch_size, seed, first_epoch):
        yield _batch(views[(epoch - first_view) % len(views)][indices], labels, weights, indices)


def _tasks(images: int, batch_size: int, seed: int, first_epoch: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    if images == 0:
        raise ValueError("no training images")
    for epoch in count(first_epoch):
        order = np.random.default_rng([seed, epoch]).permutation(images)
        for start in range(0, images, batch_size):
            yield epoch, order[start : start + batch_size]


def _batch(
    inputs: NDArray[Any], labels: NDArray[np.int32], weights: NDArray[np.float32] | None, indices: NDArray[np.int64]
) -> Batch:
    classes = labels[indices].astype(np.int32)
    return (inputs, classes) if weights is None else (inputs, classes, weights[indices].astype(np.float32))
