"""From a model and a part of a data set to an `Evaluation`, of which `metrics.score` makes the numbers."""

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from brain_tumor.data.dataset import Dataset
from brain_tumor.data.protocol import KNOWN, leak
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.prediction import EVALUATION_BATCH, Outputs, observe, predict
from brain_tumor.evaluation.uncertainty.calibration import softmax
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty


def measure(
    model: Any,
    dataset: Dataset,
    part: str,
    protocol: str,
    *,
    batch_size: int = EVALUATION_BATCH,
    quiet: bool = False,
) -> Evaluation:
    """Score every image of a part; `protocol` stands in the title, as does that the data is synthetic, or leaks."""
    rows = dataset.pixel_rows[dataset.rows(part)]
    title = None if quiet else f"measuring {part}"
    probabilities = predict(model, dataset.pixels, rows, batch_size=batch_size, title=title)
    return evaluation(probabilities, dataset, part, protocol)


def measure_all(
    observed: Any,
    dataset: Dataset,
    part: str,
    protocol: str,
    uncertainty: Uncertainty | None,
    *,
    batch_size: int = EVALUATION_BATCH,
) -> tuple[Evaluation, Outputs]:
    """The same, with all that an `observing` model puts out; with `uncertainty` also as before its calibration."""
    rows = dataset.pixel_rows[dataset.rows(part)]
    outputs = observe(observed, dataset.pixels, rows, batch_size=batch_size, title=f"measuring {part}")
    found = evaluation(outputs.probabilities, dataset, part, protocol)
    if uncertainty is not None and uncertainty.scaling.kind != "none":
        found = replace(found, uncalibrated=softmax(uncertainty.scaling.undo(outputs.logits)))
    return found, outputs


def evaluation(probabilities: NDArray[Any], dataset: Dataset, part: str, protocol: str) -> Evaluation:
    """The `Evaluation` of class probabilities (n, C) that were predicted for the part's images, in their order."""
    mark = "LEAKS" if part in KNOWN and leak(dataset.split, part) else ""
    rows, classes = dataset.split.table.iloc[dataset.rows(part)], dataset.split.classes.names
    found = Evaluation(rows, probabilities, classes, "", mark=mark)
    return replace(found, title=found.marked(f"{part} part, {dataset.split.name}, {protocol}"))
