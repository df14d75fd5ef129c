"""Scores on another source's images, told apart by whether the model has met their twins."""

from dataclasses import replace

import numpy as np

from brain_tumor.data.contamination import Contamination
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.layout.blocks import Finding, plainly

UNKNOWN = "contamination UNKNOWN"


def by_contamination(evaluation: Evaluation, known: Contamination | None) -> dict[str, Evaluation]:
    """The evaluation as part "test", named as contaminated where some images are; those alone that are not as "unseen".

    `known`: what the model has met of the N images; None: they are its own test part.
    """
    if known is None:
        return {"test": evaluation}
    if known.verdict != "true":
        if known.complete:
            return {"test": evaluation}
        unsure = f" ({UNKNOWN}: training images were not there to compare with)"
        return {"test": replace(evaluation, title=evaluation.title + unsure, mark=UNKNOWN)}
    seen = known.seen
    twins = int(known.twins.sum())
    by = "a twin" if twins == seen.sum() else f"a twin or their patient ({twins} a twin)"
    what = f"CONTAMINATED: {int(seen.sum())} of {len(seen)} have {by} in training"
    parts = {"test": replace(evaluation, title=f"{evaluation.title} ({what})", mark="CONTAMINATED")}
    if not seen.all():
        unseen = evaluation.take(np.flatnonzero(~seen))
        without = "that have" if known.complete else "known to have"
        title = f"{evaluation.title}, without those {without} {by.partition(' (')[0]} in training"
        parts["unseen"] = replace(unseen, title=title, mark="" if known.complete else UNKNOWN)
    return parts


def remarks(known: Contamination | None) -> list[Finding]:
    """What else is to be said of the comparison with the training images."""
    if known is None:
        return []
    if known.seen.all():
        return [plainly("Every image has a twin or its patient in training: nothing is measured of another site.")]
    strangers, every = int(known.strangers.sum()), len(known.strangers)
    if not strangers:
        return []
    said = (
        f"The patients of {strangers} of {every} images were NOT compared with those trained on: name images of both "
        "in data.patients=CSV (path, patient)."
    )
    return [plainly(said)]
