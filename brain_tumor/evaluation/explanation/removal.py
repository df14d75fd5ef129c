"""Does the prediction rest on the lesion? It is painted over, and the model is asked again.

A map may point at the lesion while the decision rests on something else, such as which scanner an image is from. What
a prediction loses with the lesion says more, as deletion does for pixels (Petsiuk, Das & Saenko 2018, "RISE"); beside
it stands what it loses where the lesion's mirror image, left to right, is painted over instead.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.evaluation.explanation.localisation import Masks
from brain_tumor.evaluation.explanation.map_scores import Lesions
from brain_tumor.evaluation.prediction import ask
from brain_tumor.lazy import lazy

cv2 = lazy("cv2")
scipy = lazy("scipy")

MARGIN = 0.02  # of the image's side: how far beyond the mask is painted, since borders are drawn by hand
RADIUS = 3  # pixels whose surroundings a painted pixel continues
METRICS = ("kept", "probability", "probability_removed", "to_healthy")
CONTROL = "kept_mirrored"


def paint_over(images: NDArray[np.uint8], masks: Masks) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) whose masked regions (N, H, W) continue their surroundings; of volumes each slice does.

    By Bertalmio, Bertozzi & Sapiro 2001 ("Navier-Stokes, fluid dynamics, and image and video inpainting"), in OpenCV.
    """
    slices, regions = images.reshape(-1, *images.shape[-3:]), widened(masks).reshape(-1, *masks.shape[-2:])
    painted = np.array(slices)
    for image, region in zip(painted, regions, strict=True):
        if region.any():
            filled = cv2.inpaint(np.ascontiguousarray(image), region.astype(np.uint8), RADIUS, cv2.INPAINT_NS)
            image[:] = filled.reshape(image.shape)
    return painted.reshape(images.shape)


def widened(masks: Masks, pixels: int | None = None) -> Masks:
    """Masks (N, H, W) with a square margin of so many pixels all around; by default MARGIN of the side.

    Those of volumes (N, D, H, W) reach a slice further, too.
    """
    width = 2 * (round(MARGIN * masks.shape[-1]) if pixels is None else pixels) + 1
    size = (1, *(3,) * (masks.ndim - 3), width, width)
    return np.asarray(scipy.ndimage.maximum_filter(masks, size=size, mode="constant"), dtype=np.bool_)


def remove(
    model: Any, lesions: Lesions, healthy: int | None, *, resamples: int = 1000
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What becomes of the predictions of correctly classified lesions without the lesion: the means, and each one.

    Args:
        model: as `predict` takes it.
        lesions: of which.
        healthy: index of the class that an image without its lesion should belong to; None: there is none.
        resamples: behind each 95 % interval, by group.

    Returns:
        Columns `class` ("all", then each), `images`, `metric`, `value`, `low`, `high`. Metrics: `kept`: share of
        predictions that stay; `to_healthy`: share that become that class, if there is one; `probability` of the class
        before, and `probability_removed` after; `kept_mirrored`: share that stay where the mirror image is painted
        over, of the lesions that it does not touch. And a row for each of `lesions`, a column for each of the metrics.
    """
    every = _asked_again(model, lesions, healthy)
    table = []
    for name in ("all", *sorted(set(lesions.names))):
        chosen = (lesions.names == name) | (name == "all")
        for metric in every.columns:
            values = every[metric].to_numpy()
            rows = chosen & ~np.isnan(values)
            if rows.any():
                bounds = mean_intervals(values[rows, None], lesions.groups[rows], resamples=resamples)
                table.append((name, int(rows.sum()), metric, *(float(bound[0]) for bound in bounds)))
    return pd.DataFrame(table, columns=["class", "images", "metric", "value", "low", "high"]), every


def _asked_again(model: Any, lesions: Lesions, healthy: int | None) -> pd.DataFrame:
    """The metrics of each lesion; NaN: the mirror image touches it, and is no control."""
    found = []
    for part in lesions.batches():
        images, masks, classes = lesions.dataset.images(lesions.rows[part]), lesions.masks(part), lesions.classes[part]
        mirrored = masks[..., ::-1]
        before, after, control = (
            ask(model, each) for each in (images, paint_over(images, masks), paint_over(images, mirrored))
        )
        rows = np.arange(len(classes))
        kept, gone = after.argmax(axis=1) == classes, after.argmax(axis=1) == healthy
        touched = (widened(masks) & widened(mirrored)).reshape(len(masks), -1).any(axis=1)
        stays = np.where(touched, np.nan, control.argmax(axis=1) == classes)
        found.append(np.column_stack([kept, before[rows, classes], after[rows, classes], gone, stays]))
    every = pd.DataFrame(np.concatenate(found), columns=[*METRICS, CONTROL])
    return every if healthy is not None else every.drop(columns="to_healthy")
