"""Training batches: one endless stream, the same whatever the number of workers and wherever it starts."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.augment import Augment, Sample
from brain_tumor.data.masks import PackedMasks, on_grid
from brain_tumor.data.pixels import Pixels
from brain_tumor.data.prefetch import worked_ahead

Truth = NDArray[np.int32] | NDArray[np.float32]  # labels (B,), or `beside` a teacher's logits (B, 1 + C)
Targets = Truth | tuple[Truth, NDArray[np.float32]]  # with maps (B, h, w, 1)
# inputs (B, …), targets and, where images are weighted, the weights (B,)
Batch = tuple[NDArray[Any], Targets] | tuple[NDArray[Any], Targets, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Examples:
    """n training images: rows of `pixels` with their labels."""

    pixels: Pixels  # (U, S, S, 3) RGB 0..255; may be mapped from disk
    rows: NDArray[np.int64]  # (n,): the picture in `pixels` of each
    labels: NDArray[np.int32]  # (n,): its class
    weights: NDArray[np.float32] | None = None  # (n,): of each in the loss; None: all alike
    masks: PackedMasks | None = None  # the lesion of each; None: not looked at
    grid: tuple[int, int] | None = None  # cells (h, w) of the lesion map that is learned, too; None: of none
    teacher: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None  # of images its logits

    def sample(self, index: int) -> Sample:
        """An example by its position, as it is."""
        mask = None if self.masks is None else self.masks[index]
        return Sample(np.array(self.pixels[self.rows[index]]), int(self.labels[index]), mask)


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
        augment: called with a sample, the epoch and the image's position among the examples.
        workers: threads; each makes whole batches, two batches a thread ahead of the consumer.
        first_epoch: 0 for a new stream.

    Yields:
        images uint8 (B, S, S, 3), labels int32 (B,) and, where the examples have weights, those (B,); B = batch_size
        but for an epoch's last batch. With a `grid`, for the labels a pair: these, and lesion maps float32
        (B, h, w, 1), a cell being the share of it that is lesion, or -1 where the lesion is not known. With a `teacher`
        labels are `beside` what it says of the very images.
    """

    def make(task: tuple[int, NDArray[np.int64]]) -> Batch:
        epoch, indices = task
        seen = [augment(examples.sample(int(index)), epoch, int(index)) for index in indices]
        images = np.stack([each.image for each in seen])
        labels = np.array([each.label for each in seen], np.int32)
        truth: Truth = labels if examples.teacher is None else beside(labels, examples.teacher(images))
        targets: Targets = truth
        if examples.grid is not None:
            targets = truth, np.stack([on_grid(each.mask, examples.grid) for each in seen])
        return _weighted(images, targets, examples.weights, indices)

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
    taught: Sequence[NDArray[np.float32]] | None = None,
) -> Generator[Batch, None, None]:
    """As `train_batches`, of features (n, D) that are known: those of one of the `views`, in turn, for each epoch.

    The order is that of `train_batches`. Epoch `first_view` has the first view. `taught`: a teacher's logits (n, C) of
    each view.
    """
    for epoch, indices in _tasks(len(labels), batch_size, seed, first_epoch):
        view = (epoch - first_view) % len(views)
        own = labels[indices].astype(np.int32)
        truth = own if taught is None else beside(own, taught[view][indices])
        yield _weighted(views[view][indices], truth, weights, indices)


def beside(labels: NDArray[np.int32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Labels (B,) and a teacher's logits (B, C) as one array (B, 1 + C), the labels first."""
    return np.column_stack([labels, logits]).astype(np.float32)


def _tasks(images: int, batch_size: int, seed: int, first_epoch: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    if images == 0:
        raise ValueError("no training images")
    for epoch in count(first_epoch):
        order = np.random.default_rng([seed, epoch]).permutation(images)
        for start in range(0, images, batch_size):
            yield epoch, order[start : start + batch_size]


def _weighted(
    inputs: NDArray[Any], targets: Targets, weights: NDArray[np.float32] | None, indices: NDArray[np.int64]
) -> Batch:
    return (inputs, targets) if weights is None else (inputs, targets, weights[indices].astype(np.float32))
