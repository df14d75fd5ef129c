"""Keras' EfficientNets get from a file just what Keras' own weights="imagenet" gives."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from brain_tumor.errors import InputError
from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.weights import resolve_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _images():
    """Eight images that differ in colour, contrast and texture: (8, 64, 64, 3) uint8."""
    rng = np.random.default_rng(1)
    colour, contrast = rng.uniform(0, 255, (8, 1, 1, 3)), rng.uniform(5, 80, (8, 1, 1, 1))
    coarse = rng.normal(size=(8, 8, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(colour + contrast * coarse, 0, 255).astype(np.uint8)


def _calibrate(model):
    """Take the batch-norm statistics from images: without, a random network barely depends on its input."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(_images(), training=True)


def _set_scaling(model, variance):
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([np.array(MEAN), np.array(variance), np.array(0)])
            layer.finalize_state()


def _hosted(path, build, seed=0):
    """Write a file as Keras hosts it: legacy HDF5 without top, and std in the place of the variance."""
    keras.utils.set_random_seed(seed)
    model = build(include_top=False, weights=None)
    _set_scaling(model, np.square(STD))
    _calibrate(model)
    _set_scaling(model, STD)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosted")
    return {
        "b0": _hosted(folder / "efficientnetb0_notop.h5", keras.applications.EfficientNetB0),
        "v2_b0": _hosted(folder / "efficientnetv2-b0_notop.h5", keras.applications.EfficientNetV2B0),
    }


@pytest.fixture(scope="module")
def images():
    return _images()


def _features(model, images):
    return keras.Model(model.input, model.get_layer("top_activation").output)(images).numpy()


CASES = [
    ("effnet_b0", "b0", "efficientnet", "EfficientNetB0"),
    pytest.param("effnet_v2_b0", "v2_b0", "efficientnet_v2", "EfficientNetV2B0", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "key", "module", "keras_name"), CASES)
def test_equals_keras_own_imagenet_model(tmp_path, publish, host, files, images, name, key, module, keras_name):
    publish(module, "b0", files[key].name, files[key].read_bytes())
    downloaded = resolve_weights(name, "imagenet")
    theirs = getattr(keras.applications, keras_name)(include_top=False, weights="imagenet", input_shape=(64, 64, 3))
    expected = theirs(images).numpy()
    assert host.requests == [files[key].name]  # Keras found our download in its own cache

    model = build_classifier(name, shape=(64, 64, 3), weights=downloaded, dropout=0.2, seed=0)
    np.testing.assert_allclose(_features(model, images), expected, rtol=0, atol=1e-3 * expected.std())
    assert resolve_weights(name, str(files[key])).read_bytes() == downloaded.read_bytes()
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(_features(reloaded, images), _features(model, images))


def test_keras_own_path_is_indeed_scaled_otherwise(files, images):
    """The trap that this module steps around; once this fails, Keras has mended it."""
    theirs = keras.applications.EfficientNetB0(include_top=False, weights=str(files["b0"]), input_shape=(64, 64, 3))
    ours = build_classifier("effnet_b0", shape=(64, 64, 3), weights=files["b0"], dropout=0.2, seed=0)
    expected = _features(ours, images)
    assert np.abs(theirs(images).numpy() - expected).mean() > 0.1 * expected.std()


@pytest.mark.parametrize(
    ("name", "key"),
    [("effnet_b1", "b0"), ("effnet_v2_b0", "b0"), ("effnet_b0", "v2_b0"), ("cnn_baseline", "b0")],
)
def test_file_of_another_model_is_refused(files, name, key):
    with pytest.raises(InputError) as caught:
        build_classifier(name, shape=(64, 64, 3), weights=files[key], dropout=0.2, seed=0)
    message = str(caught.value)
    assert str(files[key]) in message
    assert name in message
    assert "\n" not in message


def test_file_with_other_shapes_is_refused(tmp_path):
    """B0 and B0 of another width have the same layers: only the shapes tell."""
    from keras.src.applications.efficientnet import EfficientNet

    wide = EfficientNet(1.2, 1.0, 224, include_top=False, weights=None, name="wide")
    path = tmp_path / "wide.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, wide)
    with pytest.raises(InputError, match="does not hold the weights of effnet_b0"):
        build_classifier("effnet_b0", shape=(64, 64, 3), weights=path, dropout=0.2, seed=0)


def test_keras_3_weights_file_is_taken_too(tmp_path, images):
    first = build_classifier("cnn_baseline", shape=(64, 64, 3), weights=None, dropout=0.2, seed=1)
    trunk = keras.Model(first.input, first.get_layer("block4_relu").output)
    trunk.save_weights(tmp_path / "cnn.weights.h5")
    second = build_classifier(
        "cnn_baseline", shape=(64, 64, 3), weights=tmp_path / "cnn.weights.h5", dropout=0.2, seed=2
    )
    again = keras.Model(second.input, second.get_layer("block4_relu").output)
    np.testing.assert_array_equal(again(images).numpy(), trunk(images).numpy())
