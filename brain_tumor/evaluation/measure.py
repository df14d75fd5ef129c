"""From a model and a part of a data set to an Evaluation."""

from typing import Any

from brain_tumor import CLASSES
from brain_tumor.data.load import Dataset
from brain_tumor.data.protocol import leak
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.prediction import EVALUATION_BATCH, predict


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
    rows = dataset.rows(part)
    probabilities = predict(
        model,
        dataset.pixels,
        dataset.pixel_rows[rows],
        batch_size=batch_size,
        title=None if quiet else f"measuring {part}",
    )
    leaks = " (LEAKS)" if part == "test" and leak(dataset.split) else ""
    title = f"{part} part, {dataset.split.name}, {protocol}{leaks}"
    return Evaluation(dataset.split.table.iloc[rows], probabilities, CLASSES, title)
