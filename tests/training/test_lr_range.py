"""The learning-rate range test against arithmetic, and what it may not look at."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from toy import draw
from trials import phase

from brain_tumor.errors import InputError
from brain_tumor.models.classifier import build_classifier
from brain_tumor.training.lr_range import RangeTest, ramp, range_test
from brain_tumor.training.stage import TrainingSet


def line(start: float) -> keras.Model:
    """One weight w, whose loss on the input 1 and the target 1 is (w - 1)²."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    model.layers[-1].set_weights([np.array([[start]], np.float32)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse", jit_compile=False)
    return model


def ones() -> Any:
    while True:
        yield np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)


def test_every_step_has_its_own_rate_and_its_own_loss() -> None:
    rates = np.array([0.1, 0.2, 0.3, 0.4])
    found = ramp(line(start=3), ones(), rates)
    # Gradient descent on (w - 1)²: w - 1 becomes (1 - 2 rate)(w - 1); before the steps it is 2, 1.6, 0.96, 0.384.
    np.testing.assert_allclose(found.losses, np.square([2, 1.6, 0.96, 0.384]), rtol=1e-5)
    np.testing.assert_array_equal(found.rates, rates)


def test_it_stops_where_the_loss_explodes() -> None:
    # Beyond a rate of 1 each step leads further away: at 3 the loss is 25 times the one before.
    found = ramp(line(start=2), ones(), np.array([0.01, *[3.0] * 50]))
    assert 3 <= len(found.rates) < 8
    assert len(found.losses) == len(found.rates)


def test_the_moving_average_has_no_bias_at_its_beginning() -> None:
    np.testing.assert_allclose(RangeTest(np.arange(5.0), np.full(5, 2.0)).smoothed, np.full(5, 2.0))
    # 0.9 and 0.1 of the two, over the 0.19 of weight that they have together
    np.testing.assert_allclose(RangeTest(np.arange(2.0), np.array([1.0, 3.0])).smoothed[1], (0.09 + 0.3) / 0.19)


def valley(bottom: float) -> RangeTest:
    """A loss that falls by a decade's share up to a rate and rises beyond it, without noise."""
    rates = np.geomspace(1e-6, 1, 601)
    return RangeTest(rates, 1 + np.abs(np.log10(rates / bottom)))


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    assert valley(1e-2).suggestion == pytest.approx(1e-3, rel=0.2)  # the average lags ten steps of 601 behind
    exploded = valley(1e-2)
    exploded.losses[-1] = np.nan
    assert exploded.suggestion == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize(("bottom", "said"), [(1e-7, "does not fall"), (10.0, "does not rise again")])
def test_a_loss_without_a_valley_suggests_nothing(bottom: float, said: str) -> None:
    with pytest.raises(InputError, match=f"the loss {said} between lowest=1e-06 and 1: give a"):
        _ = valley(bottom).suggestion


def test_only_the_training_part_is_looked_at(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 4
    pixels = np.stack([draw(label, rng, 32) for label in labels])
    rates, rows = np.geomspace(1e-4, 1e-2, 20), np.arange(32)
    schedule = {"head": phase(epochs=1, unfreeze="head", feature_views=1), "all": phase(epochs=2, decay="cosine")}

    def tested(place: str, others: int) -> RangeTest:
        seen = pixels.copy()
        seen[32:] = others
        training = TrainingSet(
            seen,
            rows,
            labels[rows],
            dict.fromkeys(schedule, lambda sample, epoch, index: sample),
            workers=1,
            val_rows=np.arange(32, 40),
            recipes=dict.fromkeys(schedule, "none"),
            cache=tmp_path / place,
        )
        keras.utils.set_random_seed(0)
        model = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0.0, seed=0)
        return range_test(model, training, schedule, "all", rates, seed=0)

    once, again = tested("a", 0), tested("b", 255)
    np.testing.assert_array_equal(once.losses, again.losses)
    assert len(once.losses) == 20
    assert once.smoothed[-1] < once.losses[0]  # bright bars on noise are learned in a few steps
