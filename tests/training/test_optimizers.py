"""Learning rates and losses against hand-computed values."""

import math
from typing import Any

import numpy as np
import pytest
from trials import phase


def rate(changes: dict[str, Any], step: int) -> float:
    from brain_tumor.training.optimizers import learning_rate

    schedule = learning_rate(phase(learning_rate=0.1, epochs=10, **changes), steps_per_epoch=10)
    return float(schedule(step))


def test_cosine_without_warm_up() -> None:
    for step in (0, 25, 50, 100):
        assert rate({"decay": "cosine"}, step) == pytest.approx(0.05 * (1 + math.cos(math.pi * step / 100)), abs=1e-7)


def test_cosine_after_warm_up() -> None:
    changes = {"decay": "cosine", "warmup_epochs": 2}
    assert rate(changes, 0) == pytest.approx(0.1 / 21)
    assert rate(changes, 10) == pytest.approx(0.1 / 21 + (0.1 - 0.1 / 21) / 2)
    assert rate(changes, 20) == pytest.approx(0.1)
    assert rate(changes, 60) == pytest.approx(0.05)  # half of the 80 steps that are left
    assert rate(changes, 100) == pytest.approx(0, abs=1e-8)


def test_constant_after_warm_up() -> None:
    changes = {"decay": "constant", "warmup_epochs": 1}
    assert [rate(changes, step) for step in (10, 40, 100)] == pytest.approx([0.1] * 3)


def test_weight_decay_spares_scales_and_shifts() -> None:
    import keras

    from brain_tumor.training.optimizers import make_optimizer

    optimizer = make_optimizer(phase(optimizer="sgd", learning_rate=0.5, weight_decay=0.1), steps_per_epoch=1)
    names = ("kernel", "bias", "gamma", "beta")
    variables = [keras.Variable(np.ones(2), name=name) for name in names]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros(2) for _ in names], variables)
    # Keras' decoupled decay: w - learning_rate * weight_decay * w
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.95, 1, 1, 1])


def test_smoothed_loss() -> None:
    from brain_tumor.training.optimizers import make_loss

    found = make_loss(4, 0.2)(np.array([1]), np.array([[0.1, 0.7, 0.1, 0.1]], np.float32))
    expected = -(0.85 * math.log(0.7) + 3 * 0.05 * math.log(0.1))
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_focal_loss() -> None:
    from brain_tumor.training.optimizers import make_loss

    said = np.array([[0.1, 0.7, 0.1, 0.1], [0.9, 0.05, 0.03, 0.02]], np.float32)
    found = make_loss(4, 0, 2)(np.array([1, 0]), said)
    assert np.asarray(found) == pytest.approx([-(0.3**2) * math.log(0.7), -(0.1**2) * math.log(0.9)], rel=1e-4)
    smoothed = make_loss(4, 0.2, 2)(np.array([1]), said[:1])
    expected = -(0.85 * 0.3**2 * math.log(0.7) + 3 * 0.05 * 0.9**2 * math.log(0.1))
    assert float(smoothed[0]) == pytest.approx(expected, rel=1e-4)


def test_the_focal_loss_of_a_phase_is_compiled_and_weighs_images() -> None:
    import keras

    from brain_tumor.training.fit import compile_phase

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    compile_phase(model, phase(focal_gamma=2.0), 1)
    said, labels = np.array([[0.1, 0.7, 0.1, 0.1], [0.9, 0.05, 0.03, 0.02]], np.float32), np.array([1, 0], np.int32)
    # Keras divides the weighted sum by the number of images.
    expected = -(3 * 0.3**2 * math.log(0.7) + 1 * 0.1**2 * math.log(0.9)) / 2
    found = model.evaluate(said, labels, sample_weight=np.array([3.0, 1.0]), verbose=0)
    assert found[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_rates_of_layers_multiply_step_and_weight_decay(optimizer: str) -> None:
    """Against a whole optimizer for each layer, with the learning rate times the layer's factor."""
    import keras

    from brain_tumor.training.optimizers import make_optimizer

    def start(name: str) -> list[Any]:
        layer = keras.layers.Dense(2, bias_initializer="ones", name=name)
        layer.build((None, 3))
        layer.kernel.assign(np.arange(6).reshape(3, 2))
        return list(layer.trainable_variables)

    def run(variables: list[Any], rate: float, rates: dict[str, float]) -> list[Any]:
        settings = phase(optimizer=optimizer, learning_rate=rate, weight_decay=0.1, decay="constant")
        made = make_optimizer(settings, 10, rates)
        made.build(variables)
        for step in range(3):
            made.apply([keras.ops.full(each.shape, 0.1 + step) for each in variables], variables)
        return [np.array(each) for each in variables]

    found = run([*start("low"), *start("high")], 0.2, {"low": 0.25})
    expected = [*run(start("low"), 0.05, {}), *run(start("high"), 0.2, {})]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_rates_fall_from_the_top_to_the_stem() -> None:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.layer_decay import layer_rates

    model = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0.2, seed=0)
    rates = layer_rates(model, 0.5)
    found = [rates[name] for name in ("block2_conv", "block2_conv_a", "block1_bn", "rescaling")]
    assert found == [1, 1, 0.5, 0.25]  # it has two blocks in these tests
    assert "logits" not in rates
    assert layer_rates(model, None) == {}


def test_the_loss_allows_for_classes_that_training_sees_more_often() -> None:
    from brain_tumor.training.optimizers import make_loss

    said = np.array([[0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]], np.float32)
    found = make_loss(4, 0, mixture=np.float32([1, 1, 3, 0.5]))(np.array([2, 0]), said)
    # 0.4 + 0.3 + 3 * 0.2 + 0.5 * 0.1 and 0.7 + 0.1 + 3 * 0.1 + 0.5 * 0.1
    expected = [-math.log(3 * 0.2 / 1.35), -math.log(0.7 / 1.15)]
    assert np.asarray(found) == pytest.approx(expected, rel=1e-5)
