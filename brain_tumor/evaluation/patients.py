"""Scores by patient beside those by slice: a patient's probabilities are the mean of those of the slices."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from brain_tumor.evaluation.bootstrap import run_intervals
from brain_tumor.evaluation.metrics import Evaluation


def by_patient(evaluation: Evaluation) -> Evaluation | None:
    """One row a patient, in order of appearance; None where fewer than two are known.

    Slices of nobody known are left out, and so are patients whose slices stand under two classes: what they have is
    not one answer.
    """
    rows = evaluation.rows
    if "patient" not in rows:  # logged before patients were
        return None
    known = (rows["patient"] != "") & (rows.groupby("patient")["label"].transform("nunique") == 1)
    if rows.loc[known, "patient"].nunique() < 2:
        return None
    slices = evaluation.take(known.to_numpy().nonzero()[0])
    patient = pd.factorize(slices.rows["patient"])[0]
    means = pd.DataFrame(slices.probabilities).groupby(patient).mean().to_numpy()
    first = slices.rows.drop_duplicates("patient")
    return replace(evaluation, rows=first, probabilities=means, uncalibrated=None)


def covered(evaluation: Evaluation) -> str:
    """In a line, which images the scores by patient are of; "" where there are none."""
    found = by_patient(evaluation)
    if found is None:
        return ""
    rows, theirs = evaluation.rows, found.rows
    images = int(rows["patient"].isin(theirs["patient"]).sum())
    said = f"By patient: {len(theirs):,} patients, who have {images:,} of the {len(rows):,} images"
    absent = [name for name in evaluation.classes if name in set(rows["label"]) - set(theirs["label"])]
    return said + (f"; none is of {' or '.join(absent)}, left out of these scores." if absent else ".")


def with_patients(table: pd.DataFrame, evaluations: Sequence[Evaluation], resamples: int) -> pd.DataFrame:
    """Scores (column `metric`) with those by patient beside them, where patients are known.

    These are `patients`, how many, and `patients_value`, `patients_low`, `patients_high`, as `run_intervals` has them.
    """
    found = [case for case in map(by_patient, evaluations) if case is not None]
    if len(found) < len(evaluations):
        return table
    scores = run_intervals(found, resamples).set_index("metric")
    beside = {f"patients_{name}": table["metric"].map(scores[name]) for name in ("value", "low", "high")}
    return table.assign(patients=len(found[0].rows), **beside)
