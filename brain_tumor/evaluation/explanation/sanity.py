"""Do the maps depend on what the model has learned? Adebayo et al. 2018, "Sanity checks for saliency maps".

The weights are replaced by random ones, in a cascade from the logits down to the stem, and the maps are scored again.
Maps that point at lesions as well when nothing of the model is left show the image, not the model. Maps that do so
when the logits alone are random show what the features respond to, not what the decision rests on.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.evaluation.explanation.map_scores import Lesions, survey
from brain_tumor.evaluation.explanation.maps import Explainer, mapper
from brain_tumor.models.classifier import blocks, build_classifier
from brain_tumor.models.heads import head_of, is_head
from brain_tumor.progress import progress

IMAGES = 200  # at most; of each class its share


def randomise(explainer: Explainer, backbone: str, lesions: Lesions, *, resamples: int = 1000) -> pd.DataFrame:
    """Score the maps at every depth of randomisation; the model has its own weights again at the end.

    Args:
        explainer: the trained model and how its maps are made.
        backbone: its key in the registry: a second one with random weights is built from it.
        lesions: of which at most IMAGES are used.
        resamples: behind each 95 % interval.

    Returns:
        A row per depth, the trained model first: `depth` (blocks randomised, 0..), `block` (the last of them; "" at
        0), `pointing`, `pointing_low`, `pointing_high`, `energy`, `energy_low`, `energy_high`, and how far `pointing`
        is from that of the trained model on the same lesions: `change`, `change_low`, `change_high`.
    """
    model = explainer.model
    chosen = lesions.take(_sample(len(lesions)))
    make = mapper(model, [(explainer.method, explainer.layer)], explainer.views)
    untrained = build_classifier(
        backbone,
        shape=tuple(model.input_shape[1:]),
        classes=int(model.output_shape[-1]),
        weights=None,
        dropout=0.0,
        seed=0,
        head=head_of(model),
    )
    head = [layer for layer in model.layers if is_head(layer) and layer.weights]
    # A head that draws the map is randomised whole: its logits alone stand behind the map.
    cascade = [("", []), ("logits" if head_of(model) == "pooled" else "head", head)]
    stem, *rest = blocks(model)
    cascade += [*((group[0].name.split("_")[0], group) for group in reversed(rest)), ("stem", stem)]
    trained = model.get_weights()
    rows, of_trained = [], np.empty((0, 1))
    try:
        with progress(len(cascade), "randomising weights", "block") as bar:
            for depth, (name, layers) in enumerate(cascade):
                for layer in layers:
                    layer.set_weights(untrained.get_layer(layer.name).get_weights())
                raw = survey(chosen, make)[0].raw[:, :2]
                of_trained = raw[:, :1] if depth == 0 else of_trained
                compared = np.hstack([raw, raw[:, :1] - of_trained])
                bounds = np.transpose(mean_intervals(compared, chosen.groups, resamples=resamples))
                rows.append((depth, name, *bounds.ravel()))
                bar.update()
    finally:
        model.set_weights(trained)
    columns = [f"{score}{bound}" for score in ("pointing", "energy", "change") for bound in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["depth", "block", *columns])


def verdict(table: pd.DataFrame) -> str:
    """A key of `scores.VERDICTS`: which weights the maps need to point at lesions.

    Pointing counts as kept if more than half of it is left, at 95 % confidence, otherwise as lost if it has become less
    at that confidence; both by the change on the same lesions.
    """
    head, everything = (_fate(table, place) for place in (1, -1))
    if everything == "kept":
        return "insensitive"
    if everything == "lost" and head != "undecided":
        return "insensitive_to_head" if head == "kept" else "sensitive"
    return "undecided"


def _fate(table: pd.DataFrame, place: int) -> str:
    low, high = table["change_low"].iloc[place], table["change_high"].iloc[place]
    if low > -table["pointing"].iloc[0] / 2:  # never of NaN: a single group has no interval
        return "kept"
    return "lost" if high < 0 else "undecided"


def _sample(count: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(0).permutation(count)[:IMAGES]
    return np.sort(drawn)
