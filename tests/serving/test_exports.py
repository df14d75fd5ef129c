"""Exports of small networks, with what Keras itself says as what is expected."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from toy import draw

from brain_tumor.config.train import Head
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.pixels import spread
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import Answers, observe, observing, predict
from brain_tumor.jobs import export
from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.weights import resolve_weights
from brain_tumor.serving import exports, runtimes
from brain_tumor.serving.exports import TOLERANCE, Agreement, check, compare, write_export
from brain_tumor.serving.runtimes import FORMATS

IMAGES = np.stack([draw(index % 4, np.random.default_rng(index), 64) for index in range(20)])


def network(name: str, side: int, head: Head = "pooled") -> keras.Model:
    """A classifier whose answers differ from image to image, as after training."""
    weights = resolve_weights(name, "imagenet") if name == "effnet_lite0" else None  # a package brings them
    model = build_classifier(name, shape=(side, side, 3), weights=weights, dropout=0.2, seed=0, head=head)
    images = IMAGES[:, :side, :side]
    if weights is None:  # statistics of these images: with others, random layers answer all of them alike
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(images, training=True)
    head = model.get_layer("logits")
    features = keras.Model(model.inputs, model.get_layer("avg_pool").output).predict(images, verbose=0)
    kernel = np.random.default_rng(0).normal(size=head.kernel.shape)
    kernel /= (features @ kernel).std(axis=0).mean()
    head.set_weights([kernel, -(features.mean(axis=0) @ kernel)])
    return model


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return network("cnn_baseline", 32)


@pytest.fixture(scope="module")
def written(small: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Agreement]]:
    """The small network in every format."""
    folder, images = tmp_path_factory.mktemp("exports"), IMAGES[:, :32, :32]
    return {name: write_export(name, small, folder, images[:12], images) for name in FORMATS}


def expected(model: keras.Model, images: np.ndarray) -> dict[str, Any]:
    outputs = [model.get_layer(name).output for name in ("probabilities", "logits", "avg_pool")]
    found = keras.Model(model.inputs, outputs).predict(images, verbose=0)
    return dict(zip(("probabilities", "logits", "features"), found, strict=True))


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize("count", [1, 5])
def test_all_outputs_are_those_of_keras(written: Any, small: keras.Model, name: str, count: int) -> None:
    images = IMAGES[-count:, :32, :32]
    answers = FORMATS[name].open(written[name][0])(images)
    for output, values in expected(small, images).items():
        found = getattr(answers, output)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5, err_msg=output)


def agrees(model: keras.Model, name: str, folder: Path) -> None:
    side = model.input_shape[1]
    images = IMAGES[:, :side, :side]
    path, agreement = write_export(name, model, folder, images[:8], images[:8])
    values = expected(model, images[8:])["probabilities"]
    assert np.ptp(values, axis=0).max() > 0.1  # so that agreeing says something
    # Of networks this deep, float32 itself is worth 1e-5: how it rounds depends on the processor.
    np.testing.assert_allclose(FORMATS[name].open(path)(images[8:]).probabilities, values, atol=3e-5)
    assert agreement.difference <= TOLERANCE
    assert [each.name for each in folder.iterdir()] == [FORMATS[name].file]


@pytest.mark.slow
def test_lite_agrees(tmp_path: Path) -> None:
    agrees(network("effnet_lite0", 32), "onnx", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), [("effnet_b0", "tflite"), ("effnet_v2_b0", "onnx")])
def test_efficientnets_agree(model: str, name: str, tmp_path: Path) -> None:
    agrees(network(model, 64), name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_transformer_agrees(name: str, tmp_path: Path) -> None:
    agrees(network("cct_5", 32), name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), [("vit_ti16", "tflite"), ("hybrid_lite0", "onnx")])
def test_larger_transformers_agree(model: str, name: str, tmp_path: Path) -> None:
    agrees(network(model, 64), name, tmp_path)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_normalization_is_part_of_the_graph(name: str, tmp_path: Path) -> None:
    """As EfficientNet B0 to B7 have it; tf2onnx alone takes its statistics for inputs."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Normalization(mean=[40.0, 60.0, 80.0], variance=[100.0, 400.0, 900.0])(image)
    x = keras.layers.Conv2D(8, 5, 4, activation="relu")(x)
    x = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D(name="avg_pool")(x))
    agrees(keras.Model(image, keras.layers.Softmax(name="probabilities")(x)), name, tmp_path)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_lesion_map_is_an_output(name: str, tmp_path: Path) -> None:
    model = network("cnn_baseline", 32, "evidence")
    layer = model.get_layer("lesion_map")
    layer.set_weights([np.random.default_rng(0).normal(size=layer.kernel.shape), np.zeros(1)])
    path, agreement = write_export(name, model, tmp_path, IMAGES[:8, :32, :32], IMAGES[:8, :32, :32])
    images = IMAGES[8:, :32, :32]
    outputs = [layer.output, model.get_layer("probabilities").output]
    drawn, probabilities = keras.Model(model.inputs, outputs).predict(images, verbose=0)
    assert np.ptp(drawn) > 0.5
    found = FORMATS[name].open(path)(images)
    assert found.lesion_map is not None
    np.testing.assert_allclose(found.lesion_map, drawn, atol=3e-5)
    np.testing.assert_allclose(found.probabilities, probabilities, atol=3e-5)
    assert agreement.map_difference is not None
    assert 0 < agreement.map_difference <= TOLERANCE


def test_int8_is_a_fourth_of_the_size_and_close(written: Any, small: keras.Model) -> None:
    path, agreement = written["tflite_int8"]
    assert path.stat().st_size < written["tflite"][0].stat().st_size / 3
    assert 0 < agreement.difference < 0.1  # not the float network in disguise
    images = IMAGES[:, :32, :32]
    ours = FORMATS["tflite_int8"].open(path)(images).probabilities
    np.testing.assert_allclose(ours, expected(small, images)["probabilities"], atol=0.1)


def test_measuring_takes_a_runtime_for_a_model(written: Any, small: keras.Model) -> None:
    images, rows = IMAGES[:, :32, :32], np.array([3, 1, 4, 1, 5, 9, 2, 6])
    run = FORMATS["onnx"].open(written["onnx"][0])
    for take in (np.arange(0), rows):
        ours, keras_own = (observe(each, images, take, batch_size=3) for each in (run, observing(small)))
        for field in ("probabilities", "logits", "features"):
            a, b = getattr(ours, field), getattr(keras_own, field)
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    wanted = predict(small, images, rows, batch_size=3)
    np.testing.assert_allclose(predict(run, images, rows, batch_size=3), wanted, atol=1e-5)
    np.testing.assert_array_equal(predict(observing(small), images, rows, batch_size=3), wanted)


def test_an_export_of_other_weights_is_refused_and_leaves_no_file(
    small: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keras.models.clone_model(small)
    other.set_weights([weight + 1e-2 for weight in small.get_weights()])
    convert = exports.convert
    monkeypatch.setattr(exports, "convert", lambda name, _model, *rest: convert(name, other, *rest))
    with pytest.raises(InputError, match=r"onnx disagrees with Keras: probabilities within .* where 1e-04 is allowed"):
        write_export("onnx", small, tmp_path, IMAGES[:4, :32, :32], IMAGES[:4, :32, :32])
    assert list(tmp_path.iterdir()) == []


def test_agreement_is_of_the_worst_probability_and_of_classes() -> None:
    answers = np.array([[0.7, 0.3], [0.45, 0.55], [0.2, 0.8], [0.9, 0.1]], np.float32)
    image = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(image)
    logits = keras.layers.Dense(2, kernel_initializer="zeros", name="logits")(pooled)
    model = keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))  # says 0.5, 0.5: the first class
    found = compare(lambda _images: Answers(answers, answers, answers), model, np.zeros((4, 8, 8, 3), np.uint8))
    assert found == Agreement(4, pytest.approx(0.4), 0.5)


@pytest.mark.parametrize("difference", [1.1e-4, float("nan"), float("inf")])
def test_a_float_export_has_to_agree_and_int8_need_not(difference: float) -> None:
    agreement = Agreement(4, difference, 1.0)
    for name in ("onnx", "tflite"):
        with pytest.raises(InputError, match=f"{name} disagrees with Keras"):
            check(name, agreement)
        with pytest.raises(InputError, match=f"{name} disagrees with Keras: .*, the lesion map within "):
            check(name, Agreement(4, 0, 1.0, difference))
        check(name, Agreement(4, 1e-4, 1.0, 1e-4))
    check("tflite_int8", agreement)
    check("tflite_int8", Agreement(4, 0, 1.0, difference))


def test_images_are_spread_over_all_rows() -> None:
    assert spread(np.arange(10, 20), 4).tolist() == [10, 13, 16, 19]
    assert spread(np.arange(3), 64).tolist() == [0, 1, 2]


def test_threads_are_tensorflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert runtimes.default_threads() == 3
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    assert runtimes.default_threads() >= 1


def test_a_model_without_val_images_is_compared_on_test_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {"train": 5, "test": 3}
    dataset = SimpleNamespace(
        rows=lambda part: np.arange(images.get(part, 0)),
        images=lambda rows: IMAGES[rows],
        split=SimpleNamespace(name="toy", classes=STANDARD),
        shape=(64, 64, 3),
    )
    registered = SimpleNamespace(model=SimpleNamespace(layers=[]), uri="models:/m/1", run_id="r")
    monkeypatch.setattr(export, "_load", lambda config: (registered, dataset, {}))

    def write(name: str, model: Any, folder: Path, compared: Any, calibration: Any) -> tuple[Path, Agreement]:
        (folder / name).write_bytes(b"")
        return folder / name, Agreement(len(compared), 0.0, 1.0)

    monkeypatch.setattr(export, "write_export", write)
    export.run(SimpleNamespace(formats=("onnx",)), tmp_path)  # type: ignore[arg-type]
    assert "checked against Keras on 3 test images" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize(
    ("model", "head"),
    [
        ("cnn3d_baseline", "pooled"),
        pytest.param("resnet10_3d", "pooled", marks=pytest.mark.slow),
        pytest.param("slices_lite0", "attention", marks=pytest.mark.slow),
    ],
)
def test_networks_of_whole_volumes_agree(model: str, head: Head, name: str, tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).integers(0, 256, (4, 5, 33, 40, 1)).astype(np.uint8)
    volumes[::2, :, :16] //= 4
    built = build_classifier(model, shape=volumes.shape[1:], weights=None, dropout=0.2, seed=0, head=head)
    for layer in built.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    built(volumes.astype(np.float32), training=True)
    path, agreement = write_export(name, built, tmp_path, volumes[:2], volumes[:2])
    found = FORMATS[name].open(path)(volumes)
    for output, values in expected(built, volumes).items():
        assert np.ptp(values, axis=0).max() > 1e-3
        np.testing.assert_allclose(getattr(found, output), values, rtol=1e-4, atol=1e-5, err_msg=output)
    assert agreement.difference <= 1e-5
