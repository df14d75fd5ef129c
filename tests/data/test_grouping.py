"""Twins and patients, joined into groups."""

from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.data.grouping import count_patients, joined, numbered, read_patients
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


def test_what_is_logged_of_a_patient_is_a_number() -> None:
    assert numbered(pd.Series(["Smith", "", "Jones", "Smith"])).tolist() == ["p0000", "", "p0001", "p0000"]


def test_patients_are_counted_by_part_and_class(tmp_path: Path) -> None:
    rows = [
        ("A/x/1.png", "A", "glioma", "train"),
        ("A/x/2.png", "A", "notumor", "train"),
        ("B/1.png", "B", "glioma", "val"),
    ]
    split = pd.DataFrame(rows, columns=["path", "site", "label", "part"])
    file = patients(tmp_path, "path,patient\nA/x/1.png,P\nA/x/2.png,P\nB/1.png,unknown\n")
    found = count_patients(split, file).set_index(["part", "class"])
    assert found.loc[("train", "all")].tolist() == [1, 2]
    assert found.loc[("train", "glioma")].tolist() == [1, 1]
    assert "val" not in found.index.get_level_values("part")


def test_nobody_known_leaves_the_twins() -> None:
    assert joined(pd.Series(["a", "a", "c"]), pd.Series(["", "", ""])).tolist() == ["a", "a", "c"]


def test_patients_are_read_by_path(tmp_path: Path) -> None:
    file = patients(tmp_path, "patient,path,more\nP1,Training/a.png ,x\n P1,./Testing/c.png,x\nP9,elsewhere.png,x\n")
    assert read_patients(file, PATHS).tolist() == ["P1", "", "P1"]


def test_rows_that_name_no_image_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = patients(tmp_path, "path,patient\nTraining/a.png,P1\nx/b.png,P2\nx/c.png,P3\n")
    read_patients(file, PATHS)
    assert f"data.patients={file}: 2 of its 3 rows name no image (x/b.png …)" in caplog.text
    caplog.clear()
    read_patients(patients(tmp_path, "path,patient\nTraining/a.png,P1\n"), PATHS)
    assert "name no image" not in caplog.text


@pytest.mark.parametrize("word", ["unknown", "Unknown", "N/A", "none", "-", "?", " NaN ", "null"])
def test_a_placeholder_is_no_patient(tmp_path: Path, word: str) -> None:
    file = patients(tmp_path, f"path,patient\nTraining/a.png,{word}\nTraining/b.png,{word}\nTesting/c.png,P\n")
    assert read_patients(file, PATHS).tolist() == ["", "", "P"]


def test_a_patient_of_a_tenth_of_the_images_is_suspect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = pd.Series([f"{index}.png" for index in range(20)])
    for count, warned in ((2, False), (3, True)):
        file = patients(tmp_path, "path,patient\n" + "".join(f"{index}.png,999\n" for index in range(count)))
        read_patients(file, paths)
        assert ("of 20 images are of one patient, 999" in caplog.text) == warned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,person\nTraining/a.png,P\n", r"lacks the column\(s\) patient: its first line has 'path', 'person'"),
        ("path,patient\nTraining/a.png,P\nTraining/a.png,Q\n", "gives Training/a.png more than one patient"),
        (
            "path,patient\nx/a.png,P\n",
            r"none of the images: its paths \(x/a.png …\) must be those below data.root",
        ),
        ("path,patient\n", "names none of the images"),
        ("", "lacks the column"),
    ],
)
def test_a_file_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_patients(patients(tmp_path, text), PATHS)
    assert str(caught.value).startswith("data.patients=")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_patients(str(tmp_path / "none.csv"), PATHS)
