"""Models as the field writes them, in the form of our own: the same answers, and nothing in a file is run."""

import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.models import adopted_file
from brain_tumor.models.adopted import open_file, wrap
from brain_tumor.models.adopted_file import check_file, scales_itself

L = keras.layers
BRIGHTNESS = np.linspace(0.2, 1, 6)[:, None, None, None] * [1, 0.7, 0.4]  # of each image and channel
IMAGES = (np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)) * BRIGHTNESS).astype(np.uint8)


def network(
    outputs: int = 4, end: str | None = "softmax", depth: int = 3, *first: Any, factor: float = 1
) -> keras.Model:
    """A script's Sequential; `factor` keeps the softmax of large inputs from its bounds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            *(keras.Input((32, 32, depth)), *first, L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(8), L.Flatten()),
            *(L.Dropout(0.3), L.Dense(outputs, activation=end)),
        ]
    )
    model.layers[-1].set_weights([each * factor for each in model.layers[-1].get_weights()])
    return model


def nested() -> keras.Model:
    """Transfer learning: a functional backbone within a functional model, whose layers are called as ours are."""
    keras.utils.set_random_seed(1)
    inner = keras.Input((32, 32, 3))
    backbone = keras.Model(inner, L.BatchNormalization()(L.Conv2D(4, 3, name="logits")(inner)), name="backbone")
    image = keras.Input((32, 32, 3), name="image")
    pooled = L.GlobalAveragePooling2D(name="avg_pool")(backbone(image, training=False))
    return keras.Model(image, L.Softmax()(L.Dense(4, name="probabilities")(pooled)))


def adapted() -> Any:
    """A layer that has learned the mean and the deviation of the images, as EfficientNets of Keras begin with one."""
    layer = L.Normalization()
    layer.adapt(IMAGES.astype(np.float32))
    return layer


def bgr(images: np.ndarray) -> np.ndarray:
    return images[..., ::-1].astype(np.float32)


def gray(images: np.ndarray) -> np.ndarray:
    return (images @ np.array([0.299, 0.587, 0.114]))[..., None] / 255


def scripted() -> keras.Model:
    """As scripts have it: augmentation within, pixels scaled by arithmetic, a sum of two paths."""
    keras.utils.set_random_seed(1)
    image = keras.Input((32, 32, 3))
    x = L.RandomRotation(0.1)(L.RandomFlip("horizontal")(image)) / 127.5 - 1
    x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = L.GlobalAveragePooling2D()(keras.ops.relu(x + L.SeparableConv2D(4, 3, padding="same")(x)))
    return keras.Model(image, L.Dense(4, activation="softmax")(x))


vgg, densenet, mobile = (getattr(keras.applications, name) for name in ("vgg16", "densenet", "mobilenet_v2"))


@pytest.mark.parametrize(
    ("make", "scaling", "channels", "prepared"),
    [
        (network, "rescale", "rgb", lambda images: images / 255),
        (partial(network, factor=0.01), "caffe", "rgb", lambda images: vgg.preprocess_input(images.astype(np.float32))),
        (partial(network, factor=0.01), "caffe", "bgr", lambda images: vgg.preprocess_input(bgr(images))),
        (network, "torch", "bgr", lambda images: densenet.preprocess_input(bgr(images))),
        (nested, "tf", "rgb", lambda images: mobile.preprocess_input(images.astype(np.float32))),
        (lambda: network(4, "softmax", 3, L.Rescaling(1 / 255)), "none", "rgb", lambda images: images),
        (scripted, "none", "rgb", lambda images: images),
        (lambda: network(4, "softmax", 3, adapted()), "none", "rgb", lambda images: images),
        (lambda: network(4, "softmax", 1), "rescale", "gray", gray),
        (lambda: network(4, "sigmoid"), "rescale", "rgb", lambda images: images / 255),
        (lambda: network(1, "sigmoid"), "rescale", "rgb", lambda images: images / 255),
    ],
)
def test_it_answers_as_the_file_does(
    tmp_path: Path, make: Callable[[], Any], scaling: Any, channels: Any, prepared: Callable[..., Any]
) -> None:
    make().save(tmp_path / "theirs.keras")
    theirs = open_file(check_file(str(tmp_path / "theirs.keras")))
    expected = theirs.predict_on_batch(prepared(IMAGES))
    expected = np.hstack([1 - expected, expected]) if expected.shape[1] == 1 else expected
    expected /= expected.sum(axis=1, keepdims=True)
    model = wrap(theirs, expected.shape[1], scaling, channels)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), expected, atol=1e-5)
    model.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras", compile=False)
    np.testing.assert_allclose(again.predict_on_batch(IMAGES), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01  # it tells the images apart
    assert [layer.name for layer in again.layers if layer.name == "avg_pool"]
    assert len(again.get_layer("logits").get_weights()) == 2


def test_an_h5_file_of_keras_2_is_opened(tmp_path: Path) -> None:
    """As it was written then: `batch_input_shape`, and an optimiser's `lr`, which Keras 3 does not know."""
    model = network()
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    model.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as opened:
        described = json.loads(opened.attrs["model_config"])
        first = described["config"]["layers"][0]["config"]
        first["batch_input_shape"] = first.pop("batch_shape")
        opened.attrs["model_config"] = json.dumps(described)
        optimizer = {"class_name": "Adam", "config": {"lr": 0.001, "decay": 0.0}}
        opened.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": optimizer})
    theirs = open_file(check_file(str(tmp_path / "old.h5")))
    found = wrap(theirs, 4, "rescale", "rgb").predict_on_batch(IMAGES)
    np.testing.assert_allclose(found, model.predict_on_batch(IMAGES / 255), atol=1e-5)


def test_what_runs_code_is_refused_by_its_name(tmp_path: Path) -> None:
    for ending in ("keras", "h5"):
        file = tmp_path / f"theirs.{ending}"
        network(4, "softmax", 3, L.Lambda(lambda x: x / 255, name="scale")).save(file)
        with pytest.raises(InputError, match="layer 'scale' is a Lambda, which runs code of its own"):
            check_file(str(file))

    @keras.saving.register_keras_serializable(package="lab")
    class Attention(L.Layer):
        def call(self, x: Any) -> Any:
            return x

    network(4, "softmax", 3, Attention(name="look")).save(tmp_path / "custom.keras")
    with pytest.raises(InputError, match=r"layer 'look' is a Attention.*, which is not Keras' own"):
        check_file(str(tmp_path / "custom.keras"))


def test_a_file_that_is_no_whole_model_is_one_line(tmp_path: Path) -> None:
    model = network()
    model.save(tmp_path / "whole.keras")
    (tmp_path / "cut.keras").write_bytes((tmp_path / "whole.keras").read_bytes()[:2000])
    model.save_weights(tmp_path / "theirs.weights.h5")
    for name, said in {
        "cut.keras": "is no model that Keras has saved, or is cut short",
        "theirs.weights.h5": "holds weights alone",
        "none.keras": "does not exist",
    }.items():
        with pytest.raises(InputError, match=said) as refused:
            check_file(str(tmp_path / name))
        assert "\n" not in str(refused.value)


def edited(file: Path, change: Callable[[str], str], copy: Path) -> str:
    """A .keras file whose description is another."""
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(copy, "w") as made:
        for name in whole.namelist():
            content = whole.read(name)
            made.writestr(name, change(content.decode()) if name == "config.json" else content)
    return str(copy)


def test_a_layer_that_no_memory_holds_is_one_line(tmp_path: Path) -> None:
    network().save(tmp_path / "theirs.keras")
    huge = edited(
        tmp_path / "theirs.keras", lambda text: text.replace('"units": 4', '"units": 4000000000'), tmp_path / "a.keras"
    )
    with pytest.raises(InputError, match=r"cannot be opened by Keras .*4000000000") as refused:
        open_file(check_file(huge))
    assert "\n" not in str(refused.value)
    nested = edited(tmp_path / "theirs.keras", lambda _: '{"a":' * 100_000 + "1" + "}" * 100_000, tmp_path / "b.keras")
    with pytest.raises(InputError, match="is no model that Keras has saved, or is cut short"):
        check_file(nested)


def test_weights_of_another_place_or_size_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(bytes(64))
    network().save(tmp_path / "theirs.h5")
    for name, spoil, said in (
        ("link", lambda held: held.__setitem__("a", h5py.ExternalLink("/etc/hostname", "/")), "is a link to another"),
        ("soft", lambda held: held.__setitem__("a", h5py.SoftLink("/model_weights")), "is a link to another place"),
        (
            "outside",
            lambda held: held.create_dataset("a", (4,), external=[(str(tmp_path / "secret"), 0, 64)]),
            "the weights 'model_weights/a' are in another file",
        ),
        ("large", lambda held: held.create_dataset("a", (10**6, 10**6), chunks=(100, 100)), "4 GiB of weights"),
    ):
        copy = shutil.copy(tmp_path / "theirs.h5", tmp_path / f"{name}.h5")
        with h5py.File(copy, "r+") as opened:
            spoil(opened["model_weights"])
        with pytest.raises(InputError, match=said):
            check_file(str(copy))
    network().save(tmp_path / "theirs.keras")
    monkeypatch.setattr(adopted_file, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more than"):
        check_file(str(tmp_path / "theirs.keras"))


def test_images_of_any_size_need_one() -> None:
    image = keras.Input((None, None, 3))
    theirs = keras.Model(image, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(image))))
    with pytest.raises(InputError, match=r"give the side it was trained at, data\.image_size=224"):
        wrap(theirs, 4, "rescale", "rgb")
    found = wrap(theirs, 4, "rescale", "rgb", 32).predict_on_batch(IMAGES)
    np.testing.assert_allclose(found, theirs.predict_on_batch(IMAGES / 255), atol=1e-5)


def test_a_layer_that_scales_is_found(tmp_path: Path) -> None:
    network(4, "softmax", 3, L.Rescaling(1 / 255, name="first")).save(tmp_path / "scales.keras")
    network().save(tmp_path / "plain.keras")
    assert scales_itself(tmp_path / "scales.keras") == "first"
    assert scales_itself(tmp_path / "plain.keras") is None


@pytest.mark.parametrize(
    ("outputs", "end", "channels", "depth", "said"),
    [
        (3, "softmax", "rgb", 3, "puts out 3 values, and classes names 4"),
        (4, "relu", "rgb", 3, r"ends in \S+ \(relu\)"),
        (4, "softmax", "rgb", 1, "give channels=gray"),
    ],
)
def test_what_does_not_fit_is_said(outputs: int, end: str, channels: Any, depth: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        wrap(network(outputs, end, depth), 4, "rescale", channels)
