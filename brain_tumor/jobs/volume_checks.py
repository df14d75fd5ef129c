"""What whole volumes, and models of them, cannot have yet, known before anything starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brain_tumor.config.train import DataConfig
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    from brain_tumor.config.commands import PredictConfig
    from brain_tumor.tracking.model_address import Found


def refuse_volumes(found: "Found", does: str) -> None:
    """Refuse a model of whole volumes for a command that `does` something with slices."""
    if found.whole:
        raise InputError(
            f"{found.uri} takes whole volumes, and {does} slices: measure it with evaluate, which takes it, or train a "
            "model of slices (data=folder)"
        )


def check_same_kind(models: "Sequence[Found]") -> None:
    """Refuse a model of whole volumes beside one of slices, which are asked for other things."""
    whole, slices = ([each.uri for each in models if each.whole == kind] for kind in (True, False))
    if whole and slices:
        raise InputError(
            f"{whole[0]} takes whole volumes, and {slices[0]} slices: show each by itself, without the other"
        )


def check_whole_answers(found: "Found", config: "PredictConfig") -> None:
    """Refuse what `predict` cannot do by a model of whole volumes."""
    asked = {
        f"plane={config.plane}": config.plane != "auto",
        f"volume={config.volume}": config.volume is not None,
        f"runtime={config.runtime}": config.runtime in ("onnx", "tflite"),
    }
    for key in [key for key, given in asked.items() if given and found.whole]:
        raise InputError(f"{key} is for models of slices, and {found.uri} takes whole volumes: leave it out")


def refuse_volume_data(data: DataConfig, does: str) -> None:
    """The same, of data."""
    if data.volume_shape is not None:
        raise InputError(f"data.volume_shape makes whole volumes of the data, and {does} slices: give data=folder")
