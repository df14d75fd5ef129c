"""What every model of the registry can do, at 64 px and without weights.

Each is built, takes raw images, trains one step, is saved, and is read back in a second process, one for several,
which must answer alike and find the layers that maps are made of.
"""

import subprocess
import sys

import numpy as np
import pytest

from brain_tumor.models.backbones import BACKBONES
from brain_tumor.models.classifier import blocks, build_classifier
from brain_tumor.models.heads import HEAD

SIZE, LABELS = 64, [0, 3]
SMALLEST = ("cnn_baseline", "effnet_b0", "effnet_v2_b0", "effnet_lite0")  # of each family
TRACED = ("cnn_baseline", "effnet_lite0")  # whose maps are of a graph, as they always are in the package
OTHERS = tuple(name for name in BACKBONES if name not in SMALLEST)
NAMES = [*SMALLEST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]

# The second process: told the name of each model once it is saved, it writes the model's answers and maps.
RELOAD = """
import sys
from pathlib import Path
from types import SimpleNamespace
import keras, numpy as np, tensorflow as tf
from brain_tumor.evaluation.explanation.maps import Explainer, explain
from brain_tumor.models.backbones import get_backbone

folder, function = Path(sys.argv[1]), tf.function

def eager(run=None, **options):  # tracing the largest models takes minutes; Keras has tf.functions of its own
    as_it_is = options != {"autograph": False} or name in sys.argv[2:]
    return function(run, **options) if as_it_is else SimpleNamespace(get_concrete_function=lambda *shapes: run)

tf.function = eager
for name in map(str.strip, sys.stdin):
    file = folder / f"{name}.keras"
    model = keras.models.load_model(file, compile=False)
    file.unlink()  # they would add up to a gigabyte
    images, layer = np.load(folder / "images.npy"), get_backbone(name).cam_layer
    maps = explain(Explainer(model, "layercam", layer, views=1), images, np.array([0, 3]))
    np.savez(folder / f"{name}.npz", answers=model(images).numpy(), maps=maps)
    keras.backend.clear_session()
"""


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
    model = build_classifier(name, image_size=SIZE, weights=None, dropout=0.2, seed=0)
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


def _look(names, folder):
    """By model: what was seen here, and what in the second process, which works at the same time."""
    import keras

    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    first = {}
    command = [sys.executable, "-c", RELOAD, str(folder), *TRACED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as second:
        assert second.stdin
        for name in names:
            first[name] = _first(name, images, folder)
            print(name, file=second.stdin, flush=True)
            keras.backend.clear_session()
    assert second.returncode == 0
    return {name: (first[name], np.load(folder / f"{name}.npz")) for name in names}


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    return _look(SMALLEST, tmp_path_factory.mktemp("smallest"))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return _look(OTHERS, tmp_path_factory.mktemp("others"))


@pytest.fixture
def seen(request, name):
    """What was seen of a model, first and then in the second process."""
    return request.getfixturevalue("smallest" if name in SMALLEST else "others")[name]


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
def test_answers_alike_in_another_process(seen):
    first, second = seen
    np.testing.assert_allclose(second["answers"], first["answers"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_map_of_the_right_shape(seen):
    _, second = seen
    assert second["maps"].shape == (2, SIZE, SIZE)
    assert second["maps"].dtype == np.float32
    assert np.isfinite(second["maps"]).all()
