import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import METHODS, layer_maps
from brain_tumor.evaluation.explanation.maps import normalise

KERNEL = np.random.default_rng(0).normal(size=(1, 1, 3, 5)).astype(np.float32)
BIAS = np.full(5, 0.1, np.float32)


def build(*, pooled: bool) -> keras.Model:
    """Scaling, 2 x 2 means, 1 x 1 convolution with ReLU, and a linear head on pooled or flattened maps."""
    inputs = x = keras.Input((8, 12, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Conv2D(5, 1, activation="relu", name="conv")(x)
    head = keras.layers.GlobalAveragePooling2D if pooled else keras.layers.Flatten
    x = head(name="avg_pool")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    x = keras.layers.Dense(4, name="logits")(x)
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(x))
    model.get_layer("conv").set_weights([KERNEL, BIAS])
    weights = np.random.default_rng(1).normal(loc=0.3, size=model.get_layer("logits").kernel.shape)
    model.get_layer("logits").set_weights([weights, np.zeros(4)])
    return model


def gradcam(model, images, classes, *, layer, method="gradcam"):
    """One layer's maps by one method, each divided by its maximum."""
    return normalise(layer_maps(model, [(method, layer)])(images, classes)[0])


def activations_of(images: np.ndarray) -> np.ndarray:
    """The layer `conv` in NumPy, float64 (N, 4, 6, 5)."""
    means = (images / 255).reshape(len(images), 4, 2, 6, 2, 3).mean(axis=(2, 4))
    return np.maximum(means @ KERNEL[0, 0].astype(np.float64) + BIAS, 0)


def gradients_of(model: keras.Model, classes: np.ndarray, *, pooled: bool) -> np.ndarray:
    """The logits' gradients by `conv` (N, 4, 6, 5): the head is linear, so they are its weights."""
    weights = np.asarray(model.get_layer("logits").kernel, dtype=np.float64)[:, classes].T
    if pooled:
        return np.broadcast_to(weights[:, None, None, :] / 24, (len(classes), 4, 6, 5))
    return weights.reshape(len(classes), 4, 6, 5)


def by_the_papers(method: str, A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """The formulas as printed, in loops over channels."""
    total = np.zeros(A.shape[:3])
    for k in range(A.shape[-1]):
        a, g = A[..., k], G[..., k]
        if method == "gradcam":
            total += g.mean(axis=(1, 2), keepdims=True) * a
        elif method == "gradcam++":
            alpha = g**2 / (2 * g**2 + a.sum(axis=(1, 2), keepdims=True) * g**3)
            total += (alpha * np.maximum(g, 0)).sum(axis=(1, 2), keepdims=True) * a
        elif method == "hirescam":
            total += g * a
        elif method == "layercam":
            total += np.maximum(g, 0) * a
    total = np.maximum(total, 0)
    assert total.max(axis=(1, 2)).all()
    return total / total.max(axis=(1, 2), keepdims=True)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(2).integers(256, size=(7, 8, 12, 3), dtype=np.uint8)


CLASSES = np.array([0, 1, 2, 3, 0, 1, 2])


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("method", list(METHODS))
def test_maps_are_the_papers(images, method, pooled):
    model = build(pooled=pooled)
    maps = gradcam(model, images, CLASSES, layer="conv", method=method)
    expected = by_the_papers(method, activations_of(images), gradients_of(model, CLASSES, pooled=pooled))
    assert maps.dtype == np.float32
    assert maps == pytest.approx(expected, abs=1e-5)
    assert maps.max(axis=(1, 2)).tolist() == [1] * 7


def test_methods_differ_on_this_model(images):
    model = build(pooled=False)
    maps = [gradcam(model, images, CLASSES, layer="conv", method=method) for method in METHODS]
    assert all(abs(a - b).max() > 0.05 for i, a in enumerate(maps) for b in maps[:i])


def test_several_kinds_come_from_one_pass(images):
    model = build(pooled=False)
    kinds = [("gradcam", "conv"), ("layercam", "conv"), ("hirescam", "average_pooling2d")]
    model.layers[2].name = "average_pooling2d"
    together = layer_maps(model, kinds)(images, CLASSES)
    for kind, maps in zip(kinds, together, strict=True):
        assert maps == pytest.approx(layer_maps(model, [kind])(images, CLASSES)[0], abs=1e-7)


def test_weights_that_change_later_are_followed(images):
    model = build(pooled=False)
    explain = layer_maps(model, [("layercam", "conv")])
    before = explain(images, CLASSES)[0]
    layer = model.get_layer("logits")
    layer.set_weights([2 * layer.get_weights()[0], np.zeros(4)])
    assert explain(images, CLASSES)[0] == pytest.approx(2 * before, rel=1e-5)


def test_reloaded_and_frozen_model_gives_the_same_maps(images, tmp_path):
    model = build(pooled=False)
    before = gradcam(model, images, CLASSES, layer="conv")
    model.trainable = False
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert gradcam(again, images, CLASSES, layer="conv") == pytest.approx(before, abs=1e-6)


def test_saturated_softmax_still_gives_a_map(images):
    """The gradient of a probability that is 1 would vanish; that of its logit does not."""
    model = build(pooled=False)
    layer = model.get_layer("logits")
    expected = gradcam(model, images, np.zeros(7, int), layer="conv")
    layer.set_weights([layer.get_weights()[0], np.array([1e4, 0, 0, 0])])
    assert gradcam(model, images, np.zeros(7, int), layer="conv") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", list(METHODS))
def test_nothing_for_the_class_is_all_zero(images, method):
    model = build(pooled=True)
    layer = model.get_layer("logits")
    layer.set_weights([-np.abs(layer.get_weights()[0]), np.zeros(4)])
    maps = gradcam(model, images, CLASSES, layer="conv", method=method)
    assert maps.tolist() == np.zeros((7, 4, 6)).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "conf"}, r"explain.layer=conf is unknown: choose .* such as conv, "),
        ({"layer": "avg_pool"}, r"explain.layer=avg_pool is no map .*\(None, 5\).* conv"),
        (
            {"layer": "conv", "method": "cam"},
            r"method=cam is unknown: .*gradcam, gradcam\+\+, hirescam, layercam",
        ),
    ],
)
def test_unknown_choices_are_named(images, options, message):
    with pytest.raises(InputError, match=message) as caught:
        gradcam(build(pooled=True), images, CLASSES, **options)
    assert "\n" not in str(caught.value)


def test_layer_beside_the_path_to_the_logits(images):
    inputs = keras.Input((8, 12, 3))
    side = keras.layers.Conv2D(2, 1, name="side")(inputs)
    trunk = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 1, name="conv")(inputs))
    model = keras.Model(inputs, [keras.layers.Dense(4, name="logits")(trunk), side])
    with pytest.raises(InputError, match=r"explain.layer=side does not feed the logits"):
        gradcam(model, images, CLASSES, layer="side")


def test_model_without_logits(images):
    inputs = keras.Input((8, 12, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="conv")(inputs))
    with pytest.raises(InputError, match="no layer named logits"):
        gradcam(model, images, CLASSES, layer="conv")
