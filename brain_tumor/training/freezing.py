"""Which layers learn in a phase."""

from collections.abc import Mapping
from typing import Any

import keras

from brain_tumor.config import PhaseConfig
from brain_tumor.errors import InputError
from brain_tumor.models.registry import blocks


def dropout_rates(model: keras.Model) -> dict[str, float]:
    """The rate of every dropout layer of a newly built model, by layer name."""
    return {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}


def apply_phase(model: keras.Model, phase: PhaseConfig, phase_name: str, rates: Mapping[str, float]) -> None:
    """Set what is trainable in this phase; frozen layers also run without dropout, as at inference.

    `phase.update_batch_norm=False` freezes batch-norm layers whole: in Keras one with `trainable=False` runs with
    its stored statistics. `rates` are those of `dropout_rates`. Raises InputError if there are fewer blocks than
    `phase.unfreeze` asks for.
    """
    groups = blocks(model)
    count = {"head": 0, "all": len(groups)}.get(str(phase.unfreeze))
    if count is None:
        count = int(phase.unfreeze)
    if count > len(groups):
        raise InputError(
            f"schedule.{phase_name}.unfreeze={count}: this backbone has {len(groups)} blocks; give at most that, or all"
        )
    frozen = {layer.name for group in groups[: len(groups) - count] for layer in group}
    for layer in model.layers:
        is_frozen_norm = isinstance(layer, keras.layers.BatchNormalization) and not phase.update_batch_norm
        layer.trainable = layer.name not in frozen and not is_frozen_norm
        if isinstance(layer, keras.layers.BatchNormalization) and phase.batch_norm_momentum is not None:
            layer.momentum = phase.batch_norm_momentum
        if layer.name in rates:
            layer.rate = 0.0 if layer.name in frozen else rates[layer.name]


def restore(model: Any, rates: Mapping[str, float]) -> None:
    """Undo `apply_phase`, so that the saved model is the one that was built."""
    for layer in model.layers:
        layer.trainable = True
        if layer.name in rates:
            layer.rate = rates[layer.name]
