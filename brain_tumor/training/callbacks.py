"""Keras callbacks of a phase, in the order in which they must run: progress, validation, checkpoint."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from brain_tumor.config.train import LOWER_IS_BETTER
from brain_tumor.errors import InputError
from brain_tumor.progress import progress
from brain_tumor.training.checkpoint import History, drop_others, save_best, save_last


def best_step(history: History, monitor: str) -> int:
    """The 1-based step with the best `monitor`; ties go to the lower `val/loss`, then to the earlier epoch."""
    sign = 1 if monitor in LOWER_IS_BETTER else -1
    best = min(history, key=lambda row: (sign * row[monitor], row["val/loss"], row["step"]))
    return int(best["step"])


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar per epoch with the phase, images a second and the time left."""

    def __init__(self, phase: str, epochs: int, images: int, batch_size: int) -> None:
        super().__init__()
        self._title, self._epochs, self._images, self._batch = phase, epochs, images, batch_size
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar = progress(self._images, f"{self._title} {epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = f"loss {logs['loss']:.3f}" if logs else ""
        self._bar.update(min(self._batch, self._images - batch * self._batch), loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Linear warm-up for `decay=plateau`, where the learning rate is a plain number."""

    def __init__(self, learning_rate: float, steps: int) -> None:
        super().__init__()
        self._learning_rate, self._steps = learning_rate, steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = int(np.asarray(self.model.optimizer.iterations))
        if step < self._steps:
            self.model.optimizer.learning_rate = self._learning_rate * (step + 1) / (self._steps + 1)
        elif step == self._steps:
            self.model.optimizer.learning_rate = self._learning_rate


class Record(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends an epoch: validates and adds the row to the history.

    The validation metrics go into `logs`, where the callbacks that stop or slow down training read them; those must
    therefore come later in the list. SwapEMAWeights must come earlier: it has put the averaged weights into the
    model, which are validated and kept if best, while training goes on from the raw ones.
    """

    def __init__(self, history: History, phase: str, *, images: int, validate: Callable[[], dict[str, float]]) -> None:
        super().__init__()
        self._history, self._phase, self._images, self._validate = history, phase, images, validate
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs if logs is not None else {}
        trained = time.perf_counter()
        # The loss is of before the last update, which may itself have spoilt the weights.
        finite = [np.isfinite(np.asarray(weights)).all() for weights in self.model.trainable_variables]
        if not (np.isfinite(logs["loss"]) and all(finite)):
            raise InputError(
                f"training diverged in epoch {epoch + 1} of phase {self._phase} (loss or weights are not finite): "
                f"lower schedule.{self._phase}.learning_rate"
            )
        # Of a model that draws a lesion map, too, Keras names what is said of the classes by that output.
        losses = {"train/loss": float(logs.get("probabilities_loss", logs["loss"]))}
        if "lesion_map_loss" in logs:
            losses["train/lesion_loss"] = float(logs["lesion_map_loss"])
        accuracy = float(logs["accuracy" if "accuracy" in logs else "probabilities_accuracy"])
        logs.update(self._validate())
        now = time.perf_counter()
        self._history.append(
            {
                "phase": self._phase,
                "step": len(self._history) + 1,
                **losses,
                "train/accuracy": accuracy,
                **{name: float(value) for name, value in logs.items() if name.startswith("val/")},
                "learning_rate": float(np.asarray(self.model.optimizer.learning_rate)),
                "images_per_second": self._images / (trained - self._started),
                "seconds": now - self._started,
            }
        )


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best and the last epoch on disk, then tells `on_epoch`. The last in the list.

    `whole` is the classifier, of which a phase may train a part.
    """

    def __init__(
        self,
        folder: Path,
        whole: keras.Model,
        history: History,
        *,
        monitor: str,
        swap: Any,
        on_epoch: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__()
        self._folder, self._whole, self._history, self._monitor = folder, whole, history, monitor
        self._swap, self._on_epoch = swap, on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        best = best_step(self._history, self._monitor)
        if best == len(self._history):
            save_best(self._folder, self._whole, best)
        if self._swap is not None:
            self._swap.on_epoch_begin(epoch)  # the raw weights again, for as long as the checkpoint is written
        save_last(self._folder, self._whole, self.model.optimizer, self._history)
        if self._swap is not None:
            self._swap.on_epoch_end(epoch)
        drop_others(self._folder, best)
        self._on_epoch(self._history[-1])


class Replay(keras.callbacks.Callback):  # type: ignore[misc]
    """After `resume`, brings the patience counters of `watchers`, earlier in the list, to where they were."""

    def __init__(self, past: History, watchers: list[Any], first_learning_rate: float | None) -> None:
        super().__init__()
        self._past, self._watchers, self._first = past, watchers, first_learning_rate

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        restored = float(np.asarray(optimizer.learning_rate))
        if self._first is not None:
            optimizer.learning_rate = self._first  # ReduceLROnPlateau lowers it again, epoch by epoch
        for watcher in self._watchers:
            for epoch, row in enumerate(self._past):
                watcher.on_epoch_end(epoch, dict(row))
        if self._first is not None:
            optimizer.learning_rate = restored
