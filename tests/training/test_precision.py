"""Training in 16 bits: it learns, and what comes out is a float32 model like any other."""

from pathlib import Path

import numpy as np
import pytest
from fits import SIDE, Whole, train
from trials import assert_equal, phase

from brain_tumor.models.hardware import Execution, Precision

SCHEDULE = {"scratch": phase(epochs=4, batch_size=8, learning_rate=0.03, weight_averaging=0.5)}
HALVES: tuple[Precision, ...] = ("bfloat16", "float16")


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_it_learns_and_gives_a_float32_model_that_reloads(precision: Precision, whole: Whole, tmp_path: Path) -> None:
    import keras

    run = whole.run(SCHEDULE, execution=Execution(precision=precision))
    losses, expected = ([row["train/loss"] for row in each.history] for each in (run, whole.run(SCHEDULE)))
    assert losses[0] != expected[0]
    assert losses[0] == pytest.approx(expected[0], rel=0.1)
    assert losses[-1] < 0.4 * losses[0]
    assert {layer.compute_dtype for layer in run.model.layers} == {"float32"}
    assert {variable.dtype for variable in run.model.weights} == {"float32"}
    run.model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    again = keras.models.load_model(tmp_path / "model.keras")
    found = again.predict(images, verbose=0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, run.model.predict(images, verbose=0))


def test_attention_computes_in_it_too() -> None:
    import keras

    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.precision import compute_in

    model = build_classifier("cct_5", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    attended = keras.Model(model.inputs, model.get_layer("block2_attention").output)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    exact = attended([images]).numpy()
    compute_in(model, "bfloat16")
    found = attended([images])
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(found, np.float32), exact, atol=0.05)
    compute_in(model, "float32")
    np.testing.assert_array_equal(attended([images]).numpy(), exact)


def test_layers_compute_in_it_and_probabilities_do_not() -> None:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.precision import compute_in

    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0.0, seed=0)
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    exact = np.asarray(model(image))
    compute_in(model, "bfloat16")
    rounded = model(image)
    assert rounded.dtype == "float32"
    assert model.get_layer("logits").compute_dtype == "bfloat16"
    assert not np.array_equal(rounded, exact)
    np.testing.assert_allclose(rounded, exact, atol=0.02)  # 8 bits of mantissa
    compute_in(model, "float32")
    np.testing.assert_array_equal(model(image), exact)


@pytest.mark.parametrize("precision", HALVES)
def test_resumed_is_as_if_never_stopped(precision: Precision, whole: Whole, tmp_path: Path) -> None:
    execution = Execution(precision=precision)
    resumed = train(whole.cut(tmp_path / "cut", SCHEDULE, execution=execution), SCHEDULE, execution=execution)
    assert_equal(resumed, whole.run(SCHEDULE, execution=execution))


@pytest.mark.parametrize(("first", "then"), [("float32", "float16"), ("float16", "bfloat16")])
def test_a_run_goes_on_in_another_precision(first: Precision, then: Precision, whole: Whole, tmp_path: Path) -> None:
    stopped = {} if first == "float32" else {"execution": Execution(precision=first)}
    cut = whole.cut(tmp_path / "cut", SCHEDULE, **stopped)
    losses = [row["train/loss"] for row in train(cut, SCHEDULE, execution=Execution(precision=then)).history]
    assert max(losses[2:]) < 0.6 * losses[0]


def test_features_of_another_precision_are_stored_apart(tmp_path: Path) -> None:
    schedule = {"head": phase(epochs=1, unfreeze="head", feature_views=1)}
    train(tmp_path, schedule)
    for path in tmp_path.glob("*.npz"):
        path.unlink()
    train(tmp_path, schedule, execution=Execution(precision="bfloat16"))
    assert len(list((tmp_path / "cache" / "features").glob("*.npy"))) == 4  # twice that of the train and val part


def test_float16_in_pieces_is_float16(tmp_path: Path) -> None:
    schedule = {"scratch": phase(batch_size=16, dropout=0.0, update_batch_norm=False, learning_rate=1e-3)}
    whole = train(tmp_path / "whole", schedule, execution=Execution(precision="float16"))
    pieces = train(tmp_path / "pieces", schedule, execution=Execution(precision="float16", micro_batch=4))
    losses, expected = ([row["train/loss"] for row in each.history] for each in (pieces, whole))
    assert losses == pytest.approx(expected, rel=0.02)
