"""Optimizer, learning rate and loss of a phase."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.schedule import DistillConfig, PhaseConfig
from brain_tumor.training import distillation
from brain_tumor.training.layer_decay import by_layer
from brain_tumor.training.lesion_loss import lesion_loss


@dataclass(frozen=True, eq=False)
class Objective:
    """What a phase learns by, beside its own keys."""

    lesion_weight: float = 1.0  # of the lesion map's loss beside the cross-entropy's 1, of a head that draws one
    rates: Mapping[str, float] = field(default_factory=dict)  # of layers, see layer_decay
    mixture: NDArray[np.float32] | None = None  # see `make_loss`
    distill: DistillConfig | None = None  # with it labels come beside a teacher's logits


def make_optimizer(
    phase: PhaseConfig, steps_per_epoch: int, rates: Mapping[str, float] = MappingProxyType({})
) -> keras.optimizers.Optimizer:
    """The phase's optimizer with its learning rate: a schedule, or with `decay=plateau` a plain number.

    `rates` multiplies it, and weight decay with it, layer by layer, see `layer_decay`.
    """
    common: dict[str, Any] = {
        "learning_rate": learning_rate(phase, steps_per_epoch),
        "use_ema": phase.weight_averaging is not None,
        "ema_momentum": phase.weight_averaging or 0.99,
    }
    optimizers = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
    kind, weight_decay = optimizers[phase.optimizer], phase.weight_decay
    if rates:
        kind, weight_decay = by_layer(kind, rates, weight_decay), 0.0
    if phase.optimizer == "sgd":
        common |= {"momentum": 0.9, "nesterov": True}
    # None spares the others an operation for each variable; AdamW takes none.
    optimizer = kind(weight_decay=weight_decay if phase.optimizer == "adamw" else weight_decay or None, **common)
    if phase.weight_decay:  # scales and shifts are no weights to shrink (He et al. 2019, section 3.1)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate(phase: PhaseConfig, steps_per_epoch: int) -> Any:
    """A float for `decay=plateau` (ReduceLROnPlateau must be able to set it), otherwise a Keras schedule."""
    if phase.decay == "plateau":
        return phase.learning_rate
    total = phase.epochs * steps_per_epoch
    warmup = min(round(phase.warmup_epochs * steps_per_epoch), total - 1)
    floor = 1.0 if phase.decay == "constant" else 0.0  # the share of the peak that decay ends at
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(phase.learning_rate, total, alpha=floor)
    return keras.optimizers.schedules.CosineDecay(
        phase.learning_rate / (warmup + 1),
        total - warmup,
        alpha=floor,
        warmup_target=phase.learning_rate,
        warmup_steps=warmup,
    )


def losses(model: keras.Model, phase: PhaseConfig, objective: Objective) -> dict[str, Any]:
    """What `compile` takes of losses and metrics, for a model that gives probabilities and maybe a lesion map."""
    loss = make_loss(model.outputs[0].shape[-1], phase.label_smoothing, phase.focal_gamma, objective.mixture)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    if objective.distill is not None:
        loss = distillation.distilled(loss, objective.distill)
        accuracy = keras.metrics.MeanMetricWrapper(distillation.accuracy, name="accuracy")
    if len(model.outputs) == 1:
        return {"loss": loss, "metrics": [accuracy]}
    return {"loss": [loss, lesion_loss], "loss_weights": [1.0, objective.lesion_weight], "metrics": [[accuracy], []]}


def make_loss(
    classes: int, label_smoothing: float, focal_gamma: float = 0, mixture: NDArray[np.float32] | None = None
) -> Callable[[Any, Any], Any]:
    """Cross-entropy (B,) of integer labels (B,) and probabilities (B, C), smoothed (Szegedy et al. 2016).

    With `focal_gamma` each class's term counts (1 - its probability) ** focal_gamma times (Lin et al. 2017), and the
    classes alike: `class_weights` is what balances them.

    `mixture` (C,) says how many times as frequent each class is among what is learned from as among the images that the
    probabilities are meant for (logit adjustment: Menon et al. 2021, arXiv:2007.07314, with what is known of the
    frequencies turned round).
    """

    def loss(labels: Any, probabilities: Any) -> Any:
        one_hot = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        if mixture is not None:
            weighed = probabilities * mixture
            probabilities = weighed / keras.ops.sum(weighed, axis=-1, keepdims=True)
        if focal_gamma:
            return keras.losses.categorical_focal_crossentropy(
                one_hot, probabilities, alpha=1, gamma=focal_gamma, label_smoothing=label_smoothing
            )
        return keras.losses.categorical_crossentropy(one_hot, probabilities, label_smoothing=label_smoothing)

    return loss
