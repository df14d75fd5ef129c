"""A student learns from a teacher: the loss by hand, and what becomes of a student whose labels are wrong."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composition import task
from fits import SIDE, Whole, train
from toy import draw
from trials import assert_equal, numbers, phase

from brain_tumor.config.schedule import DistillConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.batches import Examples, train_batches
from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Execution

ALONE = DistillConfig(teacher="models:/t/1", temperature=1, weight=1)
QUICK = {"batch_norm_momentum": 0.5, "batch_size": 8, "learning_rate": 1e-2}


def knowing(side: int = SIDE, order: tuple[int, ...] = (0, 1, 2, 3), image_size: int = SIDE) -> Any:
    """A teacher that looks for the bar of `toy.draw`, and needs no training to find it."""
    import keras

    from brain_tumor.training.distillation import teacher_of

    layers = keras.layers
    image = keras.Input((side, side, 3))
    rows = layers.AveragePooling2D((side // 4, side))(layers.Rescaling(1 / 255)(image))
    logits = layers.Dense(4, name="logits")
    said = layers.Softmax()(logits(layers.Flatten()(rows)))
    logits.set_weights([10 * np.repeat(np.eye(4), 3, axis=0), np.zeros(4)])
    return teacher_of(keras.Model(image, said), order, (image_size, image_size, 3))


@pytest.fixture(scope="module")
def known() -> Any:
    from brain_tumor.training.distillation import Teacher

    return Teacher(knowing(), ALONE)


def test_the_loss_is_that_of_the_labels_and_the_softened_divergence() -> None:
    from brain_tumor.training.distillation import distilled
    from brain_tumor.training.optimizers import make_loss

    # Softened by 2, the teacher's odds of 9 : 1 are 3 : 1, and the student's of 4 : 1 are 2 : 1.
    divergence = 3 / 4 * math.log((3 / 4) / (2 / 3)) + 1 / 4 * math.log((1 / 4) / (1 / 3))
    truth = np.array([[1, math.log(9), 0.0]], np.float32)
    said = np.array([[0.8, 0.2]], np.float32)
    for weight in (0.25, 1.0):
        loss = distilled(make_loss(2, 0), DistillConfig(teacher="t", temperature=2, weight=weight))
        expected = (1 - weight) * -math.log(0.2) + weight * 4 * divergence
        assert np.asarray(loss(truth, said)) == pytest.approx([expected], rel=1e-5)


def test_smoothing_is_of_the_labels_and_weights_are_of_both() -> None:
    import keras

    from brain_tumor.training.fit import compile_phase
    from brain_tumor.training.optimizers import Objective

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    distill = DistillConfig(teacher="t", temperature=1, weight=0.5)
    compile_phase(model, phase(label_smoothing=0.2), 1, Objective(distill=distill))
    said, truth = np.array([[0.8, 0.2]], np.float32), np.array([[0, math.log(3), 0.0]], np.float32)
    labels = -(0.9 * math.log(0.8) + 0.1 * math.log(0.2))
    divergence = 0.75 * math.log(0.75 / 0.8) + 0.25 * math.log(0.25 / 0.2)
    found = model.evaluate(said, truth, sample_weight=np.array([3.0]), verbose=0)
    assert found == pytest.approx([3 * (labels + divergence) / 2, 1.0], rel=1e-4)


def test_an_impossible_class_leaves_the_loss_finite() -> None:
    from brain_tumor.training.distillation import distilled
    from brain_tumor.training.optimizers import make_loss

    found = distilled(make_loss(2, 0), ALONE)(
        np.array([[0, 0.0, 50.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    )
    assert np.asarray(found) == pytest.approx([-math.log(1e-20)], rel=1e-3)


def test_a_teacher_answers_at_its_own_size_and_in_the_order_of_the_student() -> None:
    """Of a bar as high as a quarter of the image, which is that at every size."""
    from brain_tumor.training.distillation import asking

    images = np.zeros((4, 2 * SIDE, 2 * SIDE, 3), np.uint8)
    for place, image in enumerate(images):
        image[place * SIDE // 2 : (place + 1) * SIDE // 2] = 255
    found = asking(knowing(order=(2, 0, 3, 1), image_size=2 * SIDE))(images)
    assert found.argmax(axis=1).tolist() == [1, 3, 0, 2]
    # 30 where the bar is, but for the edges, and nothing elsewhere.
    assert found.max(axis=1) == pytest.approx([30] * 4, rel=0.1)


@pytest.mark.parametrize("views", [None, 2])
def test_a_student_of_the_teacher_alone_learns_its_classes_and_not_the_wrong_labels(
    views: int | None, known: Any, whole: Whole
) -> None:
    schedule = {"all": phase(epochs=12, **QUICK)}
    if views:
        schedule = {"first": phase(epochs=12, **QUICK), "head": phase(epochs=3, unfreeze="head", feature_views=views)}
    run = whole.run(schedule, teacher=known, off=1)
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    pixels = np.stack([draw(label, rng, SIDE) for label in labels])
    found = run.model.predict(pixels[32:], verbose=0).argmax(axis=1)
    assert (found == labels[32:]).mean() > 0.8
    assert run.history[-1]["train/accuracy"] < 0.3  # by the labels that it was given


def test_a_teacher_of_stored_views_is_the_one_that_sees_the_pictures(known: Any, whole: Whole, tmp_path: Path) -> None:
    def head(views: int | None) -> dict[str, Any]:
        return {"head": phase(unfreeze="head", dropout=0.3, feature_views=views)}

    pictures = whole.run(head(None), teacher=known, off=1)
    features = whole.run(head(3), teacher=known, off=1)
    stored = whole.cut(tmp_path / "features", head(3), teacher=known, off=1) / "cache" / "features"
    assert len(list(stored.glob("*.npy"))) == 3 + 3 + 1  # features and answers of each view, features of the val part
    for row, other in zip(numbers(features.history), numbers(pictures.history), strict=True):
        assert row.pop("phase") == other.pop("phase")
        assert row == pytest.approx(other, rel=1e-4)


def test_a_student_goes_on_as_if_never_stopped(known: Any, whole: Whole, tmp_path: Path) -> None:
    schedule = {"all": phase(epochs=12, **QUICK)}
    folder = whole.cut(tmp_path / "cut", schedule, teacher=known, off=1)
    assert_equal(train(folder, schedule, teacher=known, off=1), whole.run(schedule, teacher=known, off=1))


def test_pieces_of_a_batch_and_a_lesion_map_have_a_teacher_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from brain_tumor.training.distillation import Teacher

    monkeypatch.setattr("brain_tumor.models.cnn._FILTERS", (8, 8, 16, 16))  # the head needs all four blocks
    settings: dict[str, Any] = {"head": "evidence", "known": 32, "dropout": 0.0, "side": 64}
    settings |= {"teacher": Teacher(knowing(64, image_size=64), ALONE), "off": 1}
    exact = {"all": phase(epochs=1, update_batch_norm=False, optimizer="sgd", batch_size=16)}
    batches = train(tmp_path / "batches", exact, **settings).history[0]
    pieces = train(tmp_path / "pieces", exact, execution=Execution(micro_batch=8), **settings).history[0]
    for name in ("train/loss", "train/accuracy", "train/lesion_loss", "val/loss"):
        assert pieces[name] == pytest.approx(batches[name], rel=1e-3)


@pytest.mark.parametrize("grid", [None, (2, 2)])
def test_a_teacher_is_asked_about_the_very_image_that_is_learned(grid: tuple[int, int] | None) -> None:
    """Painted over and augmented as it is: here by as much as the image's number and the epoch say."""
    pixels = np.zeros((6, 4, 4, 3), np.uint8)
    labels = np.arange(6, dtype=np.int32)

    def teacher(images: Any) -> Any:
        return np.stack([images.mean(axis=(1, 2, 3)), -images.mean(axis=(1, 2, 3))], axis=1)

    def brighter(sample: Any, epoch: int, index: int) -> Any:
        return sample._replace(image=sample.image + np.uint8(10 * epoch + index), label=5 - index)

    examples = Examples(pixels, np.arange(6), labels, grid=grid, teacher=teacher)
    stream = train_batches(examples, batch_size=4, seed=0, augment=brighter, workers=2, first_epoch=3)
    images, targets = next(stream)
    stream.close()
    truth = targets if grid is None else targets[0]
    shade = images[:, 0, 0, 0].astype(float)
    np.testing.assert_array_equal(truth, np.stack([35 - shade, shade, -shade], axis=1))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["distill.weight=1"], "need a teacher: give distill.teacher=MODEL_URI"),
        (["distill.teacher=models:/t/1", "distill.weight=1.5"], "distill.weight"),
        (["distill.teacher=models:/t/1", "distill.temperature=0"], "distill.temperature"),
        (["distill.teacher=models:/t/1", "hardware.strategy=mirrored"], "give hardware.strategy=none"),
    ],
)
def test_settings_that_say_nothing_are_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        typed(TrainConfig, task(*overrides))


def test_a_teacher_of_whole_volumes_sees_them_as_they_are() -> None:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.distillation import asking, teacher_of

    shape = (5, 24, 20, 1)
    volumes = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    model = build_classifier("cnn3d_baseline", shape=shape, weights=None, dropout=0.2, seed=0)
    said = np.log(model.predict_on_batch(volumes))
    found = asking(teacher_of(model, (2, 0, 3, 1), shape))(volumes)
    expected = said[:, [2, 0, 3, 1]]
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-5
    )
