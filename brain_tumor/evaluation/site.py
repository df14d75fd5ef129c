"""Scores on another source's images, told apart by whether the model has met their twins."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brain_tumor.evaluation.metrics import Evaluation


def by_contamination(evaluation: Evaluation, seen: NDArray[np.bool_] | None) -> dict[str, Evaluation]:
    """The evaluation as part "test", named as contaminated where some images are; those alone that are not as "unseen".

    `seen` (N,): whether an image has a twin among those that the model was trained on; None: the model's own test part.
    """
    if seen is None or not seen.any():
        return {"test": evaluation}
    known = f"CONTAMINATED: {int(seen.sum())} of {len(seen)} have a twin in training"
    parts = {"test": replace(evaluation, title=f"{evaluation.title} ({known})")}
    if not seen.all():
        unseen = evaluation.take(np.flatnonzero(~seen))
        parts["unseen"] = replace(unseen, title=f"{evaluation.title}, without those that have a twin in training")
    return parts
