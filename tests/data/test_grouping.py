"""Twins and patients, joined into groups."""

from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.data.grouping import joined, read_patients
from brain_tumor.errors import InputError

PATHS = pd.Series(["Training/a.png", "Training/b.png", "Testing/c.png"])


def patients(folder: Path, text: str) -> str:
    path = folder / "patients, all.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_rows_alike_in_twin_or_patient_are_one_group() -> None:
    twins = pd.Series(["t1", "t1", "t2", "t3", "t4", "t5"])
    people = pd.Series(["", "p", "p", "q", "q", ""])
    assert joined(twins, people).tolist() == ["t1", "t1", "t1", "t3", "t3", "t5"]


def test_a_patient_named_as_a_twin_is_not_taken_for_it() -> None:
    assert joined(pd.Series(["a", "b", "c"]), pd.Series(["b", "", "b"])).tolist() == ["a", "b", "a"]


def test_nobody_known_leaves_the_twins() -> None:
    assert joined(pd.Series(["a", "a", "c"]), pd.Series(["", "", ""])).tolist() == ["a", "a", "c"]


def test_patients_are_read_by_path(tmp_path: Path) -> None:
    file = patients(tmp_path, "patient,path,more\nP1,Training/a.png ,x\n P1,./Testing/c.png,x\nP9,elsewhere.png,x\n")
    assert read_patients(file, PATHS).tolist() == ["P1", "", "P1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,person\nTraining/a.png,P\n", r"lacks the column\(s\) patient: it needs path and patient"),
        ("path,patient\nTraining/a.png,P\nTraining/a.png,Q\n", "gives Training/a.png more than one patient"),
        (
            "path,patient\nx/a.png,P\n",
            r"none of the images: its paths \(x/a.png …\) must be those below data.root",
        ),
        ("path,patient\n", "names none of the images"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_file_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_patients(patients(tmp_path, text), PATHS)
    assert str(caught.value).startswith("data.patients=")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as CSV: No such file"):
        read_patients(str(tmp_path / "none.csv"), PATHS)
