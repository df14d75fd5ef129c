"""Maps at the resolution of the image: views, products, and the layers to choose from."""

import keras
import numpy as np
import pytest

from brain_tumor.config.train import ExplainConfig
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation import maps as maps_module
from brain_tumor.evaluation.explanation.gradcam import layer_maps
from brain_tumor.evaluation.explanation.kinds import candidates, check, kind_of
from brain_tumor.evaluation.explanation.maps import (
    Explainer,
    explain,
    layer_choices,
    mapper,
    normalise,
    stages,
    upsample,
)
from brain_tumor.evaluation.views import views
from brain_tumor.models.classifier import build_classifier

CLASSES = np.array([0, 1, 2, 3, 0])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Two convolutions, at half and at a quarter of the side, and a linear head on flattened maps."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((16, 16, 3))
    for name in ("fine", "coarse"):
        x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu", name=name)(x)
    x = keras.layers.Dense(4, name="logits")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(256, size=(5, 16, 16, 3), dtype=np.uint8)


def layercam_by_hand(model: keras.Model, layer: str, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """sum over k of relu(G_k) A_k, by finite layers and TensorFlow's own gradient, at the image's resolution."""
    import tensorflow as tf

    observed = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        values, logits = observed(images.astype(np.float32))
        score = tf.reduce_sum(tf.one_hot(classes, 4) * logits)
    gradient = tape.gradient(score, values)
    return upsample(tf.reduce_sum(tf.nn.relu(gradient) * values, axis=-1).numpy(), (16, 16))


def test_views_are_averaged_and_layers_multiplied(model, images):
    expected = np.ones((5, 16, 16))
    for layer in ("fine", "coarse"):
        total = sum(view.back(layercam_by_hand(model, layer, view.of(images), CLASSES)) for view in views(3))
        expected *= total / total.max(axis=(1, 2), keepdims=True)
    expected /= expected.max(axis=(1, 2), keepdims=True)
    maps = explain(Explainer(model, "layercam", "fine*coarse", views=3), images, CLASSES)
    assert maps.dtype == np.float32
    assert maps == pytest.approx(expected, abs=1e-5)
    assert maps.max(axis=(1, 2)).tolist() == [1] * 5


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batch_size_changes_nothing(model, images, batch_size):
    explainer = Explainer(model, "gradcam", "coarse", views=2)
    whole = explain(explainer, images, CLASSES)
    assert explain(explainer, images, CLASSES, batch_size=batch_size) == pytest.approx(whole, abs=1e-6)


def test_an_explainer_traces_its_graph_once(model, images, monkeypatch):
    traced = []
    monkeypatch.setattr(maps_module, "layer_maps", lambda *args: traced.append(args) or layer_maps(*args))
    explainer = Explainer(model, "gradcam", "coarse", views=1)
    for _ in range(3):
        explain(explainer, images, CLASSES)
    assert len(traced) == 1


def test_no_images_no_maps(model):
    none = explain(Explainer(model, "layercam", "fine", 1), np.empty((0, 16, 16, 3), np.uint8), np.empty(0, int))
    assert none.shape == (0, 16, 16)


@pytest.mark.parametrize("classes", [[0] * 4, [0] * 4 + [4], [0] * 4 + [-1]])
def test_each_image_needs_a_class_of_the_model(model, images, classes):
    with pytest.raises(ValueError, match="needs a class"):
        explain(Explainer(model, "layercam", "fine", 1), images, np.array(classes))


def test_upsample_is_bilinear_between_cell_centres():
    maps = np.array([[[0, 1], [0, 1]]], dtype=np.float32)
    enlarged = upsample(maps, (2, 8))
    # Cells of 4 pixels with centres at 2 and 6; pixel x has its centre at x + 0.5.
    ramp = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    assert enlarged.shape == (1, 2, 8)
    assert enlarged[0].tolist() == [pytest.approx(ramp)] * 2


def test_an_empty_map_stays_empty():
    maps = np.array([[[0, 0]], [[1, 4]]], np.float32)
    assert normalise(maps).tolist() == [[[0, 0]], [[0.25, 1]]]


def test_names_say_how_a_map_was_made(model):
    assert Explainer(model, "layercam", "fine*coarse", 8).name == "layercam at fine × coarse, 8 views"
    assert Explainer(model, "gradcam", "fine", 1).name == "gradcam at fine"


def test_stages_are_the_last_activations_from_a_quarter_of_the_side():
    lite = build_classifier("effnet_lite0", shape=(64, 64, 3), weights=None, dropout=0, seed=0)
    four = ["block3a_expand_activation", "block4a_expand_activation", "block6a_expand_activation", "top_activation"]
    assert stages(lite) == four
    assert [lite.get_layer(name).output.shape[1] for name in four] == [16, 8, 4, 2]
    cnn = build_classifier("cnn_baseline", shape=(64, 64, 3), weights=None, dropout=0, seed=0)
    assert stages(cnn) == ["block2_relu", "block3_relu", "block4_relu"]
    assert layer_choices(cnn) == ["block2_relu", "block3_relu", "block4_relu", "block2_relu*block3_relu"]
    assert layer_choices(lite)[4:] == ["*".join(four[:2]), "*".join(four[:3]), "*".join(four[1:3])]


class WithMasks:
    """A data set of two images, each the whole of a part; that of the training part has a mask."""

    def __init__(self, *, val: bool = True):
        self.mask_paths = ("a.png", "b.png" if val else "")

    def rows(self, part):
        return np.array([["train", "val"].index(part)])


class WithoutMasks:
    mask_paths = None


def test_what_a_configuration_allows():
    cnn = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    own = "block3_relu*block4_relu"
    assert candidates(ExplainConfig("layercam", None), cnn, "cnn_baseline") == [("layercam", own)]
    four = candidates(ExplainConfig("auto", "block4_relu"), cnn, "cnn_baseline")
    assert four == [(method, "block4_relu") for method in ("gradcam", "gradcam++", "hirescam", "layercam")]
    assert len(candidates(ExplainConfig("auto", "auto"), cnn, "cnn_baseline")) == 4 * len(layer_choices(cnn))
    assert kind_of(ExplainConfig("auto", "auto"), cnn, "cnn_baseline") == ("layercam", own)
    assert kind_of(ExplainConfig("gradcam", "auto"), cnn, "cnn_baseline") == ("gradcam", own)
    assert kind_of(ExplainConfig("auto", "block4_relu"), cnn, "cnn_baseline") == ("layercam", "block4_relu")
    assert kind_of(ExplainConfig(None, None), cnn, "cnn_baseline") == ("layercam", own)


@pytest.fixture(scope="module")
def drawing():
    """A classifier that draws a lesion map."""
    return build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0, seed=0, head="evidence")


def test_a_model_with_a_lesion_map_is_explained_by_it(drawing):
    evidence = ("evidence", "lesion_map")
    assert kind_of(ExplainConfig(None, None), drawing, "cnn_baseline") == evidence
    assert kind_of(ExplainConfig(None, "block4_relu"), drawing, "cnn_baseline") == ("layercam", "block4_relu")
    assert candidates(ExplainConfig(None, None), drawing, "cnn_baseline") == [evidence]
    four = candidates(ExplainConfig("auto", "block4_relu"), drawing, "cnn_baseline")
    assert four[-1] == evidence
    assert len(four) == 5
    with pytest.raises(InputError, match=r"is the lesion map itself: leave out explain\.layer=block4_relu"):
        kind_of(ExplainConfig("evidence", "block4_relu"), drawing, "cnn_baseline")


def test_lesion_maps_are_averaged_and_not_stretched(drawing):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    own = keras.Model(drawing.inputs, drawing.get_layer("lesion_map").output)
    drawn = [view.back(upsample(own.predict_on_batch(view.of(images))[..., 0], (32, 32))) for view in views(4)]
    maps = explain(Explainer(drawing, "evidence", "lesion_map", 4), images, np.array([0, 1]))
    assert maps.shape == (2, 32, 32)
    np.testing.assert_allclose(maps, np.mean(drawn, axis=0), atol=1e-6)
    mixed = mapper(drawing, [("layercam", "block4_relu"), ("evidence", "lesion_map")], 4)(images, np.array([0, 1]))
    np.testing.assert_allclose(mixed[1], maps, atol=1e-6)
    np.testing.assert_allclose(mixed[0].max(axis=(1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ExplainConfig("auto", None), "explain.method=auto needs lesion masks"),
        (ExplainConfig("gradcam", "auto"), "explain.layer=auto needs lesion masks"),
        (ExplainConfig("gradcam", None, sanity=True), "explain.sanity=true needs lesion masks"),
        (
            ExplainConfig("gradcam", "block4_relu*avg_pool"),
            r"explain.layer=block4_relu\*avg_pool is a product of 2 layers, and explain.layer=avg_pool is no map",
        ),
        (ExplainConfig("gradcam", "block4_relu*"), r"explain.layer=block4_relu\* is a product of 2 .* is unknown"),
        (ExplainConfig("gradcam", "block4_relu*block9"), r"explain.layer=block9 is unknown"),
        (ExplainConfig("evidence", None), r"lesion map of model.head=evidence, and this model has another head"),
    ],
)
def test_what_cannot_be_explained_is_known_before_training(config, message):
    cnn = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    with pytest.raises(InputError, match=message):
        check(config, cnn, "cnn_baseline", WithoutMasks())
    if "masks" in message:
        check(config, cnn, "cnn_baseline", WithMasks())
    if "auto" in message:
        with pytest.raises(InputError, match=r"=auto chooses on the val part, and none of its images has a mask"):
            check(config, cnn, "cnn_baseline", WithMasks(val=False))
