"""XLA is taken where it pays, and trying it leaves no trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import SCHEDULES, Whole, train
from trials import numbers, phase

from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Execution

MEASURE = Execution(jit_compile=None)
ONCE, PLAIN = 1.0, 0.01  # seconds to compile, and of a step without XLA


@pytest.mark.parametrize(("compiled", "epochs", "taken"), [(0.005, 2, False), (0.005, 150, True), (0.01, 150, False)])
def test_it_is_taken_where_it_saves_more_than_it_takes_to_compile(
    compiled: float, epochs: int, taken: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    from brain_tumor.training import fit
    from brain_tumor.training.optimizers import Objective
    from brain_tumor.training.stage import Stage

    def clock(model: Any, batch: Any) -> tuple[float, float]:
        for variable in model.variables:
            variable.assign(variable + 1)
        return (ONCE, compiled) if model.jit_compile else (0.1, PLAIN)

    monkeypatch.setattr("brain_tumor.training.xla.seconds", clock)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(inputs))
    before = [np.array(variable) for variable in model.variables]
    one = phase(epochs=epochs, batch_size=16)  # two steps an epoch
    batches = [(np.zeros((2, 3)), np.zeros(2))]
    stage = Stage("all", one, 32, model, lambda epoch: (each for each in batches), lambda: {}, Objective())
    compiled_stage = fit.executed(stage, MEASURE, done=0, epoch=0)
    assert compiled_stage.model.jit_compile is taken
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    said = f"all: {'with' if taken else 'without'} XLA, a step takes {1000 * compiled:.0f} ms with it"
    assert capsys.readouterr().err.startswith(said)


def small() -> Any:
    """A model with what a backbone has; XLA has no deterministic maximum pooling, which `cnn_baseline` needs."""
    import keras
    import tensorflow as tf

    from brain_tumor.training.batch_norm import learning_model

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.ReLU(6)(keras.layers.BatchNormalization(epsilon=1e-3)(x))
    x = keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = learning_model(keras.Model(inputs, x))
    assert any(type(layer).__name__ == "FusedBatchNormalization" for layer in model.layers)
    return model


@pytest.mark.parametrize("size", [None, 5])  # of a piece: two of 4 images, one of them twice
def test_through_xla_training_is_the_same_up_to_rounding(size: int | None) -> None:
    from brain_tumor.training.fit import compile_phase
    from brain_tumor.training.gradient_accumulation import InPieces

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (7, 8, 8, 3)).astype(np.uint8), np.arange(7, dtype=np.int32) % 4
    weights = []
    for jit_compile in (False, True):
        model = small()
        learner = InPieces(model, size) if size else model
        compile_phase(learner, phase(optimizer="sgd", learning_rate=0.1), 10, jit_compile=jit_compile)
        before = [np.array(each) for each in model.weights]
        for _ in range(3):
            learner.train_on_batch(images, labels)
        weights.append([np.array(each) for each in model.weights])
        assert all(not np.array_equal(one, other) for one, other in zip(before, weights[-1], strict=True))
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_clock_counts_compilation_apart() -> None:
    from brain_tumor.training.fit import compile_phase
    from brain_tumor.training.xla import seconds

    model = small()
    compile_phase(model, phase(), 10)
    first, each = seconds(model, (np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int32)))
    assert 0 < each < first


@pytest.mark.slow
def test_trying_it_leaves_the_history_as_it_is(
    whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = whole.run(SCHEDULES["two phases"])
    tried = train(tmp_path / "tried", SCHEDULES["two phases"], execution=MEASURE)
    told = capsys.readouterr().err
    for name in ("first", "head"):
        assert f"{name}: with" in told
    assert numbers(tried.history) == numbers(expected.history)


def test_where_it_has_to_be_and_cannot_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^hardware.jit_compile=true: XLA does not compile phase all .*MaxPool"
    ) as error:
        train(tmp_path, {"all": phase(epochs=1)}, execution=Execution(jit_compile=True))
    assert "\n" not in str(error.value)


def test_what_xla_cannot_compile_is_trained_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras
    import tensorflow as tf

    from brain_tumor.training.xla import xla_pays

    class Bounded(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return tf.ensure_shape(tf.numpy_function(np.tanh, [inputs], tf.float32), inputs.shape)

    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(4, activation="softmax")(inputs + 0 * Bounded()(inputs))
    model = keras.Model(inputs, outputs)

    def compile_model(jit_compile: bool) -> None:
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
        model._jit_compile = jit_compile

    batch = np.zeros((2, 3), np.float32), np.zeros(2, np.int32)
    assert not xla_pays(model, batch, compile_model, title="all", steps=1000)
    assert capsys.readouterr().err.startswith("all: without XLA, which does not compile this model (")
