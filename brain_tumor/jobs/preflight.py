"""What can be known before anything starts, without TensorFlow: an error here has cost the user a second."""

from pathlib import Path

from brain_tumor.config.train import DataConfig, Source, TrainConfig
from brain_tumor.data.class_folders import site_folders
from brain_tumor.errors import InputError
from brain_tumor.models.hardware import piece_size
from brain_tumor.models.registry import get_backbone
from brain_tumor.models.weights import resolve_weights


def preflight(config: TrainConfig) -> Path | None:
    """Check the model, its weights and the schedule; returns the weights' file, or None for random weights.

    Raises InputError for a folder that is not there, an unknown model, weights that cannot be had, a frozen backbone
    without trained weights, or batches that `hardware.micro_batch` does not divide.
    """
    for name, phase in config.schedule.items():
        piece_size(name, phase, config.hardware.micro_batch)
    check_source(config.data)
    get_backbone(config.model.name)
    weights = resolve_weights(config.model.name, config.model.weights)
    name, phase = next(iter(config.schedule.items()))
    if weights is None and phase.unfreeze != "all":
        raise InputError(
            f"schedule.{name}.unfreeze={phase.unfreeze} freezes a backbone that has no trained weights "
            f"(model.weights=none): use schedule=scratch, or schedule.{name}.unfreeze=all, or give model.weights"
        )
    return weights


def check_source(data: DataConfig) -> None:
    """Refuse a `data.root` that the source would not read, or that is not there, and patients that cannot be read."""
    if data.source is Source.folder:
        site_folders(data.root)
    elif data.root is not None:
        raise InputError(f"data.root={data.root} is not read with data={data.source}: add data=folder")
    if data.patients is not None and data.source is not Source.phantom:
        from brain_tumor.data.grouping import patients_table

        patients_table(data.patients)


def image_size(config: TrainConfig) -> int:
    """Pixels a side: `data.image_size`, or the backbone's native resolution."""
    return config.data.image_size or get_backbone(config.model.name).native_size
