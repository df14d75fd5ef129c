"""The pictures of one part."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation import figures, sheets
from brain_tumor.evaluation.explanation.maps import Explainer, explain
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.planes import cuts, drawn


def pictures(
    dataset: Dataset, part: str, evaluation: Evaluation, explainer: Explainer | None
) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time; `evaluation` is of all rows of `part`, in their order. None draws no maps."""
    rows = dataset.rows(part)
    yield "confusion", figures.confusion(evaluation)
    yield "reliability", figures.reliability(evaluation)
    yield "roc", figures.roc(evaluation)
    wrong = sheets.select_mistakes(evaluation)
    seen = dataset.images(rows[wrong])
    shown_wrong = dict(zip(wrong.tolist(), drawn(seen, cuts(seen)), strict=True))
    yield "mistakes", sheets.mistakes(evaluation, shown_wrong)
    if explainer is None:
        return
    chosen = sheets.select_cases(evaluation)
    shown = evaluation.take(chosen)
    images = dataset.images(rows[chosen])
    maps = explain(explainer, images, shown.predictions)
    masks, at = dataset.mask_of(rows[chosen]), cuts(images, maps)
    outlined = None if masks is None else drawn(masks, at)
    sheet = sheets.gradcam_sheet(shown, drawn(images, at), drawn(maps, at), outlined, how=explainer.name)
    yield "gradcam", sheet
