"""Whether enough lesions are known for what is asked for: once the images are divided, and without TensorFlow."""

from brain_tumor.config.train import TRUST, TrainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.needs import require_masks


def require_lesions(config: TrainConfig, dataset: Dataset) -> None:
    """Raise InputError where a part shows no lesion to paint over, or has no mask for maps to be chosen by."""
    own = {"protocol.fold": config.protocol.fold, "protocol.site": config.protocol.site}
    member = "".join(f"{key}={value}: " for key, value in own.items() if value is not None)
    if config.augment.counterfactual is not None and not dataset.shows_lesion("train"):
        raise InputError(
            f"{member}augment={config.augment.name} paints lesions over, and none of the training images has a mask "
            "that shows one: leave it out"
        )
    if config.monitor == TRUST and not dataset.shows_lesion("val"):
        raise InputError(
            f"{member}monitor={TRUST} paints lesions of the val part over, and no mask of its "
            f"{len(dataset.rows('val'))} images shows one: give data.masks=DIR, or another monitor"
        )
    require_masks(config.explain, dataset)
