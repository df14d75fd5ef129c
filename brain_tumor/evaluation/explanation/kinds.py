"""From a configuration to the kinds of map that it allows."""

from typing import Any

from brain_tumor.config.commands import MapsConfig
from brain_tumor.config.train import ADOPTED, AND, ExplainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, METHODS, ROLLOUT, Kind
from brain_tumor.evaluation.explanation.maps import check_layer, layer_choices
from brain_tumor.evaluation.explanation.needs import AUTO, require_masks, require_method
from brain_tumor.evaluation.explanation.rollout import attended
from brain_tumor.models.backbones import get_backbone
from brain_tumor.models.heads import LESION_MAP, head_of
from brain_tumor.models.members import prefixes


def kind_of(config: ExplainConfig | MapsConfig, model: Any, backbone: str) -> Kind:
    """The one (method, layer) of a configuration, and what stands for auto where nothing can be measured.

    Raises:
        InputError: `evidence` without a lesion map, `rollout` without attention, or either at a layer of its own.
    """
    layer = None if config.layer == AUTO else config.layer
    method: str | None = config.method
    if method is None or method == AUTO:
        method = EVIDENCE if config.layer is None and has_map(model) else "layercam"
    if method not in (EVIDENCE, ROLLOUT):
        return method, layer or own_layer(model, backbone)
    require_method(method, draws=has_map(model), attends=bool(attended(model)))
    if config.layer is not None:
        what = "is the lesion map itself" if method == EVIDENCE else "goes through all layers"
        raise InputError(f"explain.method={method} {what}: leave out explain.layer={config.layer}")
    return (EVIDENCE, LESION_MAP) if method == EVIDENCE else (ROLLOUT, attended(model)[-1])


def candidates(config: ExplainConfig, model: Any, backbone: str) -> list[Kind]:
    """Every (method, layer) that the configuration allows: several with auto, otherwise one."""
    own = kind_of(config, model, backbone)
    if AUTO not in (config.method, config.layer):
        return [own]
    methods = list(METHODS) if config.method == AUTO else [own[0]]
    chosen = [] if config.layer is None or config.layer == AUTO else [config.layer]
    # An adopted model may have no activations to choose from.
    layers = (layer_choices(model) if config.layer == AUTO else chosen) or [own_layer(model, backbone)]
    found = [(method, layer) for layer in layers for method in methods]
    if config.method == AUTO:
        found += [(ROLLOUT, name) for name in attended(model)[-1:]]
        found += [(EVIDENCE, LESION_MAP)] if has_map(model) else []
    return found


def own_layer(model: Any, backbone: str) -> str:
    """The layer of the maps where none is chosen: the backbone's, of an adopted model its last with a map.

    Of an ensemble, whose `backbone` has AND between the members', all that there are, with AND between them.
    """
    names = zip(prefixes(model), backbone.split(AND), strict=True)
    return AND.join(dict.fromkeys(_own_layer(model, before, name) for before, name in names))


def _own_layer(model: Any, before: str, backbone: str) -> str:
    if backbone != ADOPTED:
        return get_backbone(backbone).cam_layer
    own = [each for each in model.layers if each.name.startswith(before)]
    maps: list[str] = [each.name for each in own if len(each.output.shape) == 4 and each.output.shape[1] > 1]
    return maps[-1].removeprefix(before)  # at least that of the input's scaling


def has_map(model: Any) -> bool:
    """Whether the model reads its answer from a lesion map."""
    return head_of(model) == "evidence"


def check(config: ExplainConfig, model: Any, backbone: str, dataset: Dataset) -> None:
    """Raise InputError, before anything is trained, for a layer that gives no map, or auto or sanity without masks."""
    require_masks(config, dataset)
    if not model.layers:
        return
    for _, layer in candidates(config, model, backbone):
        check_layer(model, layer)
