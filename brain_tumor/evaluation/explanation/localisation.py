"""How well maps point at lesions whose masks are known, beside what knowing nothing of the image would score.

A map is scored at the resolution of its mask. Three scores of one image, each 0..1:

- pointing: 1 if the map's greatest pixel (the first of equals, row by row) is in the mask, else 0: the pointing game
  of Zhang et al. 2018 ("Top-down neural attention by excitation backprop"), without its tolerance of 15 pixels.
- energy: the share of the map's sum that lies in the mask (Wang et al. 2020, "Score-CAM", section 4.3).
- iou: intersection over union of the mask and the pixels above a quantile of the map.

- dice: of a lesion map alone, whose values are probabilities: twice the intersection of the mask and the pixels from
  LESION_FROM on, over the sum of both.

A map without a value above 0 points nowhere: it scores 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.bootstrap import mean_intervals

SCORES = ("pointing", "energy", "iou")
LESION_FROM = 0.5  # the value of a lesion map from which on a pixel is called lesion
# Of which one is chosen on the validation part; closer where lesions of a few percent of the image are told apart.
QUANTILES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995)

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]


def pointing(maps: Maps, masks: Masks) -> NDArray[np.float64]:
    """Whether (N,), 0 or 1, each map (N, H, W) peaks in its mask (N, H, W); of volumes both are (N, D, H, W)."""
    values, inside = _rows(maps, masks)
    peaks = values.argmax(axis=1)
    rows = np.arange(len(values))
    return np.asarray(inside[rows, peaks] & (values[rows, peaks] > 0), dtype=np.float64)


def energy(maps: Maps, masks: Masks) -> NDArray[np.float64]:
    """Share (N,) of each map's sum in its mask."""
    values, inside = _rows(maps, masks)
    total = values.sum(axis=1, dtype=np.float64)
    within = (values * inside).sum(axis=1, dtype=np.float64)
    return np.asarray(np.divide(within, total, out=np.zeros_like(total), where=total > 0))


def iou(maps: Maps, masks: Masks, quantiles: Sequence[float] = QUANTILES) -> NDArray[np.float64]:
    """Intersection over union (N, Q) of each mask and the pixels of its map that exceed each of its quantiles, 0..1."""
    values, inside = _rows(maps, masks)
    found = np.empty((len(values), len(quantiles)))
    for column, thresholds in enumerate(np.quantile(values, quantiles, axis=1)):
        above = values > thresholds[:, None]
        found[:, column] = (above & inside).sum(axis=1) / (above | inside).sum(axis=1)
    return found


def dice(maps: Maps, masks: Masks) -> NDArray[np.float64]:
    """The Dice coefficient (N,) of each mask and the pixels of its map from LESION_FROM on."""
    values, inside = _rows(maps, masks)
    found = values >= LESION_FROM
    both, either = (found & inside).sum(axis=1), found.sum(axis=1) + inside.sum(axis=1)
    return np.asarray(2 * both / either, dtype=np.float64)


def raw_scores(maps: Maps, masks: Masks) -> NDArray[np.float64]:
    """Pointing, energy, and the IoU at each of QUANTILES (N, 2 + Q), from which `settled` takes one.

    Args:
        maps: (N, H, W), at least 0, of the masks' size.
        masks: (N, H, W), none empty.

    Raises:
        ValueError: the shapes do not fit, or a mask is empty.
    """
    return np.column_stack([pointing(maps, masks), energy(maps, masks), iou(maps, masks)])


def best_quantile(raw: NDArray[np.float64]) -> int:
    """The position in QUANTILES with the greatest mean IoU over these images; the first of equals."""
    return int(raw[:, 2:].mean(axis=0).argmax())


def settled(raw: NDArray[np.float64], quantile: int | None) -> NDArray[np.float64]:
    """The three scores (N, 3), in the order of SCORES; the IoU is NaN where no quantile was settled."""
    cut = raw[:, 2 + quantile] if quantile is not None else np.full(len(raw), np.nan)
    return np.column_stack([raw[:, :2], cut])


def centred_gaussian(size: tuple[int, ...]) -> Maps:
    """A Gaussian in the centre of an image, its deviation a quarter of each side: a map that knows nothing."""
    axes = np.ogrid[tuple(slice(length) for length in size)]
    squares = [((axis - (length - 1) / 2) / (length / 4)) ** 2 for axis, length in zip(axes, size, strict=True)]
    return np.asarray(np.exp(-0.5 * sum(squares)), dtype=np.float32)


def summarise(
    scores: Mapping[str, NDArray[np.float64]],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean scores over all images and over each class, with 95 % intervals resampled by group.

    Args:
        scores: of each kind of map the scores (N, 3) of the same images, in the order of SCORES.
        labels: (N,) class of each image.
        groups: (N,) images of one group are drawn together.
        resamples: behind each interval.
        seed: the same seed gives the same intervals.

    Returns:
        Columns `class` ("all", then each class in the order of its name), `images`, `map`, `metric`, `value`, `low`,
        `high`; the bounds are NaN where there are fewer than two groups.
    """
    rows = []
    for name in ("all", *sorted(set(labels))):
        members = np.flatnonzero((labels == name) | (name == "all"))
        for kind, values in scores.items():
            table = mean_intervals(values[members], groups[members], resamples=resamples, seed=seed)
            rows += [(name, len(members), kind, *row) for row in zip(SCORES, *table, strict=True)]
    return pd.DataFrame(rows, columns=["class", "images", "map", "metric", "value", "low", "high"])


def _rows(maps: Maps, masks: Masks) -> tuple[Maps, Masks]:
    if maps.shape != masks.shape or maps.ndim < 3 or not len(maps):
        raise ValueError(f"maps {maps.shape} and masks {masks.shape} must both be (N, H, W), or (N, D, H, W)")
    flat = masks.reshape(len(masks), -1)
    if not flat.any(axis=1).all():
        raise ValueError("a mask is empty: score only images with a lesion")
    return maps.reshape(len(maps), -1), flat
