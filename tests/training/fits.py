"""Trainings of a second, by `fit` itself: noise with a bright bar, whose place tells the class."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from toy import draw
from trials import StoppedError, phase

from brain_tumor.config.schedule import EarlyStoppingConfig, PhaseConfig, PlateauConfig

SIDE = 32
SCHEDULES = {
    "cosine": {"scratch": phase(decay="cosine", warmup_epochs=1, optimizer="adamw", weight_decay=1e-2)},
    "averaged": {"scratch": phase(weight_averaging=0.8, optimizer="sgd", learning_rate=0.05)},
    "plateau": {
        "scratch": phase(
            epochs=5,
            learning_rate=0.03,
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
    "of its own": {"one": phase(epochs=1, batch_norm_momentum=0.5, dropout=0.0), "two": phase(epochs=2, dropout=0.6)},
}


def train(
    folder: Path,
    schedule: dict[str, PhaseConfig],
    *,
    seed: int = 0,
    dropout: float = 0.3,
    stop_after: int | None = None,
    cut: Path | None = None,
    execution: Any = None,
    head: Any = "pooled",
    known: int = 0,
    weights: Any = None,
    side: int = SIDE,
    repainted: Any = None,
    teacher: Any = None,
    off: int = 0,
) -> Any:
    """Fit `cnn_baseline` to 32 images by a schedule, in `folder`; the masks of the first `known` ones are known.

    `repainted` (32, 4) is what the loss is to take for the classes that images have in training. The labels that are
    trained on are `off` by so many classes.

    StoppedError follows the epoch `stop_after`. A copy of the folder as it is after the second epoch, from which a
    stopped run goes on, is put into `cut`.
    """
    import keras
    import tensorflow as tf

    from brain_tumor.data.masks import PackedMasks
    from brain_tumor.evaluation.prediction import predict
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.models.hardware import Execution
    from brain_tumor.training.fit import Bookkeeping, fit
    from brain_tumor.training.stage import TrainingSet

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % 4
    pixels = np.stack([draw(label, rng, side) for label in labels])
    bars = pixels.min(axis=-1) > 119  # drawn on noise below 90
    rows = np.arange(32)
    model = build_classifier("cnn_baseline", shape=(side, side, 3), weights=None, dropout=dropout, seed=seed, head=head)

    def noisy(sample: Any, epoch: int, index: int) -> Any:
        moved = np.random.default_rng([epoch, index]).integers(-1, 2)
        return sample._replace(
            image=np.roll(sample.image, moved, axis=0),
            mask=None if sample.mask is None else np.roll(sample.mask, moved, axis=0),
        )

    def validate(candidate: Any, inputs: Any, rows: Any) -> dict[str, float]:
        assert len(rows) == 8
        found = predict(candidate, inputs, rows)
        truth = labels[32:]
        return {
            "val/loss": float(-np.log(found[np.arange(8), truth]).mean()),
            "val/macro_f1": float((found.argmax(axis=1) == truth).mean()),
        }

    def on_epoch(row: dict[str, Any]) -> None:
        if row["step"] == 2 and cut is not None:
            shutil.copytree(folder, cut)
        if row["step"] == stop_after:
            raise StoppedError

    folder.mkdir(exist_ok=True)
    return fit(
        model,
        TrainingSet(
            pixels,
            rows,
            (labels[rows] + off) % 4,
            dict.fromkeys(schedule, noisy),
            workers=2,
            val_rows=np.arange(32, 40),
            recipes=dict.fromkeys(schedule, "rolled"),
            cache=folder / "cache",
            masks=PackedMasks(np.packbits(bars[:32].reshape(32, -1), axis=1), rows < known, side),
            weights=weights,
            repainted={} if repainted is None else dict.fromkeys(schedule, repainted),
            teacher=teacher,
        ),
        schedule,
        Bookkeeping("val/macro_f1", validate, folder, on_epoch),
        seed=seed,
        execution=execution or Execution(),
    )


class Whole:
    """Trainings by `fits.train` that run through, each made once, and what they would have left if stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, list[tuple[Any, Any, Path]]()

    def run(self, schedule: dict[str, PhaseConfig], **settings: Any) -> Any:
        """What `train` returns; not to be changed."""
        return self._trained(schedule, settings)[0]

    def cut(self, place: Path, schedule: dict[str, PhaseConfig], **settings: Any) -> Path:
        """Put into `place` what the same training, stopped after its second epoch, has left in its folder."""
        return Path(shutil.copytree(self._trained(schedule, settings)[1], place))

    def _trained(self, schedule: dict[str, PhaseConfig], settings: dict[str, Any]) -> tuple[Any, Path]:
        for asked, run, cut in self._made:
            if asked == (schedule, settings):
                return run, cut
        place = self._folder / str(len(self._made))
        run, cut = train(place, schedule, cut=place.with_suffix(".cut"), **settings), place.with_suffix(".cut")
        self._made.append(((schedule, settings), run, cut))
        return run, cut
