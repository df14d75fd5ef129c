"""What whole volumes, and models of them, cannot have yet, known before anything starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brain_tumor.config.train import DataConfig
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    from brain_tumor.config.commands import EvaluateConfig, PredictConfig
    from brain_tumor.tracking.model_address import Found


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
    }
    for key in [key for key, given in asked.items() if given and found.whole]:
        raise InputError(f"{key} is for models of slices, and {found.uri} takes whole volumes: leave it out")


def check_other_data(found: "Found", config: "EvaluateConfig", data: DataConfig) -> None:
    """Refuse slices for a model of whole volumes, and volumes for one of slices; and what of volumes is not read."""
    if found.whole != (data.volume_shape is not None):
        takes, give = ("whole volumes", "data=volumes") if found.whole else ("slices", "data=folder")
        raise InputError(f"{found.uri} takes {takes}, and the data are not: give {give} data.root=DIR")
    if not found.whole:
        return
    if data.spacing is not None and data.spacing != found.spacing:
        raise InputError(f"data.spacing={list(data.spacing)} is the model's own, and not of the data: leave it out")
    if config.trained_root is not None:
        raise InputError(
            f"trained_root={config.trained_root} is not read for whole volumes, whose copies are known by what was "
            "logged of those trained on: leave it out"
        )
