"""From a configuration to the kinds of map that it allows."""

from typing import Any

from brain_tumor.config.train import ExplainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import METHODS, Kind
from brain_tumor.evaluation.explanation.maps import check_layer, layer_choices
from brain_tumor.models.backbones import get_backbone

AUTO = "auto"


def candidates(config: ExplainConfig, model: Any, backbone: str) -> list[Kind]:
    """Every (method, layer) that the configuration allows: several with auto, otherwise one."""
    methods = list(METHODS) if config.method == AUTO else [config.method]
    layers = layer_choices(model) if config.layer == AUTO else [config.layer or get_backbone(backbone).cam_layer]
    return [(method, layer) for layer in layers for method in methods]


def fallback(config: ExplainConfig, backbone: str) -> Kind:
    """What stands for auto where nothing can be measured: LayerCAM, and the backbone's own layers."""
    layer = None if config.layer == AUTO else config.layer
    return "layercam" if config.method == AUTO else config.method, layer or get_backbone(backbone).cam_layer


def check(config: ExplainConfig, model: Any, backbone: str, dataset: Dataset) -> None:
    """Raise InputError, before anything is trained, for a layer that gives no map, or auto or sanity without masks."""
    masks = dataset.mask_paths
    keys = {
        "explain.method=auto": config.method == AUTO,
        "explain.layer=auto": config.layer == AUTO,
        "explain.sanity=true": config.sanity,
    }
    for key in [key for key, asked in keys.items() if asked]:
        if masks is None:
            raise InputError(f"{key} needs lesion masks to measure by: give data.masks=DIR, or leave it out")
        if key.endswith(AUTO) and not any(masks[row] for row in dataset.rows("val")):
            raise InputError(f"{key} chooses on the val part, and none of its images has a mask: leave it out")
    for _, layer in candidates(config, model, backbone):
        check_layer(model, layer)
