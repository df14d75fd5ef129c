import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.evaluation.gradcam import METHODS, gradcam, upsample

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


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batch_size_changes_nothing(images, batch_size):
    model = build(pooled=False)
    whole = gradcam(model, images, CLASSES, layer="conv")
    assert gradcam(model, images, CLASSES, layer="conv", batch_size=batch_size) == pytest.approx(whole, abs=1e-6)


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


def test_no_images_no_maps():
    none = gradcam(build(pooled=True), np.empty((0, 8, 12, 3), np.uint8), np.empty(0, int), layer="conv")
    assert none.shape == (0, 4, 6)


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


@pytest.mark.parametrize("classes", [[0] * 6, [0] * 6 + [4], [0] * 6 + [-1]])
def test_each_image_needs_a_class_of_the_model(images, classes):
    with pytest.raises(ValueError, match="needs a class"):
        gradcam(build(pooled=True), images, np.array(classes), layer="conv")


def test_upsample_is_bilinear_between_cell_centres():
    maps = np.array([[[0, 1], [0, 1]]], dtype=np.float32)
    enlarged = upsample(maps, (2, 8))
    # Cells of 4 pixels with centres at 2 and 6; pixel x has its centre at x + 0.5.
    ramp = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    assert enlarged.shape == (1, 2, 8)
    assert enlarged[0].tolist() == [pytest.approx(ramp)] * 2
