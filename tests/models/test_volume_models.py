"""Networks of whole volumes."""

from pathlib import Path

import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.models.backbones import check_head, check_shape
from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.ensemble import average
from brain_tumor.models.heads import ATTENTION
from brain_tumor.training.features import head, pooled

SHAPE = (6, 32, 32, 1)
VOLUMES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)


def built(name: str, head: str = "pooled", shape: tuple[int, ...] = SHAPE) -> keras.Model:
    model = build_classifier(name, shape=shape, weights=None, dropout=0.2, seed=0, head=head)  # type: ignore[arg-type]
    return model


def said(model: keras.Model, volumes: np.ndarray) -> np.ndarray:
    return np.asarray(model(volumes.astype(np.float32), training=False))


def test_resnets_have_the_weights_of_the_paper() -> None:
    def basic(before: int, filters: int) -> int:
        shortcut = before * filters + 4 * filters if before != filters else 0
        return 27 * (before * filters + filters**2) + 2 * 4 * filters + shortcut

    stem, top = 343 * 64 + 4 * 64, 512 * 4 + 4
    stages = [(64, 64), (64, 128), (128, 256), (256, 512)]
    once = stem + sum(basic(*each) for each in stages) + top
    assert built("resnet10_3d").count_params() == once
    assert built("resnet18_3d").count_params() == once + sum(basic(after, after) for _, after in stages)


def test_the_mean_over_slices_does_not_know_their_order() -> None:
    model, order = built("slices_lite0"), [4, 0, 5, 2, 1, 3]
    np.testing.assert_allclose(said(model, VOLUMES[:, order]), said(model, VOLUMES), atol=1e-6)
    assert (
        np.abs(said(built("cnn3d_baseline"), VOLUMES[:, order]) - said(built("cnn3d_baseline"), VOLUMES)).max() > 1e-4
    )


def test_attention_weighs_the_slices() -> None:
    model = built("slices_lite0", "attention")
    rng = np.random.default_rng(1)
    for name in ("attention_content", "attention_gate", "attention_scores"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(0, 1, each.shape) for each in layer.get_weights()])
    names = ("slices", ATTENTION, "avg_pool")
    seen = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    slices, weights, features = (np.asarray(each) for each in seen(VOLUMES.astype(np.float32)))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(features, np.einsum("bd,bdk->bk", weights[..., 0], slices), rtol=1e-4)
    # Equation 9 of the paper, in NumPy
    (v, v0), (u, u0), (w,) = (
        model.get_layer(name).get_weights() for name in ("attention_content", "attention_gate", "attention_scores")
    )
    scores = (np.tanh(slices @ v + v0) / (1 + np.exp(-(slices @ u + u0)))) @ w
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(pooled(model)(VOLUMES.astype(np.float32))), slices, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(head(model)(slices)), said(model, VOLUMES), rtol=1e-5)


def test_the_mean_of_several_is_one_model_that_is_saved_and_loaded(tmp_path: Path) -> None:
    members = [built("slices_lite0", "attention"), built("cnn3d_baseline")]
    average(members).save(tmp_path / "mean.keras")
    mean = keras.saving.load_model(tmp_path / "mean.keras")
    np.testing.assert_allclose(
        said(mean, VOLUMES), np.mean([said(each, VOLUMES) for each in members], axis=0), atol=1e-6
    )


def test_each_slice_is_seen_as_the_backbone_of_slices_sees_it() -> None:
    volume, flat = built("slices_lite0"), built("effnet_lite0", shape=(32, 32, 3))
    for layer in flat.layers:
        if layer.weights and layer.name != "logits":
            layer.set_weights(volume.get_layer(layer.name).get_weights())
    rgb = np.repeat(VOLUMES.reshape(-1, 32, 32, 1), 3, axis=-1).astype(np.float32)
    expected = np.asarray(pooled(flat)(rgb)).reshape(3, 6, -1).mean(axis=1)
    np.testing.assert_allclose(np.asarray(pooled(volume)(VOLUMES.astype(np.float32))), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet10_3d", (64, 64, 3), "takes whole volumes: give data=volumes"),
        ("effnet_lite0", SHAPE, "takes slices, .* give one of model=slices_lite0"),
    ],
)
def test_a_network_that_does_not_fit_the_data_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_shape(name, shape)


def test_heads_are_refused_where_they_cannot_stand() -> None:
    with pytest.raises(InputError, match="takes whole volumes"):
        check_head("cnn3d_baseline", "evidence")
    with pytest.raises(InputError, match="does not look at single ones"):
        check_head("effnet_lite0", "attention")
