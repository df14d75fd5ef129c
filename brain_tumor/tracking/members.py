"""What an evaluation logs of an ensemble's networks: each by itself, and whether their disagreement tells mistakes."""

from typing import Any

import mlflow

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.uncertainty import disagreement
from brain_tumor.layout.blocks import Finding
from brain_tumor.tracking.runs import log_table


def log_members(
    model: Any, dataset: Dataset, evaluation: Evaluation, *, batch_size: int, resamples: int, views: int = 1
) -> list[Finding]:
    """Of an ensemble `tables/test_members.csv` and `tables/test_doubt.csv`, and what they come to; else nothing.

    `evaluation` is by so many `views` of each image, and the members are asked by as many.
    """
    members = disagreement.of_members(model, dataset, "test", batch_size=batch_size, views=views)
    if not members:
        return []
    single = disagreement.alone(evaluation, members)
    log_table(single, "tables/test_members.csv")
    table = disagreement.compare(evaluation, disagreement.disagreement(members), resamples)
    log_table(table, "tables/test_doubt.csv")
    by = table.set_index("by")
    mlflow.log_metric("test/aurc_disagreement", float(by["aurc"]["disagreement"]))
    together, apart = evaluation.correct.mean(), single["accuracy"]
    said = (
        f"Its {len(members)} networks are right in {apart.min():.1%} to {apart.max():.1%} of the images by themselves "
        f"({apart.mean():.1%} on average), and in {together:.1%} together."
    )
    low, high = by["low"]["difference"], by["high"]["difference"]
    verdict = "better than" if high < 0 else "worse than" if low > 0 else "no otherwise than"
    doubt = (
        f"Their disagreement tells mistakes {verdict} its confidence: area under risk and coverage "
        f"{by['aurc']['disagreement']:.4f} and {by['aurc']['confidence']:.4f}, difference "
        f"{by['aurc']['difference']:+.4f} [{low:+.4f}, {high:+.4f}]."
    )
    return [Finding(evaluation.marked(said), evaluation.marked(said)), Finding("", evaluation.marked(doubt))]
