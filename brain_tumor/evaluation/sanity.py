"""Do the maps depend on what the model has learned? Adebayo et al. 2018, "Sanity checks for saliency maps".

The weights are replaced by random ones, in a cascade from the logits down to the stem, and the maps are scored again.
Maps that point at lesions as well when nothing of the model is left show the image, not the model.
"""

from typing import Any

import numpy as np
import pandas as pd

from brain_tumor import CLASSES
from brain_tumor.evaluation.localisation import mean_intervals
from brain_tumor.evaluation.map_scores import Lesions, survey
from brain_tumor.evaluation.maps import Explainer, mapper
from brain_tumor.models.classifier import blocks, build_classifier
from brain_tumor.progress import progress

IMAGES = 300  # at most; of each class its share


def randomise(explainer: Explainer, backbone: str, lesions: Lesions, *, resamples: int = 1000) -> pd.DataFrame:
    """Score the maps at every depth of randomisation; the model has its own weights again at the end.

    Args:
        explainer: the trained model and how its maps are made.
        backbone: its key in the registry: a second one with random weights is built from it.
        lesions: of which at most IMAGES are used.
        resamples: behind each 95 % interval.

    Returns:
        A row per depth, the trained model first: `depth` (blocks randomised, 0..), `block` (the last of them; "" at
        0), `pointing`, `pointing_low`, `pointing_high`, `energy`, `energy_low`, `energy_high`.
    """
    model = explainer.model
    chosen = lesions.take(_sample(len(lesions)))
    make = mapper(model, [(explainer.method, explainer.layer)], explainer.views)
    size = int(model.input_shape[1])
    untrained = build_classifier(backbone, image_size=size, classes=len(CLASSES), weights=None, dropout=0.0, seed=0)
    cascade = [("", []), ("logits", [model.get_layer("logits")])]
    cascade += [(group[0].name.split("_")[0], group) for group in reversed(blocks(model))]
    trained = model.get_weights()
    rows = []
    try:
        with progress(len(cascade), "randomising weights", "block") as bar:
            for depth, (name, layers) in enumerate(cascade):
                for layer in layers:
                    layer.set_weights(untrained.get_layer(layer.name).get_weights())
                raw = survey(chosen, make)[0].raw[:, :2]
                bounds = np.transpose(mean_intervals(raw, chosen.groups, resamples=resamples))
                rows.append((depth, name, *bounds.ravel()))
                bar.update()
    finally:
        model.set_weights(trained)
    columns = [f"{score}{bound}" for score in ("pointing", "energy") for bound in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["depth", "block", *columns])


def insensitive(table: pd.DataFrame) -> bool:
    """Whether the maps point as well without the model: the fully randomised interval reaches the trained one's."""
    return bool(table["pointing_high"].iloc[-1] >= table["pointing_low"].iloc[0])


def _sample(count: int) -> Any:
    drawn = np.random.default_rng(0).permutation(count)[:IMAGES]
    return np.sort(drawn)
