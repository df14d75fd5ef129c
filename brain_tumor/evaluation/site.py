"""Scores on another source's images, told apart by whether the model has met their twins."""

from dataclasses import replace

import numpy as np

from brain_tumor.data.contamination import Contamination
from brain_tumor.evaluation.metrics import Evaluation


def by_contamination(evaluation: Evaluation, known: Contamination | None) -> dict[str, Evaluation]:
    """The evaluation as part "test", named as contaminated where some images are; those alone that are not as "unseen".

    `known`: what the model has met of the N images; None: they are its own test part.
    """
    if known is None:
        return {"test": evaluation}
    if known.verdict != "true":
        unsure = "" if known.complete else " (contamination UNKNOWN: training images were not there to compare with)"
        return {"test": replace(evaluation, title=evaluation.title + unsure)}
    seen = known.seen
    what = f"CONTAMINATED: {int(seen.sum())} of {len(seen)} have a twin in training"
    parts = {"test": replace(evaluation, title=f"{evaluation.title} ({what})")}
    if not seen.all():
        unseen = evaluation.take(np.flatnonzero(~seen))
        without = "that have" if known.complete else "known to have"
        parts["unseen"] = replace(unseen, title=f"{evaluation.title}, without those {without} a twin in training")
    return parts
