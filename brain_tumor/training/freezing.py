"""Which layers learn in a phase."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.errors import InputError
from brain_tumor.models.classifier import blocks


@dataclass(frozen=True)
class AsBuilt:
    """What phases change about layers, as it was in the newly built model, by layer name."""

    dropout: Mapping[str, float]
    momentum: Mapping[str, float]


def as_built(model: keras.Model) -> AsBuilt:
    """Remember dropout rates and batch-norm momenta of a model that no phase has touched yet."""
    kinds = keras.layers.Dropout, keras.layers.BatchNormalization
    dropouts, norms = ([layer for layer in model.layers if isinstance(layer, kind)] for kind in kinds)
    return AsBuilt({layer.name: layer.rate for layer in dropouts}, {layer.name: layer.momentum for layer in norms})


def unfrozen_blocks(model: keras.Model, phase: PhaseConfig, phase_name: str) -> int:
    """How many of the last blocks learn; InputError if there are fewer than `phase.unfreeze` asks for."""
    count = len(blocks(model))
    if phase.unfreeze == "head":
        return 0
    if phase.unfreeze == "all":
        return count
    if int(phase.unfreeze) > count:
        raise InputError(
            f"schedule.{phase_name}.unfreeze={phase.unfreeze}: this backbone has {count} blocks; give fewer, or all"
        )
    return int(phase.unfreeze)


def apply_phase(model: keras.Model, phase: PhaseConfig, phase_name: str, built: AsBuilt) -> None:
    """Set what is trainable in this phase; frozen layers also run without dropout, as at inference.

    `phase.update_batch_norm=False` freezes batch-norm layers whole: in Keras one with `trainable=False` runs with
    its stored statistics. `phase.dropout` is the rate before the logits and no other.
    """
    groups = blocks(model)
    count = unfrozen_blocks(model, phase, phase_name)
    frozen = {layer.name for group in groups[: len(groups) - count] for layer in group}
    for layer in model.layers:
        is_norm = layer.name in built.momentum
        layer.trainable = layer.name not in frozen and (phase.update_batch_norm or not is_norm)
        if is_norm:
            layer.momentum = phase.batch_norm_momentum or built.momentum[layer.name]
        if layer.name in built.dropout:
            layer.rate = 0.0 if layer.name in frozen else built.dropout[layer.name]
        if layer.name == "dropout" and phase.dropout is not None:
            layer.rate = phase.dropout


def restore(model: keras.Model, built: AsBuilt) -> None:
    """Undo `apply_phase`, so that the saved model is the one that was built."""
    for layer in model.layers:
        layer.trainable = True
        if layer.name in built.momentum:
            layer.momentum = built.momentum[layer.name]
        if layer.name in built.dropout:
            layer.rate = built.dropout[layer.name]
