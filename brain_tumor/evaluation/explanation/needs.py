"""What the choice of maps, and their scores, need of the model and of the lesions; asked without TensorFlow."""

from brain_tumor.config.train import ExplainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.errors import InputError

AUTO = "auto"


def require_masks(config: ExplainConfig, dataset: Dataset) -> None:
    """Raise InputError for auto or sanity without masks, or auto without one in the val part."""
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


def require_method(method: str | None, *, draws: bool, attends: bool, key: str = "explain.method") -> None:
    """Raise InputError for a method whose maps only a model with a lesion map, or with attention, has."""
    needs = {
        "evidence": (draws, "is the lesion map of model.head=evidence, and this model has another head"),
        "rollout": (attends, "multiplies the attention of one transformer, and this model is none"),
    }
    has, what = needs.get(method or AUTO, (True, ""))
    if not has:
        raise InputError(f"{key}={method} {what}: give {key}=layercam, say")
