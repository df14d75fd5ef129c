"""Training on images that take seconds: same seed, same history; stopped and resumed, same history."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import draw
from trials import phase

from brain_tumor.config.train import EarlyStoppingConfig, PhaseConfig, PlateauConfig
from brain_tumor.errors import InputError

SIDE = 32
SCHEDULES = {
    "cosine": {"scratch": phase(decay="cosine", warmup_epochs=1, optimizer="adamw", weight_decay=1e-2)},
    "averaged": {"scratch": phase(weight_averaging=0.8, optimizer="sgd", learning_rate=0.05)},
    "plateau": {
        "scratch": phase(
            epochs=4,
            decay="plateau",
            warmup_epochs=0.5,
            plateau=PlateauConfig(patience=1, factor=0.5, min_learning_rate=0),
            early_stopping=EarlyStoppingConfig(patience=3, min_delta=10),  # nothing improves by that much
            class_weights="balanced",
        )
    },
    "two phases": {"first": phase(epochs=2), "head": phase(epochs=2, unfreeze="head", label_smoothing=0.1)},
    "features": {"first": phase(epochs=1), "head": phase(epochs=3, unfreeze="head", feature_views=2, dropout=0.3)},
    "features first": {"head": phase(unfreeze="head", feature_views=1, weight_averaging=0.8), "all": phase(epochs=1)},
    "two dropouts": {"first": phase(epochs=1, dropout=0.0), "second": phase(epochs=2, dropout=0.6)},
}


class StoppedError(Exception):
    """In place of Ctrl-C, which pytest would take for its own."""


def train(
    folder: Path,
    schedule: dict[str, PhaseConfig],
    *,
    seed: int = 0,
    dropout: float = 0.3,
    stop_after: int | None = None,
    execution: Any = None,
) -> Any:
    import keras
    import tensorflow as tf

    from brain_tumor.evaluation.prediction import predict
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.models.hardware import Execution
    from brain_tumor.training.fit import fit
    from brain_tumor.training.stage import TrainingSet

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 4
    pixels = np.stack([draw(label, rng, SIDE) for label in labels])
    rows = np.arange(32)
    model = build_classifier("cnn_baseline", image_size=SIDE, weights=None, dropout=dropout, seed=seed)

    def noisy(image: Any, epoch: int, index: int) -> Any:
        return np.roll(image, np.random.default_rng([epoch, index]).integers(-1, 2), axis=0)

    def validate(candidate: Any, inputs: Any, rows: Any) -> dict[str, float]:
        assert len(rows) == 8
        found = predict(candidate, inputs, rows)
        truth = labels[32:]
        return {
            "val/loss": float(-np.log(found[np.arange(8), truth]).mean()),
            "val/macro_f1": float((found.argmax(axis=1) == truth).mean()),
        }

    def on_epoch(row: dict[str, Any]) -> None:
        if row["step"] == stop_after:
            raise StoppedError

    folder.mkdir(exist_ok=True)
    return fit(
        model,
        TrainingSet(
            pixels,
            rows,
            labels[rows],
            dict.fromkeys(schedule, noisy),
            workers=2,
            val_rows=np.arange(32, 40),
            recipes=dict.fromkeys(schedule, "rolled"),
            cache=folder / "cache",
        ),
        schedule,
        seed=seed,
        monitor="val/macro_f1",
        validate=validate,
        folder=folder,
        on_epoch=on_epoch,
        execution=execution or Execution(),
    )


def numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in ("seconds", "images_per_second")} for row in history
    ]


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumed_is_as_if_never_stopped(name: str, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", SCHEDULES[name])
    with pytest.raises(StoppedError):
        train(tmp_path / "cut", SCHEDULES[name], stop_after=2)
    resumed = train(tmp_path / "cut", SCHEDULES[name])
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.best_step == whole.best_step
    for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_seed_decides_the_history(tmp_path: Path) -> None:
    runs = [train(tmp_path / str(index), SCHEDULES["cosine"], seed=seed) for index, seed in enumerate((1, 1, 2))]
    histories = [numbers(run.history) for run in runs]
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_early_stopping_and_plateau_count_epochs(tmp_path: Path) -> None:
    history = train(tmp_path, SCHEDULES["plateau"]).history
    assert len(history) == 4  # the first is the best, three more exhaust the patience of 3
    # Keras' plateau lowers after each epoch without an improvement by more than 1e-4 (its default min_delta).
    rate, best, expected = 3e-3, float("inf"), []
    for row in history:
        expected.append(rate)
        if row["val/loss"] < best - 1e-4:
            best = row["val/loss"]
        else:
            rate *= 0.5
    np.testing.assert_allclose([row["learning_rate"] for row in history], expected, rtol=1e-6)


def test_a_head_phase_changes_the_head_alone(tmp_path: Path) -> None:
    one = train(tmp_path / "one", {"first": SCHEDULES["two phases"]["first"]})
    both = train(tmp_path / "both", SCHEDULES["two phases"])
    same = {
        variable.path: np.array_equal(variable, other)
        for variable, other in zip(one.model.weights, both.model.weights, strict=True)
    }
    if both.best_step > 2:
        assert {path for path, equal in same.items() if not equal} == {"logits/kernel", "logits/bias"}
    else:
        assert all(same.values())
    assert all(layer.trainable for layer in both.model.layers)


def test_divergence_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"diverged in epoch \d of phase scratch.*lower schedule.scratch.learning_rate"
    ):
        train(tmp_path, {"scratch": phase(optimizer="sgd", learning_rate=1e30)})


def test_momentum_is_the_phases_own_and_then_as_built(tmp_path: Path) -> None:
    import keras

    schedule = {"one": phase(epochs=1, batch_norm_momentum=0.5), "two": phase(epochs=1)}
    whole = train(tmp_path / "whole", schedule)
    norms = [layer for layer in whole.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.9}  # as cnn_baseline builds them
    with pytest.raises(StoppedError):
        train(tmp_path / "cut", schedule, stop_after=1)
    assert numbers(train(tmp_path / "cut", schedule).history) == numbers(whole.history)


def test_dropout_is_the_phases_own_and_then_the_models(tmp_path: Path) -> None:
    common = train(tmp_path / "model", {"one": phase(epochs=2), "two": phase(epochs=1)}, dropout=0.3)
    own = {"one": phase(epochs=2, dropout=0.3), "two": phase(epochs=1, dropout=0.3)}
    assert numbers(train(tmp_path / "phases", own, dropout=0.0).history) == numbers(common.history)
    late = train(tmp_path / "late", {"one": own["one"], "two": phase(epochs=1, dropout=0.9)}, dropout=0.0)
    assert numbers(late.history[:2]) == numbers(common.history[:2])
    assert numbers(late.history[2:]) != numbers(common.history[2:])
    assert late.model.get_layer("dropout").rate == 0


def test_a_model_without_dropout_comes_back_after_a_phase_with_it(tmp_path: Path) -> None:
    import keras

    model = train(tmp_path, {"one": phase(epochs=1, dropout=0.5)}, dropout=0.0).model
    model.save(tmp_path / "model.keras")
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(image, verbose=0), model.predict(image, verbose=0))


@pytest.mark.parametrize("spoil", ["empty", "garbage", "cut", "best"])
def test_a_spoilt_checkpoint_is_one_line(spoil: str, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(tmp_path, SCHEDULES["two phases"], stop_after=2)
    last = tmp_path / "last.npz"
    content = last.read_bytes()
    last.write_bytes({"empty": b"", "garbage": b"x" * 500, "cut": content[: len(content) // 2]}.get(spoil, content))
    if spoil == "best":
        for path in tmp_path.glob("best-*.npz"):
            path.unlink()
    with pytest.raises(InputError, match=r"checkpoint .*\.npz cannot be read \(.*train anew") as caught:
        train(tmp_path, SCHEDULES["two phases"])
    assert "\n" not in str(caught.value)


def test_a_crash_between_best_and_last_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.training import callbacks

    schedule = SCHEDULES["two phases"]
    whole = train(tmp_path / "whole", schedule)
    save_last = callbacks.save_last

    def crash(folder: Path, model: Any, optimizer: Any, history: list[dict[str, Any]]) -> None:
        if len(history) == 3:
            raise StoppedError
        save_last(folder, model, optimizer, history)

    monkeypatch.setattr(callbacks, "save_last", crash)
    with pytest.raises(StoppedError):
        train(tmp_path / "cut", schedule)
    monkeypatch.setattr(callbacks, "save_last", save_last)
    assert numbers(train(tmp_path / "cut", schedule).history) == numbers(whole.history)


def test_too_many_blocks_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unfreeze=99: this backbone has"):
        train(tmp_path, {"scratch": phase(unfreeze=99)})


def test_class_weights_are_inverse_frequencies() -> None:
    from brain_tumor.training.stage import class_weights

    assert class_weights(np.array([0, 0, 0, 2], np.int32)) == {0: pytest.approx(4 / 6), 2: pytest.approx(2.0)}


def test_the_best_epoch_and_its_ties() -> None:
    from brain_tumor.training.callbacks import best_step

    def row(step: int, f1: float, loss: float) -> dict[str, Any]:
        return {"step": step, "val/macro_f1": f1, "val/loss": loss}

    history = [row(1, 0.8, 0.1), row(2, 0.9, 0.5), row(3, 0.9, 0.4), row(4, 0.9, 0.4)]
    assert best_step(history, "val/macro_f1") == 3
    assert best_step(history, "val/loss") == 1
