"""The pictures of one part, and how well the maps on it point at known lesions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from brain_tumor.config import ExplainConfig
from brain_tumor.data.load import Dataset
from brain_tumor.evaluation import figures, sheets
from brain_tumor.evaluation.gradcam import gradcam
from brain_tumor.evaluation.localisation import Localisation, peak_in_mask
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.models.registry import get_backbone


@dataclass(frozen=True)
class Explainer:
    """A model with the layer and the method that its maps are made by."""

    model: Any  # keras.Model
    layer: str
    method: str


def explainer(model: Any, backbone: str, config: ExplainConfig) -> Explainer:
    """The configured layer and method; by default the backbone's `cam_layer`."""
    return Explainer(model, config.layer or get_backbone(backbone).cam_layer, config.method)


def pictures(dataset: Dataset, part: str, evaluation: Evaluation, explain: Explainer) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time; `evaluation` is of all rows of `part`, in their order."""
    rows = dataset.rows(part)
    yield "confusion", figures.confusion(evaluation)
    yield "reliability", figures.reliability(evaluation)
    yield "roc", figures.roc(evaluation)
    wrong = sheets.select_mistakes(evaluation)
    shown_wrong = dict(zip(wrong.tolist(), dataset.images(rows[wrong]), strict=True))
    yield "mistakes", sheets.mistakes(evaluation, shown_wrong)
    chosen = sheets.select_cases(evaluation)
    shown = evaluation.take(chosen)
    images = dataset.images(rows[chosen])
    maps = gradcam(explain.model, images, shown.predictions, layer=explain.layer, method=explain.method)
    masks = dataset.mask_of(rows[chosen])
    yield "gradcam", sheets.gradcam_sheet(shown, images, maps, masks, layer=explain.layer, method=explain.method)


def localise(dataset: Dataset, part: str, evaluation: Evaluation, explain: Explainer) -> Localisation | None:
    """Score the maps of all correctly classified lesions of a part; None without masks, or without such images."""
    rows = dataset.rows(part)[evaluation.correct]
    masks = dataset.mask_of(rows)
    if masks is None or not masks.any():
        return None
    lesions = np.flatnonzero(masks.any(axis=(1, 2)))
    images = dataset.images(rows[lesions])
    classes = evaluation.predictions[evaluation.correct][lesions]
    maps = gradcam(explain.model, images, classes, layer=explain.layer, method=explain.method)
    return peak_in_mask(maps, masks[lesions])
