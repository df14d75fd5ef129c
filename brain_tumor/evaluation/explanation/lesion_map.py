"""What a model's lesion map is worth as a segmentation: of every known lesion of a part, whatever the answer was.

The map is taken at the size of the mask; from 0.5 on it calls a pixel lesion. A lesion is what the mask of an image
shows, in one piece or several.

- lesion_dice: see `localisation.dice`.
- lesion_found: 1 if a pixel of the lesion is called lesion, else 0. One is enough, as where lesions are counted in
  challenges of segmentation (Kuijf et al. 2019, "Standardized assessment of automatic segmentation of white matter
  hyperintensities", IEEE TMI 38(11)), which tells whether the map draws attention to it, not how well it outlines it.
- lesion_false: of an image of the healthy class, 1 if any pixel is called lesion, else 0.
"""

from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.evaluation.explanation.localisation import LESION_FROM, dice
from brain_tumor.evaluation.explanation.maps import upsample
from brain_tumor.evaluation.lesion_scores import DICE, FALSE, FOUND
from brain_tumor.lazy import lazy
from brain_tumor.models.heads import LESION_MAP
from brain_tumor.progress import progress

keras = lazy("keras")

BATCH = 32
SIZE = "size"  # a column: the lesion's share of its image
SIZES = ("small", "medium", "large")  # thirds of a part's lesions


def drawn(model: Any, dataset: Dataset, part: str) -> pd.DataFrame:
    """The three scores and SIZE of each image of a part, NaN where it has none; the index is that of its rows."""
    rows, side = dataset.rows(part), dataset.image_size
    labels = dataset.split.table["label"].to_numpy()[rows]
    healthy = np.array([label == dataset.split.classes.healthy for label in labels], np.bool_)
    masked = np.array([bool(dataset.mask_paths and dataset.mask_paths[row]) for row in rows], np.bool_)
    table = pd.DataFrame(np.nan, index=rows, columns=[DICE, FOUND, FALSE, SIZE])
    shown = np.flatnonzero(healthy | masked)
    show = keras.Model(model.inputs, model.get_layer(LESION_MAP).output)
    show.jit_compile = False  # measured 7 times slower on a CPU
    with progress(len(shown), f"lesion maps of {part}") as bar:
        for start in range(0, len(shown), BATCH):
            places = shown[start : start + BATCH]
            maps = upsample(show.predict_on_batch(dataset.images(rows[places]))[..., 0], (side, side))
            called = maps >= LESION_FROM
            table.loc[rows[places], FALSE] = np.where(healthy[places], called.any(axis=(1, 2)), np.nan)
            masks = dataset.mask_of(rows[places])
            if masks is not None and (lesions := masks.any(axis=(1, 2)) & ~healthy[places]).any():
                own = masks[lesions]
                scores = [dice(maps[lesions], own), (called[lesions] & own).any(axis=(1, 2)), own.mean(axis=(1, 2))]
                table.loc[rows[places[lesions]], [DICE, FOUND, SIZE]] = np.column_stack(scores)
            bar.update(len(places))
    return table


def tabulate(scores: pd.DataFrame, rows: pd.DataFrame, *, resamples: int = 1000) -> pd.DataFrame:
    """The means of what `drawn` gives for `rows`, with 95 % intervals by group.

    Returns:
        Columns `class`, `size`, `least`, `most` (of the lesions' shares of their images), `images`, `metric`, `value`,
        `low`, `high`: of all lesions, of each third by size, and of each class; last of the healthy images.
    """
    sizes, labels, lesion = scores[SIZE], rows["label"], scores[SIZE].notna()
    third = np.searchsorted(np.quantile(sizes[lesion], [1 / 3, 2 / 3]) if lesion.any() else [0, 0], sizes)
    cases = [("all", "all", lesion), *(("all", name, lesion & (third == place)) for place, name in enumerate(SIZES))]
    cases += [(name, "all", lesion & (labels == name)) for name in sorted(set(labels[lesion]))]
    cases += [(name, "none", scores[FALSE].notna() & (labels == name)) for name in sorted(set(labels[~lesion]))]
    table = []
    for name, size, chosen in cases:
        metrics = [FALSE] if size == "none" else [DICE, FOUND]
        if chosen.any():
            own = mean_intervals(scores.loc[chosen, metrics].to_numpy(), rows.loc[chosen, "group"], resamples=resamples)
            extent = (sizes[chosen].min(), sizes[chosen].max())
            table += [(name, size, *extent, int(chosen.sum()), *row) for row in zip(metrics, *own, strict=True)]
    columns = ["class", SIZE, "least", "most", "images", "metric", "value", "low", "high"]
    return pd.DataFrame(table, columns=columns)
