"""What one phase trains, and on what: the classifier on pictures, or its head on stored features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.data.augment import Augment, Sample
from brain_tumor.data.batches import Examples, feature_batches, steps_per_epoch, train_batches
from brain_tumor.data.cache import cache_folder
from brain_tumor.data.masks import PackedMasks
from brain_tumor.data.pixels import Pixels
from brain_tumor.models.heads import LESION_MAP, head_of
from brain_tumor.training.batch_norm import learning_model
from brain_tumor.training.distillation import Teacher, asking
from brain_tumor.training.distribute import Stream, predictor
from brain_tumor.training.features import head, pooled, stored_features
from brain_tumor.training.layer_decay import layer_rates
from brain_tumor.training.optimizers import Objective

# (model, inputs, rows): val/* metrics of the model on `inputs[rows]`, the images of the val part in their order
Validate = Callable[[keras.Model, Pixels | NDArray[np.generic], NDArray[np.int64]], dict[str, float]]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Training images: rows of `pixels` (N, H, W, 3) uint8 with their integer labels."""

    pixels: Pixels
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    augment: Mapping[str, Augment]  # of every phase
    workers: int
    weights: NDArray[np.float32] | None = None  # of each image in the loss; None: all alike
    val_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # rows of the val part
    recipes: Mapping[str, str] = field(default_factory=dict)  # of every phase: all that determines its augmentation
    cache: Path = field(default_factory=lambda: cache_folder(None))  # where stored features are
    masks: PackedMasks | None = None  # the lesions of the images, where something learns from them
    lesion_weight: float = 1.0  # see `Objective`
    # Of every phase that moves lesions: the chance (n, C) of each class that an image then has.
    repainted: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    teacher: Teacher | None = None


@dataclass(frozen=True, eq=False)
class Stage:
    """A phase made ready: its model shares the classifier's variables."""

    name: str
    phase: PhaseConfig
    images: int  # of an epoch
    model: keras.Model  # to compile and fit
    stream: Callable[[int], Stream]  # the batches from an epoch on, counted over all phases
    validate: Callable[[], dict[str, float]]
    objective: Objective

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return steps_per_epoch(self.images, self.phase.batch_size)


@dataclass(frozen=True, eq=False)
class Turn:
    """A phase whose turn it is: `apply_phase` has been called for it."""

    model: keras.Model  # the classifier
    alone: keras.Model  # its `predictor`
    training: TrainingSet
    name: str
    phase: PhaseConfig
    seed: int
    began: int  # epochs of the phases before it
    validate: Validate


def make_stage(turn: Turn) -> Stage:
    """The stage of a phase; of one with `feature_views` the features are computed here, unless they are stored."""
    if turn.phase.feature_views is not None:
        return _on_features(turn)
    training, name, phase = turn.training, turn.name, turn.phase
    learner, teacher, weights = with_map(turn.model), training.teacher, _weights(training, phase)
    examples = Examples(
        training.pixels,
        training.rows,
        training.labels,
        weights,
        training.masks,
        grid=tuple(learner.outputs[1].shape[1:3]) if len(learner.outputs) > 1 else None,
        teacher=asking(teacher.model) if teacher else None,
    )
    augment, workers = training.augment[name], training.workers
    stream = partial(_pictures, examples, augment, workers, batch_size=phase.batch_size, seed=turn.seed)
    return Stage(
        name,
        phase,
        len(training.rows),
        learning_model(learner),
        stream,
        partial(turn.validate, turn.alone, training.pixels, training.val_rows),
        Objective(
            training.lesion_weight,
            layer_rates(turn.model, phase.layer_decay),
            _mixture(training, name, weights),
            teacher.distill if teacher else None,
        ),
    )


def _on_features(turn: Turn) -> Stage:
    training, name, phase = turn.training, turn.name, turn.phase
    teacher, backbone = training.teacher, pooled(turn.alone)
    viewed = partial(_viewed, turn)
    views = viewed(backbone, "features")
    taught = viewed(teacher.model, "teacher's answers") if teacher else None
    stored = _storing(training, backbone)
    shown = stored(training.val_rows, view=lambda image, position: image, facts=None, title=f"{name}: val features")
    with turn.model.distribute_strategy.scope():
        learner = head(turn.model)
    on_one = predictor(learner)

    def stream(first_epoch: int) -> Stream:
        return feature_batches(
            views,
            training.labels,
            batch_size=phase.batch_size,
            seed=turn.seed,
            first_epoch=first_epoch,
            first_view=turn.began,
            weights=_weights(training, phase),
            taught=taught,
        )

    checked = partial(turn.validate, on_one, shown, np.arange(len(shown)))
    objective = Objective(distill=teacher.distill if teacher else None)
    return Stage(name, phase, len(training.rows), learner, stream, checked, objective)


def with_map(model: keras.Model) -> keras.Model:
    """The classifier, whose lesion map, if it draws one, is a second output."""
    if head_of(model) != "evidence":
        return model
    return keras.Model(model.inputs, [*model.outputs, model.get_layer(LESION_MAP).output], name=model.name)


def _pictures(
    examples: Examples, augment: Augment, workers: int, first_epoch: int, *, batch_size: int, seed: int
) -> Stream:
    return train_batches(
        examples,
        batch_size=batch_size,
        seed=seed,
        augment=augment,
        workers=workers,
        first_epoch=first_epoch,  # counted over all phases, so that no two see the same augmentation
    )


def _viewed(turn: Turn, model: keras.Model, what: str) -> list[NDArray[np.float32]]:
    """What a model makes of the training images in each view, those of the phase's first epochs."""
    training, name, views, began = turn.training, turn.name, turn.phase.feature_views or 1, turn.began
    stored, augment = _storing(training, model), training.augment[name]
    return [
        stored(
            training.rows,
            view=partial(_view, augment, began + view),
            facts=[training.recipes[name], began + view],
            title=f"{name}: {what} {view + 1}/{views}",
        )
        for view in range(views)
    ]


def _storing(training: TrainingSet, model: keras.Model) -> Callable[..., NDArray[np.float32]]:
    return partial(stored_features, model, training.pixels, cache=training.cache, workers=training.workers)


def _view(augment: Augment, epoch: int, image: NDArray[np.uint8], position: int) -> NDArray[np.uint8]:
    return augment(Sample(image), epoch, position).image


def _weights(training: TrainingSet, phase: PhaseConfig) -> NDArray[np.float32] | None:
    """A weight per image where classes or sites are balanced."""
    if phase.class_weights == "none":
        return training.weights
    of_class = class_weights(training.labels)
    balanced = np.array([of_class[int(label)] for label in training.labels], np.float32)
    return balanced if training.weights is None else balanced * training.weights


def _mixture(training: TrainingSet, name: str, weights: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """How many times as frequent (C,) each class becomes by the lesions that a phase moves; None: it moves none."""
    if name not in training.repainted:
        return None
    after, counted = training.repainted[name], np.ones(len(training.labels)) if weights is None else weights
    before, then = np.bincount(training.labels, counted, minlength=after.shape[1]), counted @ after
    known = (before > 0) & (then > 0)  # of a class that is not learned from there is nothing to allow for
    return np.divide(then, before, out=np.ones(len(before)), where=known).astype(np.float32)


def begin_bias(model: keras.Model, mixture: NDArray[np.float32] | None) -> None:
    """Begin where `mixture` leads the logits: the steps of a schedule are too few and too small to get there."""
    if mixture is not None:
        model.get_layer("logits").bias.assign(-np.log(mixture))


def class_weights(labels: NDArray[np.int32]) -> dict[int, float]:
    """scikit-learn's balanced weights, n / (classes * count), by class index."""
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    return {int(label): float(weight) for label, weight in zip(present, weights, strict=True)}
