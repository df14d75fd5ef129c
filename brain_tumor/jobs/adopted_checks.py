"""What can be known of a model that was trained elsewhere before anything starts, without TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.errors import InputError
from brain_tumor.models import adopted_file

if TYPE_CHECKING:
    from brain_tumor.config.commands import AdoptConfig, EvaluateConfig, PredictConfig
    from brain_tumor.tracking.model_address import Found


def check_file(config: "AdoptConfig") -> Path:
    """The file, of which nothing is run; InputError where it is refused, or scales its input itself and more."""
    path = adopted_file.check_file(config.file)
    scales = adopted_file.scales_itself(path)
    if scales is not None and config.scaling not in ("none", "efficientnet"):
        raise InputError(
            f"scaling={config.scaling}: the model scales its input itself (layer {scales!r}): give scaling=none"
        )
    if config.data.subset is not None:
        raise InputError(f"data.subset={config.data.subset}: all that the model was trained on counts: leave it out")
    return path


def check_evaluated(found: "Found", config: "EvaluateConfig") -> None:
    """Refuse what cannot be evaluated of such a model."""
    if config.explain.sanity and found.adopted:
        raise InputError("explain.sanity=true builds the network anew, and this one was built elsewhere: leave it out")
    _refuse(found, {"explain.method": config.explain.method, "explain.layer": config.explain.layer}, "draws maps")
    _refuse_tflite(found, config.runtime)


def check_answering(found: "Found", config: "PredictConfig") -> None:
    """Refuse what no ONNX model can do for `predict`."""
    asked = {"explain": "true" if config.explain else None, "maps.method": config.maps.method}
    _refuse(found, {**asked, "maps.layer": config.maps.layer}, "draws maps")
    _refuse_tflite(found, config.runtime)


def refuse_onnx(found: "Found", does: str) -> None:
    """Refuse a whole command that `does` what no ONNX model can."""
    if not found.keras:
        raise InputError(f"{found.uri} is an ONNX model: {does}. evaluate, compare, predict and MLflow itself take it")


def _refuse(found: "Found", asked: dict[str, str | None], does: str) -> None:
    for key, value in asked.items():
        if value is not None and not found.keras:
            raise InputError(
                f"{key}={value} {does}, and {found.uri} is an ONNX model, whose layers cannot be read: leave it out"
            )


def _refuse_tflite(found: "Found", runtime: str) -> None:
    _refuse(found, {"runtime": "tflite" if runtime == "tflite" else None}, "is made of Keras' layers")
