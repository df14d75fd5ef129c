import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from brain_tumor.config.train import AugmentConfig
from brain_tumor.data.augment import Sample, build
from brain_tumor.data.batches import Examples, steps_per_epoch, train_batches
from brain_tumor.data.masks import PackedMasks

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3)).astype(np.uint8)
ROWS = np.arange(29, 6, -1)  # 23 images
LABELS = (np.arange(23) % 4).astype(np.int32)
STEPS = 5  # of 5, 5, 5, 5 and 3


def same(sample: Sample, epoch: int, index: int) -> Sample:
    return sample


def stream(**changes: Any) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    flips = AugmentConfig("x", {"HorizontalFlip": {"p": 0.5}, "GaussNoise": {"p": 0.5}})
    options = {"batch_size": 5, "seed": 3, "augment": build(flips, 3), "workers": 1}
    return train_batches(Examples(PIXELS, ROWS, LABELS, changes.pop("weights", None)), **(options | changes))


def take(count: int, **changes: Any) -> list[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    batches = stream(**changes)
    taken = list(islice(batches, count))
    batches.close()  # type: ignore[attr-defined]
    return taken


def assert_equal(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        assert np.array_equal(images, other_images)
        assert np.array_equal(labels, other_labels)


def test_epoch_holds_every_image_once_with_its_label() -> None:
    batches = take(2 * STEPS, augment=same)
    assert [len(images) for images, _ in batches] == [5, 5, 5, 5, 3] * 2
    label_of = {PIXELS[row].tobytes(): label for row, label in zip(ROWS, LABELS, strict=True)}
    for epoch in (batches[:STEPS], batches[STEPS:]):
        seen = [
            (image.tobytes(), label) for images, labels in epoch for image, label in zip(images, labels, strict=True)
        ]
        assert len(seen) == 23
        assert dict(seen) == label_of
    assert {(images.dtype.str, labels.dtype.str) for images, labels in batches} == {("|u1", "<i4")}


def test_order_differs_between_epochs_and_seeds() -> None:
    batches = take(2 * STEPS, augment=same)
    orders = [np.concatenate([images for images, _ in batches[i : i + STEPS]]) for i in (0, STEPS)]
    assert not np.array_equal(orders[0], orders[1])
    other = np.concatenate([images for images, _ in take(STEPS, augment=same, seed=4)])
    assert not np.array_equal(orders[0], other)


def test_same_stream_for_any_number_of_workers() -> None:
    assert_equal(take(4 * STEPS), take(4 * STEPS, workers=3))


def test_stream_from_a_later_epoch_is_the_tail_of_the_whole() -> None:
    assert_equal(take(4 * STEPS)[2 * STEPS :], take(2 * STEPS, first_epoch=2, workers=2))


def test_slow_batches_keep_their_order() -> None:
    def slow(sample: Sample, epoch: int, index: int) -> Sample:
        time.sleep(0.004 * (index % 3))
        return sample

    assert_equal(take(2 * STEPS, augment=same), take(2 * STEPS, augment=slow, workers=3))


def test_batches_are_made_ahead_of_the_consumer() -> None:
    made = []

    def note(sample: Sample, epoch: int, index: int) -> Sample:
        made.append(index)
        return sample

    batches = stream(augment=note, workers=2)
    next(batches)
    deadline = time.monotonic() + 10
    while len(made) < 23 and time.monotonic() < deadline:  # four batches and the one taken
        time.sleep(0.01)
    assert len(made) == 23
    batches.close()  # type: ignore[attr-defined]


def test_closing_ends_the_threads() -> None:
    batches = stream(workers=3)
    next(batches)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_error_in_a_worker_reaches_the_consumer_and_ends_the_threads() -> None:
    def fail(sample: Sample, epoch: int, index: int) -> Sample:
        raise RuntimeError("in the worker")

    with pytest.raises(RuntimeError, match="in the worker"):
        next(stream(augment=fail, workers=2))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(23, 5, 5), (20, 5, 4), (1, 32, 1), (0, 5, 0)])
def test_steps_per_epoch(images: int, batch_size: int, steps: int) -> None:
    assert steps_per_epoch(images, batch_size) == steps


def test_no_images_is_an_error() -> None:
    empty = train_batches(Examples(PIXELS, ROWS[:0], LABELS[:0]), batch_size=5, seed=0, augment=same, workers=1)
    with pytest.raises(ValueError, match="no training images"):
        next(empty)


def test_what_is_learned_of_an_image_is_what_its_augmentation_makes_of_it() -> None:
    bits = np.zeros((23, 8), np.uint8)
    bits[:, :4] = 255  # the upper half
    masks = PackedMasks(bits, np.arange(23) % 2 == 0, 8)

    def removed(sample: Sample, epoch: int, index: int) -> Sample:
        mask = None if sample.mask is None else sample.mask & (index % 4 == 0)
        return Sample(np.full_like(sample.image, index), 9 if index % 3 == 0 else sample.label, mask)

    examples = Examples(PIXELS, ROWS, LABELS, masks=masks, grid=(2, 2))
    batches = train_batches(examples, batch_size=23, seed=0, augment=removed, workers=1)
    images, (labels, maps) = next(batches)  # type: ignore[misc]
    batches.close()
    for image, label, cells in zip(images, labels, maps, strict=True):
        index = int(image[0, 0, 0])
        assert label == (9 if index % 3 == 0 else LABELS[index])
        upper = {0: [1, 1], 2: [0, 0]}.get(index % 4, [-1, -1])
        assert cells[..., 0].tolist() == [upper, [min(each, 0) for each in upper]]
