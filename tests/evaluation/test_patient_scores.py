"""Scores by patient, against hand-computed means and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from brain_tumor.evaluation.bootstrap import intervals
from brain_tumor.evaluation.patients import by_patient, covered, with_patients

SAID = [
    [0.9, 0.1, 0, 0],
    [0.2, 0.8, 0, 0],
    [0.4, 0.6, 0, 0],
    [0.5, 0.5, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 0],
    [1, 0, 0, 0],
]
LABELS = [0, 0, 1, 0, 1, 2, 0]
PATIENTS = ["ann", "ann", "bob", "eve", "eve", "", "zoe"]  # eve stands under two classes


def test_a_patient_has_the_mean_of_the_slices(make_evaluation):
    evaluation = make_evaluation(LABELS, SAID)
    evaluation.rows["patient"] = PATIENTS
    found = by_patient(evaluation)
    assert found.rows["patient"].tolist() == ["ann", "bob", "zoe"]
    assert found.rows["label"].tolist() == ["glioma", "meningioma", "glioma"]
    assert found.probabilities == pytest.approx(np.array([[0.55, 0.45, 0, 0], [0.4, 0.6, 0, 0], [1, 0, 0, 0]]))


def test_what_the_scores_by_patient_are_of_is_said(make_evaluation):
    evaluation = make_evaluation(LABELS, SAID)
    evaluation.rows["patient"] = PATIENTS
    said = "By patient: 3 patients, who have 4 of the 7 images; none is of notumor, left out of these scores."
    assert covered(evaluation) == said
    evaluation.rows["patient"] = ["ann", "ann", "bob", "ann", "bob", "ivy", "ann"]
    assert covered(evaluation) == "By patient: 3 patients, who have 7 of the 7 images."
    evaluation.rows["patient"] = ""
    assert covered(evaluation) == ""


def test_scores_by_patient_stand_beside_those_by_slice(simulate):
    evaluation = simulate(200)
    evaluation.rows["patient"] = evaluation.rows["group"] = [
        f"{label}{index % 9}" for index, label in enumerate(evaluation.labels)
    ]
    table = with_patients(intervals(evaluation, resamples=200), [evaluation], 200).set_index("metric")
    frame = pd.DataFrame(evaluation.probabilities).groupby(evaluation.rows["patient"]).mean()
    truth, said = [int(name[0]) for name in frame.index], frame.to_numpy().argmax(axis=1)
    assert set(table["patients"]) == {36}
    assert table.loc["accuracy", "patients_value"] == pytest.approx(reference.accuracy_score(truth, said))
    assert table.loc["macro_f1", "patients_value"] == pytest.approx(reference.f1_score(truth, said, average="macro"))
    assert table.loc["log_loss", "patients_value"] == pytest.approx(reference.log_loss(truth, frame.to_numpy()))
    row = table.loc["log_loss"]
    assert row["patients_low"] < row["patients_value"] < row["patients_high"]


@pytest.mark.parametrize("patients", [None, ["", "", "", "", "", "", "one"]])
def test_where_nobody_is_known_there_are_none(make_evaluation, patients):
    evaluation = make_evaluation(LABELS, SAID)
    if patients is not None:
        evaluation.rows["patient"] = patients
    table = intervals(evaluation, resamples=10)
    assert with_patients(table, [evaluation], 10) is table
