"""Training on images that take seconds: same seed, same history; stopped and resumed, same history."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import SCHEDULES, SIDE, Whole, train
from trials import StoppedError, assert_equal, numbers, phase

from brain_tumor.errors import InputError


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumed_is_as_if_never_stopped(name: str, whole: Whole, tmp_path: Path) -> None:
    resumed = train(whole.cut(tmp_path / "cut", SCHEDULES[name]), SCHEDULES[name])
    assert_equal(resumed, whole.run(SCHEDULES[name]))


def test_a_stopped_training_leaves_what_is_resumed_here(whole: Whole, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(tmp_path / "stopped", SCHEDULES["averaged"], stop_after=2)
    cut = whole.cut(tmp_path / "cut", SCHEDULES["averaged"])
    names = sorted(path.name for path in cut.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "stopped").iterdir())
    for name in names:
        with np.load(cut / name) as kept, np.load(tmp_path / "stopped" / name) as left:
            assert kept.files == left.files
            for key in set(kept.files) - {"history"}:  # which has the seconds that an epoch took
                np.testing.assert_array_equal(left[key], kept[key])


def test_the_seed_decides_the_history(whole: Whole, tmp_path: Path) -> None:
    first, other = whole.run(SCHEDULES["cosine"]), train(tmp_path, SCHEDULES["cosine"], seed=1)
    assert numbers(other.history) != numbers(first.history)  # test_a_stopped_training…: the same seed, the same weights


def test_early_stopping_and_plateau_count_epochs(whole: Whole) -> None:
    history = whole.run(SCHEDULES["plateau"]).history
    assert len(history) == 4  # the first is the best, three more exhaust the patience of 3
    # Keras' plateau lowers after each epoch without an improvement by more than 1e-4 (its default min_delta).
    rate, best, expected = 0.03, float("inf"), []
    for row in history:
        expected.append(rate)
        if row["val/loss"] < best - 1e-4:
            best = row["val/loss"]
        else:
            rate *= 0.5
    assert 1 < len(set(expected)) < 4  # there was something to count
    np.testing.assert_allclose([row["learning_rate"] for row in history], expected, rtol=1e-6)


def test_a_head_phase_changes_the_head_alone(whole: Whole, tmp_path: Path) -> None:
    both = whole.run(SCHEDULES["two phases"])
    one = train(whole.cut(tmp_path / "one", SCHEDULES["two phases"]), {"first": SCHEDULES["two phases"]["first"]})
    assert len(one.history) == 2  # nothing is left to train
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


def test_momentum_is_the_phases_own_and_then_as_built(whole: Whole) -> None:
    import keras

    model = whole.run(SCHEDULES["of its own"]).model
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.9}  # as cnn_baseline builds them


def test_dropout_is_the_phases_own_and_then_the_models(tmp_path: Path) -> None:
    import keras

    common = train(tmp_path / "model", {"one": phase(epochs=1), "two": phase(epochs=1)}, dropout=0.3)
    own = {"one": phase(epochs=1, dropout=0.3), "two": phase(epochs=1, dropout=0.9)}
    late = train(tmp_path / "phases", own, dropout=0.0)
    assert numbers(late.history[:1]) == numbers(common.history[:1])
    assert numbers(late.history[1:]) != numbers(common.history[1:])
    model = late.model
    assert model.get_layer("dropout").rate == 0
    model.save(tmp_path / "model.keras")
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(image, verbose=0), model.predict(image, verbose=0))


@pytest.mark.parametrize("spoil", ["empty", "garbage", "cut", "best"])
def test_a_spoilt_checkpoint_is_one_line(spoil: str, whole: Whole, tmp_path: Path) -> None:
    cut = whole.cut(tmp_path / "cut", SCHEDULES["two phases"])
    last = cut / "last.npz"
    content = last.read_bytes()
    last.write_bytes({"empty": b"", "garbage": b"x" * 500, "cut": content[: len(content) // 2]}.get(spoil, content))
    if spoil == "best":
        for path in cut.glob("best-*.npz"):
            path.unlink()
    with pytest.raises(InputError, match=r"checkpoint .*\.npz cannot be read \(.*train anew") as caught:
        train(cut, SCHEDULES["two phases"])
    assert "\n" not in str(caught.value)


def test_a_crash_between_best_and_last_costs_nothing(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brain_tumor.training import callbacks

    schedule = SCHEDULES["two phases"]
    cut = whole.cut(tmp_path / "cut", schedule)
    save_last = callbacks.save_last

    def crash(folder: Path, model: Any, optimizer: Any, history: list[dict[str, Any]]) -> None:
        if len(history) == 3:
            raise StoppedError
        save_last(folder, model, optimizer, history)

    monkeypatch.setattr(callbacks, "save_last", crash)
    with pytest.raises(StoppedError):
        train(cut, schedule)
    monkeypatch.setattr(callbacks, "save_last", save_last)
    assert numbers(train(cut, schedule).history) == numbers(whole.run(schedule).history)


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
