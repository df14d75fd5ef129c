"""A lesion map is learned beside the classes, where masks are known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fits import Whole, train
from PIL import Image
from toy import draw
from trials import assert_equal, numbers, phase, prepared

from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Execution

SIDE = 64
WEIGHTS = np.tile(np.float32([0.5, 1.5]), 16)
EXACT = {"batch_size": 21, "dropout": 0.0, "update_batch_norm": False, "optimizer": "sgd", "learning_rate": 0.1}
SCHEDULE = {"all": phase(**EXACT, epochs=4, weight_averaging=0.8, label_smoothing=0.1)}
SETTINGS = {"dropout": 0.0, "head": "evidence", "known": 20, "weights": WEIGHTS, "side": SIDE}


@pytest.fixture(scope="module", autouse=True)
def two_blocks() -> Iterator[None]:
    """All four blocks in place of two, narrow ones: the head needs activations at an 8th and a 16th of the side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brain_tumor.models.cnn._FILTERS", (8, 8, 16, 16))
        yield


def test_the_loss_is_cross_entropy_and_dice_where_the_lesion_is_known():
    from brain_tumor.training.lesion_loss import lesion_loss

    half = np.float32([[1, 1], [0, 0]])[..., None]
    target = np.stack([half, half, 0 * half, 0 * half - 1])
    drawn = np.stack([half, 0 * half + 0.5, 0 * half + 0.5, 0 * half + 0.5])
    # Dice with a cell of smoothing: (4 + 1) / (4 + 1), (2 + 1) / (4 + 1), and none where there is no lesion.
    expected = [0, 10 * np.log(2) + 1 - 3 / 5, 10 * np.log(2), 0]
    np.testing.assert_allclose(lesion_loss(target, drawn), expected, atol=1e-4)


@pytest.mark.slow
def test_the_map_comes_to_find_what_the_masks_show(tmp_path: Path) -> None:
    import keras

    run = train(tmp_path / "run", {"all": phase(epochs=15, learning_rate=3e-3)}, head="evidence", known=32, side=SIDE)
    assert run.history[-1]["train/lesion_loss"] < 0.6 * run.history[0]["train/lesion_loss"]
    maps = keras.Model(run.model.inputs, run.model.get_layer("lesion_map").output)
    rng = np.random.default_rng(1)
    for label in range(4):
        rows = maps.predict_on_batch(draw(label, rng, SIDE)[None])[0, :, :, 0].mean(axis=1)  # of 16, 4 pixels each
        assert rows.argmax() // 4 == label  # the bar begins at 2 + 16 * label, and is 12 pixels high


def test_a_stage_knows_how_painting_mixes_the_classes(images: Path, tmp_path: Path) -> None:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.stage import Turn, make_stage

    for file in images.rglob("*.png"):
        if file.parent.name != "notumor":
            mask = tmp_path / file.relative_to(images)
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.new("1", Image.open(file).size, 1).save(mask)
    training = prepared(
        images, f"data.masks={tmp_path}", "augment=counterfactual", "schedule.all.augment_strength=1"
    ).training
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=0)
    turn = Turn(model, model, training, "all", phase(), 0, 0, lambda *_: {})
    stage = make_stage(turn)
    counts = np.bincount(training.labels)
    sick, healthy = counts.sum() - counts[2], counts[2]  # glioma, meningioma, notumor, pituitary
    # 0.3 of the lesions are removed, 0.4 of the healthy images get one.
    more = 1 - 0.3 + 0.4 * healthy / sick
    expected = [more, more, (0.6 * healthy + 0.3 * sick) / healthy, more]
    np.testing.assert_allclose(stage.objective.mixture, expected, rtol=1e-5)
    balanced = make_stage(replace(turn, phase=phase(class_weights="balanced")))
    # All classes weigh the same, and the weight of an image stays when its lesion goes.
    assert balanced.objective.mixture[2] == pytest.approx(0.6 + 0.3 * 3)
    shares = ["augment.counterfactual={removed: 1, transplanted: 0, elsewhere: 0}", "schedule.all.augment_strength=1"]
    bare = prepared(images, f"data.masks={tmp_path}", "augment=counterfactual", *shares).training
    moved = make_stage(replace(turn, training=bare)).objective.mixture
    assert list(moved) == [1, 1, counts.sum() / healthy, 1]


def test_allowing_for_more_healthy_images_divides_the_odds_by_as_much(tmp_path: Path) -> None:
    one = {"all": phase(epochs=1, learning_rate=3e-3)}  # of several, another one might be the best
    plain = train(tmp_path / "plain", one)
    chances = np.full((32, 4), 0.2)
    chances[:, 2] = 0.4  # of each eight of a class: 6.4 of three classes, 12.8 of the other
    allowed = train(tmp_path / "allowed", one, repainted=chances)
    image = draw(1, np.random.default_rng(1), 32)[None]
    expected = plain.model.predict(image, verbose=0)[0] / [0.8, 0.8, 1.6, 0.8]
    np.testing.assert_allclose(allowed.model.predict(image, verbose=0)[0], expected / expected.sum(), rtol=1e-3)


def test_painting_needs_a_training_mask_that_shows_a_lesion(images: Path, tmp_path: Path) -> None:
    for file in images.rglob("*.png"):
        mask = tmp_path / file.relative_to(images)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", Image.open(file).size).save(mask)
    with pytest.raises(InputError, match="none of the training images has a mask that shows one: leave it out"):
        prepared(images, f"data.masks={tmp_path}", "augment=counterfactual")


def test_only_known_masks_have_a_say_and_the_step_is_traced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    train_step, traced = keras.Model.train_step, []
    monkeypatch.setattr(keras.Model, "train_step", lambda self, data: traced.append(1) or train_step(self, data))
    run = train(tmp_path / "run", {"all": phase(epochs=1)}, head="evidence", known=0, side=SIDE)
    assert len(traced) == 1
    assert run.history[0]["train/lesion_loss"] == 0
    assert list(run.model.output_names) == ["probabilities"]


@pytest.mark.slow
def test_the_step_in_pieces_is_that_of_the_whole_batch(whole: Whole) -> None:
    batches = whole.run(SCHEDULE, **SETTINGS)
    pieces = whole.run(SCHEDULE, **SETTINGS, execution=Execution(micro_batch=7))
    for row, other in zip(numbers(pieces.history), numbers(batches.history), strict=True):
        for rows in (row, other):
            for name in ("phase", "train/accuracy", "train/loss", "train/lesion_loss"):  # which count the copy
                del rows[name]
        assert row == pytest.approx(other, rel=1e-3)
    for one, other in zip(pieces.model.get_weights(), batches.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_goes_on_as_if_never_stopped(whole: Whole, tmp_path: Path) -> None:
    cut = whole.cut(tmp_path / "cut", SCHEDULE, **SETTINGS)
    assert_equal(train(cut, SCHEDULE, **SETTINGS), whole.run(SCHEDULE, **SETTINGS))


def test_trains_in_16_bits(tmp_path: Path) -> None:
    run = train(tmp_path / "run", {"all": phase(epochs=2)}, **SETTINGS, execution=Execution(precision="bfloat16"))
    assert run.history[-1]["train/lesion_loss"] < run.history[0]["train/lesion_loss"]
    assert {layer.compute_dtype for layer in run.model.layers} == {"float32"}
