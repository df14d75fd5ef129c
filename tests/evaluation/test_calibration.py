"""Temperature and vector scaling against closed forms, scikit-learn and known truth."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from brain_tumor.evaluation.uncertainty import calibration


def draws(size: int, *, temperature: float = 1.0, shift=(0, 0, 0, 0), seed: int = 0):
    """Logits whose labels are drawn from softmax(logits / temperature + shift), so that this is the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(size, 4)) * 3
    probabilities = softmax(logits / temperature + np.asarray(shift), axis=1)
    labels = (probabilities.cumsum(axis=1) < rng.random((size, 1))).sum(axis=1)
    return logits, np.minimum(labels, 3)


def each(labels):
    return np.arange(len(labels))


def test_two_images_have_a_temperature_in_closed_form():
    # Three of four images with the logit difference d are right: the best probability is 3/4, so d / T = log 3.
    logits = np.array([[2.0, 0.0]] * 4)
    found = calibration.fit(logits, np.array([0, 0, 0, 1]), np.arange(4), "temperature")
    assert found.temperature == pytest.approx(2 / np.log(3), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    logits, labels = draws(20_000, temperature=temperature)
    found = calibration.fit(logits, labels, each(labels), "temperature")
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    # A logistic regression on (z_y - z_0 ...) has no single slope; its loss bounds ours from below all the same.
    free = LogisticRegression(C=np.inf, max_iter=1000).fit(logits, labels)
    ours = calibration.nll(found.apply(logits), labels).mean()
    assert 0 <= ours - log_loss(labels, free.predict_proba(logits)) < 0.002
    assert ours <= calibration.nll(logits, labels).mean()


def test_nll_is_scikit_learns_log_loss():
    logits, labels = draws(500)
    assert calibration.nll(logits, labels).mean() == pytest.approx(log_loss(labels, softmax(logits, axis=1)))


def test_vector_scaling_is_taken_only_where_it_helps():
    plain, biased = draws(1500, temperature=2, seed=1), draws(1500, temperature=2, shift=(2, 0, -2, 0), seed=1)
    assert calibration.fit(*plain, each(plain[1]), "auto").kind == "temperature"
    found = calibration.fit(*biased, each(biased[1]), "auto")
    assert found.kind == "vector"
    assert found.scale == pytest.approx(np.full(4, 0.5), rel=0.2)
    assert found.shift == pytest.approx([2, 0, -2, 0], abs=0.35)
    # Were all images three slices of a patient, the evidence would be weaker than it looks.
    few = draws(60, temperature=2, shift=(0.6, 0, -0.6, 0), seed=2)
    tripled = np.repeat(few[0], 20, axis=0), np.repeat(few[1], 20)
    assert calibration.fit(*tripled, each(tripled[1]), "auto").kind == "vector"
    assert calibration.fit(*tripled, np.repeat(np.arange(60), 20), "auto").kind == "temperature"


def test_a_factor_that_the_images_do_not_determine_is_said():
    logits, labels = draws(400, seed=3)
    assert calibration.fit(logits, labels, each(labels), "vector").why == "calibrate=vector"
    logits[:, 2] = np.where(labels == 2, 1.0, -1.0) + 0 * logits[:, 2]  # tells class 2 perfectly
    logits[labels == 2] = [0, 0, 1, 0]
    found = calibration.fit(logits, labels, each(labels), "vector")
    assert found.why.endswith("a factor or a shift is at its bound")


@pytest.mark.parametrize(("per_class", "groups"), [(1, 4), (3, 12), (3, 4)])
def test_of_few_images_the_temperature_is_taken(per_class, groups):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), per_class)
    logits = rng.normal(size=(len(labels), 4)) + np.eye(4)[labels]
    logits[0, 1] = logits[0].max() + 0.1
    found = calibration.fit(logits, labels, np.arange(len(labels)) % groups, "auto")
    assert found.kind == "temperature"


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        (np.eye(4), np.arange(4), "none of the 4 validation images is misclassified"),
        (np.eye(4), np.array([1, 2, 3, 0]), "do not determine a temperature"),
    ],
)
def test_without_a_maximum_nothing_is_scaled(logits, labels, why):
    for how in ("auto", "temperature", "vector"):
        found = calibration.fit(logits, labels, each(labels), how)
        assert found.kind == "none"
        assert why in found.why
        np.testing.assert_array_equal(found.apply(logits), logits)


def test_folding_in_is_the_same_as_scaling_and_can_be_undone():
    import keras

    rng = np.random.default_rng(0)
    inputs = keras.Input((5,))
    logits = keras.layers.Dense(4, name="logits")(inputs)
    model = keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits))
    x = rng.normal(size=(20, 5)).astype(np.float32)
    before = np.log(model(x).numpy())  # the logits up to a constant for each image
    scaled = calibration.Scaling("vector", np.array([0.5, 2, 1, 1.5]), np.array([1.0, -1, 0, 0]), "")
    raw = keras.Model(inputs, logits)(x).numpy().astype(float)
    calibration.fold_in(model, scaled)
    np.testing.assert_allclose(model(x).numpy(), softmax(scaled.apply(raw), axis=1), atol=1e-6)
    folded = keras.Model(inputs, model.get_layer("logits").output)(x).numpy().astype(float)
    np.testing.assert_allclose(softmax(scaled.undo(folded), axis=1), np.exp(before), atol=1e-6)
