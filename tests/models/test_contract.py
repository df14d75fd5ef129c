"""What every model of the registry can do, at 64 px and without weights.

Each is built, takes raw images, trains one step, is saved, and is read back of Keras' own layers alone; what was read
must answer alike and have the layers that maps are made of.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from brain_tumor.models.backbones import BACKBONES, get_backbone
from brain_tumor.models.classifier import blocks, build_classifier
from brain_tumor.models.heads import HEAD

SIZE, LABELS = 64, [0, 3]
# Of most kinds; the others take longer.
SMALLEST = ("cnn_baseline", "effnet_lite0", "vit_ti16", "cct_5", "cnn3d_baseline")
TRACED = ("cnn_baseline", "effnet_lite0")  # whose maps are of a graph, as they always are in the package
OTHERS = tuple(name for name in BACKBONES if name not in SMALLEST)
NAMES = [*SMALLEST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


def shape_of(name):
    return (8, SIZE, SIZE, 1) if get_backbone(name).whole else (SIZE, SIZE, 3)


def _train_step(model, images):
    """One eager step of gradient descent (tracing takes minutes); returns the loss."""
    import keras
    import tensorflow as tf

    with tf.GradientTape() as tape:
        probabilities = model(images, training=True)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(np.array(LABELS), probabilities))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    keras.optimizers.SGD(0.01).apply(gradients, model.trainable_variables)
    return float(loss)


def _weights(layers):
    return [variable.numpy() for layer in layers for variable in layer.trainable_variables]


def _first(name, images, folder):
    """Build, train one step and save; return what was seen on the way."""
    model = build_classifier(name, shape=images.shape[1:], weights=None, dropout=0.2, seed=0)
    untrained = model(images).numpy()
    # Between the ends stochastic depth may leave a block out of a step.
    weighty = [block for block in blocks(model) if _weights(block)]
    parts = [weighty[0], weighty[-1], [model.get_layer(name) for name in HEAD]]
    before = [_weights(part) for part in parts]
    loss = _train_step(model, images)
    learned = [
        any(not np.array_equal(a, b) for a, b in zip(_weights(part), old, strict=True))
        for part, old in zip(parts, before, strict=True)
    ]
    model.save(folder / f"{name}.keras")
    return {"untrained": untrained, "loss": loss, "learned": learned, "answers": model(images).numpy()}


def _second(name, images, folder):
    """Read back what was saved; return what was seen of it."""
    import keras
    import tensorflow as tf

    from brain_tumor.evaluation.explanation.maps import Explainer, explain

    function = tf.function

    def eager(run=None, **options):  # tracing the largest models takes minutes; Keras has tf.functions of its own
        as_it_is = options != {"autograph": False} or name in TRACED
        return function(run, **options) if as_it_is else SimpleNamespace(get_concrete_function=lambda *shapes: run)

    file = folder / f"{name}.keras"
    model = keras.models.load_model(file, custom_objects={}, compile=False, safe_mode=True)
    file.unlink()  # they would add up to a gigabyte
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf, "function", eager)
        maps = explain(Explainer(model, "layercam", get_backbone(name).cam_layer, views=1), images, np.array(LABELS))
    made_by = {type(layer).__module__.split(".")[0] for layer in model.layers}
    return {"made by": made_by, "answers": model(images).numpy(), "maps": maps}


@pytest.fixture(scope="module")
def seen_of(tmp_path_factory):
    """What was seen of a model, as it was built and as it was read back; looked at once."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    rng = np.random.default_rng(0)

    def look(name):
        import keras

        if name not in found:
            images = rng.integers(0, 256, (2, *shape_of(name)), dtype=np.uint8)
            first = _first(name, images, folder)
            keras.backend.clear_session()
            found[name] = first, _second(name, images, folder)
            keras.backend.clear_session()
        return found[name]

    return look


@pytest.fixture
def seen(seen_of, name):
    return seen_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_takes_raw_images_and_trains_a_step(seen):
    first, _ = seen
    assert first["untrained"].shape == (2, 4)
    assert first["untrained"].dtype == np.float32
    np.testing.assert_allclose(first["untrained"].sum(axis=1), 1, rtol=1e-5)
    assert 0 < first["loss"] < 10
    assert first["learned"] == [True, True, True]
    assert not np.array_equal(first["answers"], first["untrained"])


@pytest.mark.parametrize("name", NAMES)
def test_is_read_back_of_keras_own_layers_and_answers_alike(seen):
    first, second = seen
    assert second["made by"] == {"keras"}
    np.testing.assert_allclose(second["answers"], first["answers"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_map_of_the_right_shape(seen, name):
    _, second = seen
    assert second["maps"].shape == (2, *shape_of(name)[:-1])
    assert second["maps"].dtype == np.float32
    assert np.isfinite(second["maps"]).all()
