"""From a configuration and its data to a trained model."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from brain_tumor.config.train import TRUST, Monitor, TrainConfig
from brain_tumor.data import counterfactual
from brain_tumor.data.augment import Augment, build, recipe
from brain_tumor.data.batches import Examples
from brain_tumor.data.cache import cache_folder
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.pixels import Pixels
from brain_tumor.evaluation.explanation.kinds import check
from brain_tumor.evaluation.measuring import evaluation
from brain_tumor.evaluation.metrics import score
from brain_tumor.evaluation.prediction import predict
from brain_tumor.models.backend import execution_of
from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.hardware import Execution, piece_size
from brain_tumor.training.distillation import Teacher
from brain_tumor.training.distribute import make_strategy
from brain_tumor.training.fit import Bookkeeping, TrainedRun, fit
from brain_tumor.training.freezing import unfrozen_blocks
from brain_tumor.training.known_lesions import require_lesions
from brain_tumor.training.stage import TrainingSet
from brain_tumor.training.trust import Painted, paint_lesions

logger = logging.getLogger(__name__)

LOSS = "val/loss"  # the log loss; every other Monitor but TRUST is a score of the same name
VALIDATED = tuple(name.removeprefix("val/") for name in get_args(Monitor) if name not in (LOSS, TRUST))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A configuration with all that it needs to train, built and checked."""

    config: TrainConfig
    dataset: Dataset
    model: keras.Model
    training: TrainingSet
    execution: Execution
    painted: Painted | None = None  # with monitor=val/trust


def prepare(
    config: TrainConfig, dataset: Dataset, weights: Path | None, teacher: keras.Model | None = None
) -> Prepared:
    """Build the model and the augmentation, so that a mistake in either shows before there is a run.

    `teacher` is that of `config.distill`, from `distillation.teacher_of`.

    Raises InputError for a weights file that does not fit, an unknown transform or layer, too many blocks, too few
    devices for `hardware.strategy`, no GPU where one is wanted, batches that `hardware.micro_batch` does not divide, or
    no lesion to paint over.
    """
    require_lesions(config, dataset)
    painted = paint_lesions(dataset) if config.monitor == TRUST else None
    execution = execution_of(config.hardware)
    tf.config.experimental.enable_op_determinism()
    with make_strategy(config.hardware.strategy).scope():
        model = build_classifier(
            config.model.name,
            shape=dataset.shape,
            classes=len(dataset.split.classes),
            weights=weights,
            dropout=config.model.dropout,
            seed=config.seed,
            head=config.model.head,
        )
    check(config.explain, model, config.model.name, dataset)
    for name, phase in config.schedule.items():
        unfrozen_blocks(model, phase, name)
        piece_size(name, phase, config.hardware.micro_batch)
    rows = dataset.rows("train")
    learns_masks = config.model.head == "evidence" or config.augment.counterfactual is not None
    examples = Examples(
        dataset.pixels,
        dataset.pixel_rows[rows],
        dataset.labels(rows),
        masks=dataset.lesions(rows) if learns_masks else None,
    )
    strengths = {name: phase.augment_strength for name, phase in config.schedule.items()}
    built = {strength: _augmentation(config, dataset, examples, strength) for strength in set(strengths.values())}
    augment = {name: built[strength] for name, strength in strengths.items()}
    sites = dataset.split.table["site"].to_numpy()[rows]
    training = TrainingSet(
        examples.pixels,
        examples.rows,
        examples.labels,
        augment,
        config.data.workers,
        weights=site_weights(sites) if config.data.site_weights == "balanced" else None,
        val_rows=dataset.pixel_rows[dataset.rows("val")],
        recipes={name: recipe(config.augment, config.seed, strength) for name, strength in strengths.items()},
        cache=cache_folder(config.data.cache),
        masks=examples.masks,
        lesion_weight=config.model.lesion_weight,
        repainted=_repainted(config, dataset, examples),
        teacher=None if teacher is None else Teacher(teacher, config.distill),
    )
    return Prepared(config, dataset, model, training, execution, painted)


def _augmentation(config: TrainConfig, dataset: Dataset, examples: Examples, strength: float) -> Augment:
    """What is painted over, where that is asked for, and then the transforms."""
    transforms, painting = build(config.augment, config.seed, strength), config.augment.counterfactual
    if painting is None:
        return transforms
    assert examples.masks is not None
    healthy = dataset.split.classes.healthy_index
    if healthy is None:
        logger.warning("augment=%s: no class is healthy, so no lesion is painted over", config.augment.name)
    repaint = counterfactual.build(
        painting, examples.sample, len(examples.rows), healthy=healthy, seed=config.seed, strength=strength
    )
    return lambda sample, epoch, index: transforms(repaint(sample, epoch, index), epoch, index)


def _repainted(config: TrainConfig, dataset: Dataset, examples: Examples) -> dict[str, NDArray[np.float64]]:
    """`TrainingSet.repainted`."""
    painting, masks, healthy = config.augment.counterfactual, examples.masks, dataset.split.classes.healthy_index
    if painting is None or masks is None or healthy is None:
        return {}
    expected = partial(
        counterfactual.expected_classes,
        painting,
        examples.labels,
        masks,
        classes=len(dataset.split.classes),
        healthy=healthy,
    )
    return {name: expected(strength=phase.augment_strength) for name, phase in config.schedule.items()}


def site_weights(sites: NDArray[np.object_]) -> NDArray[np.float32]:
    """A weight (n,) for each image by its site (n,), so that all sites weigh alike; the mean is 1."""
    return np.asarray(compute_sample_weight("balanced", sites), np.float32)


def train_model(
    prepared: Prepared, folder: Path, *, on_epoch: Callable[[dict[str, Any]], None], logged: int = 0
) -> TrainedRun:
    """Train as configured, on from what `folder` holds; the same seed gives the same history on one machine.

    `on_epoch` is told of every finished epoch but the first `logged` ones.
    """
    config = prepared.config
    keras.utils.set_random_seed(config.seed)

    def validate(candidate: keras.Model, inputs: Pixels | NDArray[Any], rows: NDArray[np.int64]) -> dict[str, float]:
        found = evaluation(predict(candidate, inputs, rows), prepared.dataset, "val", config.protocol.name)
        values = score(found)
        measured = {LOSS: values["log_loss"], **{f"val/{name}": values[name] for name in VALIDATED}}
        return measured if prepared.painted is None else {**measured, TRUST: prepared.painted.measure(candidate, found)}

    return fit(
        prepared.model,
        prepared.training,
        config.schedule,
        Bookkeeping(config.monitor, validate, folder, on_epoch, logged),
        seed=config.seed,
        execution=prepared.execution,
    )
