"""Views of an image, and answers that are the mean over several."""

import numpy as np
import pytest
from numpy.typing import NDArray

from brain_tumor.evaluation.prediction import Answers, ask, observe, predict
from brain_tumor.evaluation.views import REACH, View, viewed, views


def test_the_first_view_is_the_image_itself():
    assert views(1) == [View(0, 0, False)]
    assert views(16)[:4] == views(4)


def test_views_are_spread_over_a_cell():
    """Sixteen moves are in each quarter of the cell, none is met twice, and both sides are mirrored about as often."""
    seen = views(16)
    moves = [(down, right) for down, right, _ in seen]
    assert len(set(moves)) == 16
    assert all(max(abs(down), abs(right)) <= REACH for down, right in moves)
    quarters = [(down >= 0, right >= 0) for down, right in moves]
    assert min(quarters.count((a, b)) for a in (True, False) for b in (True, False)) >= 3
    assert 5 <= sum(view.mirrored for view in seen) <= 11
    assert sum(view.mirrored for view in views(4)) in (1, 2)


def test_a_view_by_hand():
    image = np.arange(1, 10).reshape(1, 3, 3)
    assert View(1, 0, False).of(image)[0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert View(0, -1, False).of(image)[0].tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]
    assert View(0, -1, True).of(image)[0].tolist() == [[0, 3, 2], [0, 6, 5], [0, 9, 8]]
    assert View(-1, 1, False).of(np.repeat(image[..., None], 3, axis=-1))[0, ..., 0].tolist() == [
        [0, 4, 5],
        [0, 7, 8],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("view", views(6))
def test_what_is_seen_in_a_view_goes_back_to_its_place(view):
    image = np.zeros((1, 32, 32))
    image[0, 10:20, 12:17] = np.random.default_rng(0).random((10, 5))
    assert np.array_equal(view.back(view.of(image)), image)


def left_or_right(images: NDArray[np.uint8]) -> Answers:
    """Two classes, by how much of an image's light is in its left and in its right half; features: both."""
    halves = np.stack([images[:, :, :16].sum((1, 2, 3)), images[:, :, 16:].sum((1, 2, 3))], 1).astype(np.float32)
    probabilities = halves / halves.sum(axis=1, keepdims=True)
    return Answers(probabilities, np.log(probabilities), halves)


@pytest.fixture
def lights() -> NDArray[np.uint8]:
    """Images (2, 32, 32, 3): of 4 bright pixels 3 in the left half, and of 5 one."""
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[0, 12, [1, 2, 3, 30]] = 200
    images[1, 20, [0, 27, 28, 29, 30]] = 100
    return images


def test_an_answer_by_two_views_is_the_mean_of_the_image_and_its_mirror_image(lights: NDArray[np.uint8]) -> None:
    assert ask(left_or_right, lights) == pytest.approx(np.array([[0.75, 0.25], [0.2, 0.8]]))
    assert ask(viewed(left_or_right, 2), lights) == pytest.approx(0.5)
    rows = np.arange(2)
    assert predict(viewed(left_or_right, 2), lights, rows, batch_size=1) == pytest.approx(0.5)
    found = observe(viewed(left_or_right, 2), lights, rows)
    assert found.logits == pytest.approx(np.log(0.5))
    assert found.features.tolist() == observe(left_or_right, lights, rows).features.tolist()  # the image's own


def test_one_view_is_the_model_itself() -> None:
    assert viewed(left_or_right, 1) is left_or_right


def test_more_views_are_moved_by_a_few_pixels_and_mirrored(lights: NDArray[np.uint8]) -> None:
    """Each pair of views, a move and its mirror image, is even between the halves; an odd one is not."""
    seen: list[NDArray[np.uint8]] = []

    def watched(images: NDArray[np.uint8]) -> Answers:
        seen.append(images)
        return left_or_right(images + np.uint8(1))  # never dark

    found = ask(viewed(watched, 6), lights)
    assert found == pytest.approx(0.5)
    assert len(seen) == 6
    assert (seen[0] == lights).all()
    for straight, mirrored in zip(seen[::2], seen[1::2], strict=True):
        assert (straight == mirrored[:, :, ::-1]).all()
    assert len({each.tobytes() for each in seen}) == 6
    seen.clear()
    assert np.abs(ask(viewed(watched, 3), lights) - 0.5).max() > 0.001
    assert len(seen) == 3


def test_no_probability_is_too_small_for_its_logit() -> None:
    def sure(images: NDArray[np.uint8]) -> Answers:
        return Answers(*(np.array([[1.0, 0.0]] * len(images), np.float32),) * 3)

    found = observe(viewed(sure, 4), np.zeros((1, 8, 8, 3), np.uint8), np.arange(1))
    assert np.isfinite(found.logits).all()
    assert found.probabilities.tolist() == [[1, 0]]
