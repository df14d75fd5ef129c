"""What a small trained model says of images of its kind and of others, and how that is kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from toy import draw

from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.evaluation.measuring import measure_all
from brain_tumor.evaluation.prediction import Outputs, observe, observing, predict
from brain_tumor.evaluation.uncertainty import out_of_distribution
from brain_tumor.evaluation.uncertainty.calibration import Scaling, identity
from brain_tumor.evaluation.uncertainty.fitting import answers_of, fit_uncertainty, warnings
from brain_tumor.layout.blocks import Finding
from brain_tumor.tracking.logged_uncertainty import describe

SIZES = {"train": 240, "val": 80, "calibration": 160, "test": 160}
SIDE = 40


@pytest.fixture(scope="module")
def toy() -> Dataset:
    rng = np.random.default_rng(0)
    parts = np.repeat(list(SIZES), list(SIZES.values()))
    labels = np.arange(len(parts)) % 4
    images = np.stack([draw(label, rng, SIDE) for label in labels])
    blind = rng.random(len(parts)) < 0.15  # no bar, so that even a good network errs
    images[blind] = rng.integers(0, 90, (int(blind.sum()), SIDE, SIDE, 3))
    ids = [f"{index:04d}" for index in range(len(parts))]
    rows = {
        "path": ids,
        "label": np.asarray(STANDARD.names)[labels],
        "part": parts,
        "group": ids,
        "site": "s",
        "sha256": ids,
    }
    split = Split(pd.DataFrame(rows), root=Path("."), source="folder", synthetic=False)
    return Dataset(split, images.astype(np.uint8), np.arange(len(parts)), None)


@pytest.fixture(scope="module")
def settled(toy):
    """A model of seconds that is observed, its logits before calibration on test, and its decision."""
    import keras

    from brain_tumor.models.classifier import build_classifier

    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0.0, seed=0)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", jit_compile=False)
    rows = toy.rows("train")
    model.fit(toy.images(rows), toy.labels(rows), epochs=6, batch_size=24, verbose=0)
    observed = observing(model)
    before = observe(observed, toy.pixels, toy.rows("test"))
    uncertainty = fit_uncertainty(
        observed, toy, calibrate="temperature", levels=(0.95, 0.9), accuracy=0.95
    )  # kept rising
    return observed, before, uncertainty


def test_the_calibration_is_in_the_weights(toy, settled):
    import keras

    observed, before, uncertainty = settled
    assert uncertainty.scaling.kind == "temperature"
    evaluation, outputs = measure_all(observed, toy, "test", "official", uncertainty)
    np.testing.assert_allclose(outputs.logits * uncertainty.scaling.temperature, before.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(evaluation.uncalibrated, before.probabilities, atol=1e-5)
    plain = keras.Model(observed.inputs, observed.outputs[0])
    np.testing.assert_allclose(outputs.probabilities, predict(plain, toy.pixels, toy.rows("test")), atol=1e-6)
    assert evaluation.before is not None
    part = evaluation.take([3, 1])
    np.testing.assert_array_equal(part.uncalibrated, evaluation.uncalibrated[[3, 1]])


def test_nothing_is_learnt_from_the_test_part(toy, settled):
    observed, _, uncertainty = settled
    table = toy.split.table
    rows = toy.rows("test")
    table.loc[rows, "label"] = np.roll(table.loc[rows, "label"].to_numpy(), 1)
    pixels = toy.pixels.copy()
    pixels[rows] = 255
    split = Split(table, root=toy.split.root, source="folder", synthetic=False)
    other = replace(toy, split=split, pixels=pixels)
    first, second = (
        fit_uncertainty(observed, each, calibrate="none", levels=(0.9,), accuracy=0.95) for each in (toy, other)
    )
    np.testing.assert_array_equal(first.sets.limits, second.sets.limits)
    assert (first.confidence, first.distance) == (second.confidence, second.distance)
    assert first.confidence == pytest.approx(uncertainty.confidence, abs=1e-5)  # the model is calibrated by now


def test_other_images_are_told_from_those_of_its_kind(toy, settled):
    """Its own kind is a bar in noise, so white noise is not far: benchmarks/outliers.py measures a real model."""
    observed, _, uncertainty = settled
    known = observe(observed, toy.pixels, toy.rows("test"))
    rng = np.random.default_rng(1)
    crops = [image[y : y + SIDE, x : x + SIDE] for image in load_sample_images().images for y in (50, 200) for x in
             (50, 250, 450)]  # fmt: skip
    noise = rng.integers(0, 256, (12, SIDE, SIDE, 3))
    blank = np.full((3, SIDE, SIDE, 3), np.array([0, 128, 255])[:, None, None, None])
    strange = np.concatenate([crops, noise, blank]).astype(np.uint8)
    outputs = observe(observed, strange, np.arange(len(strange)))
    truth = np.repeat([0, 1], [len(known.features), len(strange)])
    distances = [uncertainty.gaussians.distance(each.features) for each in (known, outputs)]
    assert roc_auc_score(truth, np.concatenate(distances)) > 0.9
    assert np.mean([answer.not_brain_mri for answer in answers_of(uncertainty, outputs)]) > 0.15
    assert np.mean([answer.not_brain_mri for answer in answers_of(uncertainty, known)]) < 0.05


def test_distance_by_the_textbook():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)).astype(np.float32) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 3]], np.float32)
    labels = np.arange(60) % 2
    features[labels == 1] += 4
    found = out_of_distribution.fit(features, labels, 2)
    means = np.stack([features[labels == index].mean(axis=0) for index in range(2)])
    cloud = LedoitWolf(assume_centered=True).fit(features - means[labels])
    expected = np.min([cloud.mahalanobis(features - mean) for mean in means], axis=0) / 3
    np.testing.assert_allclose(found.distance(features), expected, rtol=1e-4)
    assert found.distance(features).mean() == pytest.approx(1, abs=0.2)


def test_an_answer_follows_from_the_thresholds(settled):
    uncertainty = replace(settled[2], confidence=0.6, distance=2.0)
    uncertainty = replace(
        uncertainty,
        sets=replace(uncertainty.sets, limits=np.array([[0.2, 0.7, 0.7, 0.7], [0.5, 0.75, 0.75, np.inf]])),
        gaussians=out_of_distribution.Gaussians(np.zeros((4, 2), np.float32), np.eye(2, dtype=np.float32)),
    )
    probabilities = np.array([[0.7, 0.2, 0.05, 0.05], [0.3, 0.4, 0.2, 0.1]])
    features = np.array([[1.0, 1.0], [2.0, 2.0]], np.float32)  # distances 1 and 4
    first, second = answers_of(uncertainty, Outputs(probabilities, np.log(probabilities), features))
    assert (first.label, first.confidence, first.not_sure, first.not_brain_mri) == ("glioma", 0.7, False, False)
    assert first.sets == {0.9: ("glioma",), 0.95: ("glioma", "pituitary")}  # 1 - 0.7 is more than 0.2
    assert (second.label, second.not_sure, second.not_brain_mri) == ("meningioma", True, True)
    assert second.sets == {0.9: ("meningioma",), 0.95: ("meningioma", "pituitary")}


def test_what_could_not_be_fitted_is_said(toy, settled):
    uncertainty = settled[2]
    assert warnings(uncertainty) == []
    table = toy.split.table
    table = table[table["part"] != "calibration"]
    split = Split(table, root=toy.split.root, source="folder", synthetic=False)
    bare = replace(toy, split=split, pixel_rows=toy.pixel_rows[table.index])
    without = fit_uncertainty(settled[0], bare, calibrate="none", levels=(0.9,), accuracy=0.95)
    assert "data.calibration_fraction" in warnings(without)[0]
    assert all(answer.sets == {} for answer in answers_of(without, observe(settled[0], toy.pixels, np.arange(2))))
    few = replace(uncertainty.sets, limits=np.full((2, 4), np.inf), images=(8, 8, 8, 8))
    said = warnings(replace(uncertainty, sets=few, confidence=np.inf))
    assert len(said) == 3
    assert "glioma (8 calibration images), meningioma (8 " in said[0]
    assert "since 9 of a class are needed" in said[0]
    assert "since 19 of a class are needed" in said[1]
    assert "selective_accuracy" in said[-1]
    # 49 right answers in a row are had at an accuracy of 98 % every third time, 50 are the least that could show it.
    for answered, told in ((49, 1), (50, 0)):
        said = warnings(replace(uncertainty, accuracy=0.98, answered=answered))
        assert len(said) == told
    assert warnings(replace(uncertainty, accuracy=0.98, answered=None)) == []


def test_the_scaling_and_what_could_not_be_fitted_are_described(settled):
    uncertainty = replace(settled[2], scaling=Scaling("temperature", np.full(4, 0.5), np.zeros(4), "as asked"))
    assert describe(uncertainty) == [Finding("", "Calibration: temperature 2.000 (as asked).")]
    unscaled = replace(uncertainty, scaling=identity(4, "no mistake"), confidence=np.inf)
    first, second = describe(unscaled)
    assert first == Finding("", "Calibration: none (no mistake).")
    assert second.verdict.startswith("Warning: every image is answered with not sure")
    assert describe(None) == []


def test_a_decision_comes_back_as_it_was(settled, tmp_path):
    from brain_tumor.tracking import logged_uncertainty, runs
    from brain_tumor.tracking.store import open_store

    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))
    limits = settled[2].sets.limits.copy()
    limits[1, 2] = np.inf
    for confidence in (settled[2].confidence, np.inf):
        uncertainty = replace(settled[2], sets=replace(settled[2].sets, limits=limits), confidence=confidence)
        with runs.started(store, system_metrics=False) as run_id:
            assert logged_uncertainty.load_uncertainty(run_id) is None
            logged_uncertainty.log_uncertainty(uncertainty)
        again = logged_uncertainty.load_uncertainty(run_id)
        assert again is not None
        for name in ("classes", "accuracy", "confidence", "distance", "answered"):
            assert getattr(again, name) == getattr(uncertainty, name)
        for name in ("levels", "images", "groups"):
            assert getattr(again.sets, name) == getattr(uncertainty.sets, name)
        np.testing.assert_array_equal(again.sets.limits, limits)
        np.testing.assert_array_equal(again.scaling.scale, uncertainty.scaling.scale)
        np.testing.assert_array_equal(again.gaussians.means, uncertainty.gaussians.means)
        np.testing.assert_array_equal(again.gaussians.precision, uncertainty.gaussians.precision)
    place = next(tmp_path.rglob(f"*{run_id}*/**/decision.json"))
    json.loads(place.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    (place.parent / "outliers.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="cannot be read"):
        logged_uncertainty.load_uncertainty(run_id)
