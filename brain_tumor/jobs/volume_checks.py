"""What whole volumes, and models of them, cannot have yet, known before anything starts."""

from typing import TYPE_CHECKING

from brain_tumor.config.train import DataConfig
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    from brain_tumor.tracking.model_address import Found


def refuse_volumes(found: "Found", does: str) -> None:
    """Refuse a model of whole volumes for a command that `does` something with slices."""
    if found.whole:
        raise InputError(
            f"{found.uri} takes whole volumes, and {does} slices: measure it with evaluate, which takes it, or train a "
            "model of slices (data=folder)"
        )


def refuse_volume_data(data: DataConfig, does: str) -> None:
    """The same, of data."""
    if data.volume_shape is not None:
        raise InputError(f"data.volume_shape makes whole volumes of the data, and {does} slices: give data=folder")
