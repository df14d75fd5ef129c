"""The pictures of one part."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation import figures, sheets
from brain_tumor.evaluation.explanation.maps import Explainer, explain
from brain_tumor.evaluation.metrics import Evaluation


def pictures(
    dataset: Dataset, part: str, evaluation: Evaluation, explainer: Explainer | None
) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time; `evaluation` is of all rows of `part`, in their order. None draws no maps."""
    rows = dataset.rows(part)
    yield "confusion", figures.confusion(evaluation)
    yield "reliability", figures.reliability(evaluation)
    yield "roc", figures.roc(evaluation)
    wrong = sheets.select_mistakes(evaluation)
    shown_wrong = dict(zip(wrong.tolist(), dataset.images(rows[wrong]), strict=True))
    yield "mistakes", sheets.mistakes(evaluation, shown_wrong)
    if explainer is None:
        return
    chosen = sheets.select_cases(evaluation)
    shown = evaluation.take(chosen)
    images = dataset.images(rows[chosen])
    maps = explain(explainer, images, shown.predictions)
    yield "gradcam", sheets.gradcam_sheet(shown, images, maps, dataset.mask_of(rows[chosen]), how=explainer.name)
