"""A model that learns with fused batch norms does what Keras' own does."""

from typing import Any

import numpy as np
import pytest

from brain_tumor.config.schedule import PhaseConfig

SIDE = 64
PHASE: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 8,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "warmup_epochs": 0,
    "decay": "constant",
    "plateau": None,
    "weight_decay": 0,
    "unfreeze": "all",
    "update_batch_norm": True,
    "batch_norm_momentum": 0.9,
    "label_smoothing": 0,
    "class_weights": "none",
    "weight_averaging": None,
    "early_stopping": None,
    "dropout": 0.0,
}


LITE = "effnet_lite0"


def built(name: str = "cnn_baseline", **changes: Any) -> Any:
    """A classifier in a phase, all of whose layers draw nothing at random."""
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.freezing import apply_phase, as_built

    model = build_classifier(name, shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=0)
    built = as_built(model)
    apply_phase(model, PhaseConfig(**PHASE | changes), "all", built)
    for layer in model.layers:
        if layer.name in built.dropout:
            layer.rate = 0.0
    return model


def stepped(model: Any, learner: Any, steps: int) -> list[Any]:
    """The model's weights after `steps` of training its `learner`."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, SIDE, SIDE, 3)).astype(np.uint8)
    learner.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    for _ in range(steps):
        learner.train_on_batch(images, np.arange(8) % 4)
    weights: list[Any] = model.get_weights()
    return weights


# EfficientNet-Lite0 has one in the stem, 47 in the blocks, and one in the top.
@pytest.mark.parametrize(("name", "count"), [("cnn_baseline", 3), pytest.param(LITE, 49, marks=pytest.mark.slow)])
def test_one_operation_is_as_good_as_a_dozen(name: str, count: int) -> None:
    from brain_tumor.training.batch_norm import FusedBatchNormalization, learning_model

    plain, fused = built(name), built(name)
    before = plain.get_weights()
    learner = learning_model(fused)
    norms = [layer for layer in learner.layers if isinstance(layer, FusedBatchNormalization)]
    assert len(norms) == count
    expected, found = stepped(plain, plain, 1), stepped(fused, learner, 1)
    steps = [after - start for after, start in zip(expected, before, strict=True)]
    assert np.mean([step.any() for step in steps]) > 0.9
    for after, start, step in zip(found, before, steps, strict=True):
        assert np.linalg.norm(after - start - step) <= 0.01 * np.linalg.norm(step) + 1e-6


def test_statistics_are_those_that_numpy_finds() -> None:
    import keras

    from brain_tumor.training.batch_norm import FusedBatchNormalization

    images = np.random.default_rng(0).normal(3, 2, (4, 5, 5, 2)).astype(np.float32)
    norm = keras.layers.BatchNormalization(momentum=0.75)
    norm.build(images.shape)
    layer = FusedBatchNormalization(norm)
    outputs = np.asarray(layer(images, training=True))
    mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
    np.testing.assert_allclose(outputs, (images - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
    np.testing.assert_allclose(np.asarray(norm.moving_mean), 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), 0.75 + 0.25 * variance, rtol=1e-5)
    inferred = (images - 0.25 * mean) / np.sqrt(0.75 + 0.25 * variance + 1e-3)
    np.testing.assert_allclose(np.asarray(layer(images, training=False)), inferred, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "unfreeze"),
    [
        ("cnn_baseline", 1),
        ("cnn_baseline", "all"),
        pytest.param(LITE, 2, marks=pytest.mark.slow),
        pytest.param(LITE, "all", marks=pytest.mark.slow),
    ],
)
def test_frozen_layers_keep_their_statistics(name: str, unfreeze: Any) -> None:
    from brain_tumor.training.batch_norm import FusedBatchNormalization, learning_model

    model = built(name, unfreeze=unfreeze)
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    learner = learning_model(model)
    assert not frozen & {layer.name for layer in learner.layers if isinstance(layer, FusedBatchNormalization)}
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.name in frozen}
    stepped(model, learner, 1)
    for name, weights in before.items():
        for one, other in zip(model.get_layer(name).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_learner_has_the_models_variables_in_their_order() -> None:
    from brain_tumor.training.batch_norm import learning_model

    model = built()
    learner = learning_model(model)
    assert learner is not model
    assert [id(each) for each in learner.variables] == [id(each) for each in model.variables]
    assert [id(each) for each in learner.trainable_variables] == [id(each) for each in model.trainable_variables]


def test_a_model_that_an_earlier_phase_compiled_gets_a_learner_that_is_not() -> None:
    from brain_tumor.training.batch_norm import learning_model

    model = built()
    model.compile("sgd", lambda truth, probabilities: probabilities[:, 0])
    assert not learning_model(model).compiled


@pytest.mark.parametrize("changes", [{"unfreeze": "head"}, {"update_batch_norm": False}])
def test_where_no_batch_norm_learns_the_model_is_its_own_learner(changes: dict[str, Any]) -> None:
    from brain_tumor.training.batch_norm import learning_model

    model = built(**changes)
    assert learning_model(model) is model
