"""An ensemble answers as the mean of its members does, is explained by the mean of their maps, and outlives saving."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.kinds import own_layer
from brain_tumor.evaluation.explanation.maps import Explainer, check_layer, explain, layer_choices
from brain_tumor.evaluation.prediction import answering, observing
from brain_tumor.evaluation.uncertainty import calibration
from brain_tumor.models import ensemble
from brain_tumor.models.ensemble import average

L = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
CLASSES = np.array([0, 1, 2, 1])


def network(seed: int, conv: str = "block1_conv", draws: bool = False) -> keras.Model:
    """With the names of our heads, and a scaling whose numbers are no weights of a usual kind."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 3), name="image")
    scale = L.Normalization(name="normalization")
    x = scale(image)
    scale.set_weights([np.full(3, 100.0 + seed), np.full(3, 900.0), np.array(0)])
    scale.finalize_state()
    x = L.Activation("relu", name=conv)(L.Conv2D(5, 3, 2, name="first")(x))
    if draws:
        lesion = L.Conv2D(1, 1, activation="sigmoid", name="lesion_map")(x)
        x = L.Multiply(name="lesion_under")([x, lesion])
    x = L.GlobalAveragePooling2D(name="avg_pool")(x)
    x = L.Dense(3, name="logits", kernel_initializer=keras.initializers.RandomNormal(stddev=2.0, seed=seed))(x)
    probabilities = L.Activation("softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(image if seed == 1 else [image], probabilities)  # training makes models of both kinds


def mean(members: list[Any]) -> np.ndarray:
    return np.mean([member.predict_on_batch(IMAGES) for member in members], axis=0)


@pytest.mark.parametrize("draws", [False, True])
def test_it_answers_as_the_mean_of_its_members_and_is_calibrated_as_one(tmp_path: Path, draws: bool) -> None:
    members = [network(seed, draws=draws) for seed in range(3)]
    expected = mean(members)
    average(members).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    found = answering(observing(model))(IMAGES)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.05  # it tells the images apart
    own = [answering(observing(member))(IMAGES) for member in members]
    np.testing.assert_allclose(found.features, np.hstack([each.features for each in own]), atol=1e-5)
    if draws:
        np.testing.assert_allclose(found.lesion_map, np.mean([each.lesion_map for each in own], axis=0), atol=1e-6)
    calibration.fold_in(model, calibration.Scaling("temperature", np.full(3, 0.5), np.zeros(3), ""))
    roots = np.sqrt(expected)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), roots / roots.sum(axis=1, keepdims=True), atol=1e-6)


def test_its_map_is_the_mean_of_its_members_maps() -> None:
    members = [network(seed) for seed in range(2)]
    maps = [explain(Explainer(each, "layercam", "block1_conv", 2), IMAGES, CLASSES) for each in members]
    assert not np.allclose(maps[0], maps[1], atol=0.1)
    expected = np.mean(maps, axis=0)
    model = average(members)
    found = explain(Explainer(model, "layercam", "block1_conv", 2), IMAGES, CLASSES)
    np.testing.assert_allclose(found, expected / expected.max(axis=(1, 2), keepdims=True), atol=1e-5)


def test_each_network_is_explained_at_its_own_layer() -> None:
    """Of two backbones of the registry, by the names that their layers have there."""
    members = [network(0, "block4_relu"), network(1, "block5_norm1")]
    members[0].get_layer("first").name = "block3_relu"
    model = average(members)
    layer = own_layer(model, "cnn_baseline+cct_5")
    assert layer == "block3_relu*block4_relu+block5_norm1"
    assert explain(Explainer(model, "layercam", layer, 1), IMAGES, CLASSES).shape == (4, 16, 16)
    assert layer_choices(model) == []  # there is no layer that both have


def test_a_layer_that_none_has_is_said_by_the_names_of_one_network() -> None:
    with pytest.raises(InputError) as refused:
        check_layer(average([network(0), network(1)]), "block2_conv")
    assert str(refused.value).startswith("explain.layer=block2_conv is unknown: choose a convolutional layer")
    assert str(refused.value).endswith("such as block1_conv, first, normalization")


def test_of_wide_members_the_logits_are_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "MOST_FEATURES", 9)
    members = [network(seed) for seed in range(2)]
    found = answering(observing(average(members)))(IMAGES)
    logits = [answering(observing(member))(IMAGES).logits for member in members]
    np.testing.assert_allclose(found.features, np.hstack(logits), atol=1e-5)
    np.testing.assert_allclose(found.probabilities, mean(members), atol=1e-6)
