"""What the evidence head promises, whatever its backbone; `test_contract` says what every model does."""

import numpy as np
import pytest
from trials import phase

from brain_tumor.errors import InputError
from brain_tumor.models.classifier import blocks, build_classifier

# Of a side of 100 an 8th and a 16th are no whole numbers, which each family rounds in its own way.
BUILT = [("cnn_baseline", 64), *((name, 100) for name in ("cnn_baseline", "effnet_lite0", "effnet_b0", "hybrid_lite0"))]
IMAGES = {size: np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8) for size in (64, 100)}


@pytest.fixture(scope="module", params=BUILT, ids=str)
def built(request):
    name, size = request.param
    return build_classifier(name, shape=(size, size, 3), weights=None, dropout=0.2, seed=0, head="evidence"), IMAGES[
        size
    ]


def _maps(model, images):
    import keras

    return keras.Model(model.inputs, model.get_layer("lesion_map").output).predict_on_batch(images)


def test_draws_a_map_at_a_4th_that_begins_nearly_empty(built):
    model, images = built
    maps = _maps(model, images)
    side = images.shape[1] // 8 if model.name == "cnn_baseline" else -(-images.shape[1] // 8)
    assert maps.shape == (2, 2 * side, 2 * side, 1)
    assert maps.dtype == np.float32
    assert 0.005 < maps.mean() < 0.1


def test_answers_by_the_bias_alone_where_the_map_is_empty(built):
    model, images = built
    layer, logits = model.get_layer("lesion_map"), model.get_layer("logits")
    trained = layer.get_weights(), logits.get_weights()
    bias = np.array([0.1, 0.2, 0.3, 0.4])
    try:
        assert not np.allclose(model(images)[0], model(images)[1], atol=1e-6)
        layer.set_weights([trained[0][0], np.full(1, -100.0)])
        logits.set_weights([trained[1][0], np.log(bias)])
        np.testing.assert_allclose(model(images), [bias, bias], atol=1e-6)
    finally:
        layer.set_weights(trained[0])
        logits.set_weights(trained[1])


def test_is_saved_of_keras_own_layers(built, tmp_path):
    import keras

    model, images = built
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={}, compile=False, safe_mode=True)
    np.testing.assert_allclose(reloaded(images), model(images), atol=1e-6)
    assert {type(layer).__module__.split(".")[0] for layer in reloaded.layers} == {"keras"}
    assert [len(group) for group in blocks(reloaded)] == [len(group) for group in blocks(model)]


def test_learns_whole_in_one_step_while_the_backbone_is_frozen(built):
    import keras
    import tensorflow as tf

    from brain_tumor.training.freezing import apply_phase, as_built, restore

    model, images = built
    state = as_built(model)
    apply_phase(model, phase(unfreeze="head", update_batch_norm=False), "head", state)
    names = {variable.path.split("/")[0] for variable in model.trainable_variables}
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(
            keras.losses.sparse_categorical_crossentropy(np.array([0, 3]), model(images, training=True))
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    restore(model, state)
    assert names > {"lesion_level0", "lesion_level1", "lesion_mixed", "lesion_map", "logits"}
    assert all(name.startswith("lesion_") or name == "logits" for name in names)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_keeps_its_map_in_32_bits(precision):
    from brain_tumor.training.precision import compute_in

    model = build_classifier("cnn_baseline", shape=(64, 64, 3), weights=None, dropout=0, seed=0, head="evidence")
    exact = model(IMAGES[64]).numpy()
    compute_in(model, precision)
    assert model.get_layer("lesion_map").compute_dtype == "float32"
    assert model.get_layer("lesion_mixed").compute_dtype == precision
    np.testing.assert_allclose(model(IMAGES[64]), exact, atol=0.03)


def test_an_unknown_head_is_refused():
    with pytest.raises(InputError, match=r"model\.head=mean is unknown: choose one of pooled, attention, evidence"):
        build_classifier("cnn_baseline", shape=(64, 64, 3), weights=None, dropout=0, seed=0, head="mean")
