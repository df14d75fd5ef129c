"""From a configuration and its data to a trained model, every epoch of it tracked."""

import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from brain_tumor import CLASSES
from brain_tumor.config import TrainConfig
from brain_tumor.data.augment import build
from brain_tumor.data.load import Dataset
from brain_tumor.evaluation.gradcam import output_of
from brain_tumor.evaluation.measure import measure
from brain_tumor.evaluation.metrics import score
from brain_tumor.models.registry import build_classifier, get_backbone
from brain_tumor.tracking import runs
from brain_tumor.training.fit import TrainedRun, TrainingSet, fit

VALIDATED = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")


def train_model(
    config: TrainConfig, dataset: Dataset, weights: Path | None, folder: Path, *, run_id: str
) -> TrainedRun:
    """Train as configured, on from what `folder` holds; the same seed gives the same history on one machine."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    model = build_classifier(
        config.model.name,
        image_size=dataset.image_size,
        classes=len(CLASSES),
        weights=weights,
        dropout=config.model.dropout,
        seed=config.seed,
    )
    output_of(model, config.explain.layer or get_backbone(config.model.name).cam_layer)  # a wrong one, known now
    rows = dataset.rows("train")
    training = TrainingSet(
        dataset.pixels,
        dataset.pixel_rows[rows],
        dataset.labels(rows),
        build(config.augment, config.seed),
        config.data.workers,
    )
    phases = list(config.schedule)
    logged = runs.logged_epochs(run_id)
    kind = "synthetic phantom, " if dataset.split.synthetic else ""

    def on_epoch(row: dict[str, Any]) -> None:
        runs.log_epoch(row, phases)
        print(epoch_line(row, kind, config.monitor), file=sys.stderr)

    def validate(candidate: keras.Model) -> dict[str, float]:
        values = score(measure(candidate, dataset, "val", config.protocol.name, quiet=True))
        return {"val/loss": values["log_loss"], **{f"val/{name}": values[name] for name in VALIDATED}}

    return fit(
        model,
        training,
        config.schedule,
        seed=config.seed,
        monitor=config.monitor,
        validate=validate,
        folder=folder,
        on_epoch=on_epoch,
        logged=logged,
    )


def epoch_line(row: dict[str, Any], kind: str, monitor: str) -> str:
    return (
        f"epoch {row['step']} ({kind}phase {row['phase']}): "
        f"train/loss {row['train/loss']:.4f}, val/loss {row['val/loss']:.4f}, {monitor} {row[monitor]:.4f}, "
        f"{row['images_per_second']:.0f} images/s, {row['seconds']:.0f} s"
    )
