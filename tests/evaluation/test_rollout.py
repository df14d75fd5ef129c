"""Attention rollout against the paper's product of matrices, in NumPy."""

import keras
import numpy as np
import pytest

from brain_tumor.config.train import ExplainConfig
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import described, layer_maps
from brain_tumor.evaluation.explanation.kinds import candidates, kind_of
from brain_tumor.evaluation.explanation.maps import Explainer, check_layer, explain, mapper
from brain_tumor.models.classifier import build_classifier

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
CLASSES = np.array([0, 1])
DEPTH = {"cct_5": 5, "vit_ti16": 12}


@pytest.fixture(scope="module", params=["cct_5", pytest.param("vit_ti16", marks=pytest.mark.slow)])
def model(request) -> keras.Model:
    model = build_classifier(request.param, shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    for layer in model.layers:  # untrained they attend to all alike
        if layer.name.endswith("_attention"):
            query, *others = layer.get_weights()
            layer.set_weights([9 * query, *others])
    return model


def _softmax(values):
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def by_the_paper(model):
    """Equation 1 of arXiv:2005.00928, with the residual path as half of each block: shares (N, n) of all n tokens."""
    names = [f"block{index + 1}" for index in range(DEPTH[model.name])]
    outputs = [model.get_layer(f"{name}_norm1").output for name in names]
    before = [tokens.numpy() for tokens in keras.Model(model.inputs, outputs)([IMAGES])]
    cells = before[0].shape[1] * before[0].shape[2]
    flow = np.stack([np.eye(cells)] * len(IMAGES))
    for name, tokens in zip(names, before, strict=True):
        tokens = tokens.reshape(len(IMAGES), cells, -1).astype(np.float64)
        kernel_q, bias_q, kernel_k, bias_k = model.get_layer(f"{name}_attention").get_weights()[:4]
        heads = []
        for head in range(kernel_q.shape[1]):
            queries = tokens @ kernel_q[:, head] + bias_q[head]
            keys = tokens @ kernel_k[:, head] + bias_k[head]
            heads.append(_softmax(queries @ keys.transpose(0, 2, 1) / np.sqrt(keys.shape[-1])))
        flow = (0.5 * np.mean(heads, axis=0) + 0.5 * np.eye(cells)) @ flow
    read = np.full((len(IMAGES), 1, cells), 1 / cells)  # the mean of all tokens is what the logits are made of
    if model.name == "cct_5":  # section 3.3 of arXiv:2104.05704: these are weighed
        kernel, bias = model.get_layer("top_scores").get_weights()
        top = keras.Model(model.inputs, model.get_layer("top_norm").output)([IMAGES]).numpy()
        read = _softmax((top.reshape(len(IMAGES), cells, -1) @ kernel + bias)[..., 0])[:, None]
    return (read @ flow)[:, 0]


def test_shares_are_the_papers(model):
    expected = by_the_paper(model)
    assert expected.std(axis=1).min() > 1e-3  # some cells are looked at more than others
    [found] = layer_maps(model, [("rollout", "")])(IMAGES, CLASSES)
    np.testing.assert_allclose(found.reshape(2, -1), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, atol=1e-5)


def test_it_is_blind_to_the_class_and_says_so(model):
    kind = kind_of(ExplainConfig("rollout", None), model, model.name)
    check_layer(model, kind[1])
    maps = explain(Explainer(model, *kind, 2), IMAGES, CLASSES)
    np.testing.assert_array_equal(explain(Explainer(model, *kind, 2), IMAGES, CLASSES[::-1]), maps)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1)
    assert described(*kind, "glioma") == "rollout of the attention in all blocks, which is blind to the class"
    beside = mapper(model, [("layercam", kind[1]), kind], 2)(IMAGES, CLASSES)
    np.testing.assert_allclose(beside[1], maps, atol=1e-6)
    assert not np.allclose(beside[0], maps, atol=0.01)
    assert kind in candidates(ExplainConfig("auto", None), model, model.name)


def test_a_layer_of_its_own_is_refused(model):
    with pytest.raises(InputError, match=r"rollout goes through all layers: leave out explain\.layer=block2_norm1"):
        kind_of(ExplainConfig("rollout", "block2_norm1"), model, model.name)


def test_a_network_without_attention_is_refused():
    cnn = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    with pytest.raises(
        InputError, match=r"rollout multiplies the attention of one transformer, and this model is none"
    ):
        kind_of(ExplainConfig("rollout", None), cnn, "cnn_baseline")
    assert "rollout" not in {method for method, _ in candidates(ExplainConfig("auto", None), cnn, "cnn_baseline")}
