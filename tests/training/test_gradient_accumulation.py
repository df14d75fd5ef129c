"""A batch that is trained on in pieces is the step of the whole batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import Whole, train
from trials import assert_equal, numbers, phase

from brain_tumor.config.schedule import PlateauConfig
from brain_tumor.models.hardware import Execution

# Of the 32 images in batches of 21, 11 are left over: two pieces of 6, with one image twice. Batch norm and dropout,
# which would differ by piece, are off.
EXACT = {
    "batch_size": 21,
    "dropout": 0.0,
    "update_batch_norm": False,
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "epochs": 8,
}
PLATEAU = PlateauConfig(patience=1, factor=0.5, min_learning_rate=0)
SCHEDULES = {
    "cosine": phase(**EXACT, decay="cosine", warmup_epochs=1, weight_decay=1e-2),
    "averaged": phase(**EXACT, weight_averaging=0.8),
    "plateau": phase(**EXACT, decay="plateau", warmup_epochs=0.5, plateau=PLATEAU, class_weights="balanced"),
}
PIECES = Execution(micro_batch=7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_step_is_that_of_the_whole_batch(name: str, whole: Whole) -> None:
    schedule = {"all": SCHEDULES[name]}
    batches = whole.run(schedule, dropout=0.0)
    pieces = whole.run(schedule, dropout=0.0, execution=PIECES)
    for row, other in zip(numbers(pieces.history), numbers(batches.history), strict=True):
        for rows in (row, other):
            del rows["phase"], rows["train/accuracy"]  # counts the copy
        assert row == pytest.approx(other, rel=1e-4)
    losses = [row["train/loss"] for row in batches.history]
    assert losses[-1] < 0.9 * losses[0]  # there was something to get wrong
    for one, other in zip(pieces.model.get_weights(), batches.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_batch_norm_takes_the_statistics_of_a_piece() -> None:
    import keras

    from brain_tumor.training.gradient_accumulation import InPieces

    inputs = keras.Input((1,))
    norm = keras.layers.BatchNormalization(momentum=0.5)
    model = InPieces(keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(norm(inputs))), 2)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(np.array([[0.0], [2.0], [4.0], [8.0]], np.float32), np.zeros(4, np.int32))
    # Means 1 and 6, from 0: (0 + 1) / 2, then (0.5 + 6) / 2. Variances 1 and 4, from 1: 1, then (1 + 4) / 2.
    assert float(norm.moving_mean.numpy()[0]) == pytest.approx(3.25)
    assert float(norm.moving_variance.numpy()[0]) == pytest.approx(2.5)


@pytest.mark.parametrize("others", [PIECES, Execution(), Execution(micro_batch=3)])
def test_a_run_goes_on_in_any_pieces(others: Execution, whole: Whole, tmp_path: Path) -> None:
    schedule = {"all": SCHEDULES["averaged"]}
    expected = whole.run(schedule, dropout=0.0, execution=PIECES)
    cut = whole.cut(tmp_path / "cut", schedule, dropout=0.0, execution=PIECES)
    resumed = train(cut, schedule, dropout=0.0, execution=others)
    if others == PIECES:
        assert_equal(resumed, expected)
    for one, other in zip(resumed.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_pieces_are_never_in_memory_together() -> None:
    """TensorFlow counts how many of a batch's pieces are begun before the one before them is done."""
    import keras
    import tensorflow as tf

    from brain_tumor.training.gradient_accumulation import InPieces

    events: list[str] = []

    class Watched(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            @tf.custom_gradient
            def watch(values: Any) -> Any:
                begun = tf.numpy_function(lambda each: (events.append("forth"), each)[1], [values], tf.float32)
                begun.set_shape(values.shape)

                def back(upstream: Any) -> Any:
                    done = tf.numpy_function(lambda each: (events.append("back"), each)[1], [upstream], tf.float32)
                    done.set_shape(upstream.shape)
                    return done

                return begun, back

            return watch(inputs)

    inputs = keras.Input((3,))
    hidden = Watched()(keras.layers.Dense(3)(inputs))
    model = InPieces(keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden)), 2)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(np.ones((8, 3), np.float32), np.zeros(8, np.int32))
    assert events == ["forth", "back"] * 4
