"""What the choice of maps, and their scores, need to know of the lesions; asked without TensorFlow."""

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
