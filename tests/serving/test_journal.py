"""What is written of answers, and what a stop leaves."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.scan import Place
from brain_tumor.errors import InputError
from brain_tumor.layout.blocks import Grid, Paragraph, Points, pairs
from brain_tumor.paths import printable
from brain_tumor.serving import answer_lines
from brain_tumor.serving.files import Read
from brain_tumor.serving.journal import check_out, journal_of
from brain_tumor.serving.lesions import Lesion
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts

BEGUN = {"model": "models:/m/1", "plane": "auto"}
PIXELS = np.zeros((1, 4, 4, 3), np.uint8)


def said(label: str, probability: float, **more: object) -> Prediction:
    rest = (1 - probability) / 3
    probabilities = {name: probability if name == label else rest for name in STANDARD.names}
    values = {"sets": {0.9: (label,), 0.95: (label, "notumor")}, "not_sure": False, "not_brain_mri": False}
    return Prediction(label, probabilities, **{**values, **more})  # type: ignore[arg-type]


SLICE = ScanPrediction((said("glioma", 0.7, not_sure=True),))
SHARES = {"glioma": 0.75, "meningioma": 0.0, "notumor": 0.25, "pituitary": 0.0}
VOLUME = ScanPrediction(
    tuple(said("glioma", value) for value in (0.4, 0.5, 0.6)), VolumeCounts(3, 2, False, SHARES, (2, 1))
)
PLACES = tuple(Place("axial", position, file) for position, file in ((-2.5, "x.dcm"), (0.0, "y.dcm"), (None, "")))
ANSWERS = [
    (Read('a, "1"\n.png', "image", None, PIXELS), SLICE),
    (Read("=b.nii", "nifti", "axial", PIXELS, remarks=("one", "two"), places=PLACES), VOLUME),
    (Read("c.png", error="the file is empty"), None),
]


def new_file(path: Path) -> Path:
    path.touch()
    return path


def write(out: Path, answers: list[tuple[Read, ScanPrediction | None]] = ANSWERS) -> None:
    with journal_of(out, BEGUN) as journal:
        for file, found in answers:
            if file.name not in journal.done:
                journal.append(file, found)
        journal.finish()


def test_a_csv_has_a_row_a_slice_and_one_a_volume(tmp_path: Path) -> None:
    write(tmp_path / "x.csv")
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["slice"]) for row in rows] == [
        ('a, "1"\n.png', ""),
        ("./=b.nii", "0"), ("./=b.nii", "1"), ("./=b.nii", "2"), ("./=b.nii", "volume"), ("c.png", ""),
    ]  # fmt: skip
    first, volume, refused = rows[0], rows[4], rows[5]
    assert (first["class"], first["probability_glioma"], first["set_90"]) == ("glioma", "0.7", "glioma")
    assert (first["set_95"], first["not_sure"], first["not_brain_mri"]) == ("glioma; notumor", "true", "false")
    assert [volume[name] for name in ("class", "probability_glioma", "set_90", "not_sure")] == [""] * 4
    assert (volume["brain_slices"], volume["share_glioma"], volume["not_brain_mri"]) == ("2", "0.75", "false")
    assert (first["brain_slices"], first["share_glioma"]) == ("", "")
    assert [[row[name] for name in ("file", "plane", "position_mm")] for row in rows] == [
        ["", "", ""], ["x.dcm", "axial", "-2.5"], ["y.dcm", "axial", "0.0"], ["", "axial", ""], *[["", "", ""]] * 2,
    ]  # fmt: skip
    assert [row["remarks"] for row in rows] == ["", *["one; two"] * 4, ""]
    assert (refused["class"], refused["error"]) == ("", "the file is empty")
    assert {row["model"] for row in rows} == {"models:/m/1"}
    assert (tmp_path / "x.csv").stat().st_mode & 0o777 == new_file(tmp_path / "other").stat().st_mode & 0o777
    (tmp_path / "other").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_lesions_have_columns_where_the_model_draws_them(tmp_path: Path) -> None:
    lesion = Lesion(np.zeros((2, 2), np.float32), 0.125, 4.0, 0.75)
    other = replace(lesion, area_mm2=None)
    bare = said("notumor", 0.85)
    slices = (said("glioma", 0.7, lesion=lesion, without=bare), said("glioma", 0.4, lesion=other))
    without = VolumeCounts(2, 1, False, dict(SHARES, glioma=0.5, notumor=0.5), (0,))
    found = ScanPrediction(slices, replace(VOLUME.volume, without=without))  # type: ignore[type-var]
    with journal_of(tmp_path / "x.csv", {**BEGUN, "lesion_map": True, "without_lesion": True}) as journal:
        journal.append(Read("c.png", error="the file is empty"), None)
        journal.append(Read("a.nii", "nifti", "axial", PIXELS, places=PLACES[:2]), found)
        journal.finish()
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        _, first, second, volume = csv.DictReader(file)
    measured = ["lesion_area", "lesion_area_mm2", "lesion_peak"]
    assert [first[name] for name in measured] == ["0.125", "4.0", "0.75"]
    assert [second[name] for name in measured] == ["0.125", "", "0.75"]
    assert [volume[name] for name in measured] == ["", "", ""]
    told = ["without_lesion_class", "without_lesion_probability_notumor"]
    assert [[row[name] for name in told] for row in (first, second, volume)] == [
        ["notumor", "0.85"],
        ["", ""],
        ["", ""],
    ]
    told = ["share_glioma", "without_lesion_brain_slices", "without_lesion_share_glioma"]
    assert [[row[name] for name in told] for row in (first, volume)] == [["", "", ""], ["0.75", "1", "0.5"]]


def test_a_volume_that_has_a_class_has_it_in_its_row(tmp_path: Path) -> None:
    whole = said("notumor", 0.625, sets={0.8: ("notumor",), 0.9: ("glioma", "notumor")})
    bare = replace(VOLUME.volume, answer=said("pituitary", 0.5))  # type: ignore[type-var]
    volume = replace(VOLUME.volume, answer=whole, without=bare)  # type: ignore[type-var]
    with journal_of(tmp_path / "x.csv", {**BEGUN, "without_lesion": True}) as journal:
        journal.append(Read("a.nii", "nifti", "axial", PIXELS, places=PLACES), ScanPrediction(VOLUME.slices, volume))
        journal.finish()
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        first, _, _, row = csv.DictReader(file)
    assert [row[name] for name in ("class", "probability_notumor", "set_80", "set_90", "set_95")] == [
        *("notumor", "0.625", "notumor", "glioma; notumor", ""),
    ]
    assert [first[name] for name in ("class", "set_80", "set_90")] == ["glioma", "", "glioma"]
    assert [row[name] for name in ("not_sure", "not_brain_mri", "brain_slices")] == ["false", "false", "2"]
    assert (row["without_lesion_class"], row["without_lesion_probability_pituitary"]) == ("pituitary", "0.5")


def test_json_lines_have_an_object_a_file(tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl")
    first, volume, refused = map(json.loads, (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines())
    assert [volume["slices"][0][name] for name in ("file", "plane", "position_mm")] == ["x.dcm", "axial", -2.5]
    assert "file" not in volume["slices"][2]
    assert first["slices"][0]["sets"] == {"0.9": ["glioma"], "0.95": ["glioma", "notumor"]}
    assert (first["kind"], volume["plane"], volume["volume"]["shown"]) == ("image", "axial", [2, 1])
    assert (volume["volume"]["class"], volume["volume"]["shares"]) == (None, SHARES)
    assert (first["remarks"], volume["remarks"]) == ([], ["one", "two"])
    assert refused == {"path": "c.png", "error": "the file is empty", "model": "models:/m/1"}


def test_a_name_that_is_no_unicode_comes_back_as_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", [(Read(os.fsdecode(b"\xff.png"), "image", None, PIXELS), SLICE)])
    assert b"\n\xff.png," in (tmp_path / "x.csv").read_bytes()


def test_what_was_stopped_goes_on_and_a_record_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    write(tmp_path / "whole.csv")
    with journal_of(out, BEGUN) as journal:
        journal.append(*ANSWERS[0])
        journal.append(*ANSWERS[1])
    part = tmp_path / "x.csv.part"
    part.write_bytes(part.read_bytes()[:-5])
    with journal_of(out, BEGUN) as journal:
        assert journal.done == {ANSWERS[0][0].name}
    write(out)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part.exists()


def test_another_model_does_not_go_on_with_what_one_began(tmp_path: Path) -> None:
    with journal_of(tmp_path / "x.csv", BEGUN):
        pass
    with (
        pytest.raises(InputError, match="begun with another model"),
        journal_of(tmp_path / "x.csv", {**BEGUN, "model": "models:/m/2"}),
    ):
        pass


def test_two_commands_do_not_write_the_same_answers(tmp_path: Path) -> None:
    with (
        journal_of(tmp_path / "x.csv", BEGUN),
        pytest.raises(InputError, match="by another process"),
        journal_of(tmp_path / "x.csv", BEGUN),
    ):
        pass


def test_a_link_in_the_journals_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "x.csv.part").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="is a link"), journal_of(tmp_path / "x.csv", BEGUN):
        pass
    assert (tmp_path / "victim").read_text() == "precious"
    (tmp_path / ".y.csv.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="cannot be written"), journal_of(tmp_path / "y.csv", BEGUN):
        pass


def test_a_foreign_file_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "x.csv.part").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is no journal of answers"), journal_of(tmp_path / "x.csv", BEGUN):
        pass
    assert (tmp_path / "x.csv.part").read_text() == "a,b\n1,2\n"


def test_out_has_to_be_a_new_file_of_a_known_kind(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("precious")
    with pytest.raises(InputError, match="is there already"):
        check_out(str(tmp_path / "x.csv"), overwrite=False)
    assert check_out(str(tmp_path / "x.csv"), overwrite=True) == tmp_path / "x.csv"
    with pytest.raises(InputError, match=r"\.csv or \.jsonl"):
        check_out(str(tmp_path / "x.txt"), overwrite=False)
    with pytest.raises(InputError, match="cannot be written"):
        check_out("/proc/x.csv", overwrite=False)


def test_the_terminal_shows_an_answer_a_line() -> None:
    line = answer_lines.row(*ANSWERS[0])
    assert line.split() == ["a,", '"1"\\n.png', "glioma", "0.7000", "glioma", "not", "sure"]
    assert answer_lines.row(*ANSWERS[1]).split("  ")[-1].strip() == (
        "2 of 3 slices pass as brain MRI, of which glioma 75.0\u00a0%, notumor 25.0\u00a0%; one; two; axial"
    )
    assert answer_lines.row(*ANSWERS[1]).split()[1:3] == ["per", "slice"]
    few = replace(VOLUME.volume, brains=1, not_brain_mri=True)  # type: ignore[type-var]
    assert "MRI, of which" in answer_lines.row(ANSWERS[1][0], ScanPrediction(VOLUME.slices, few))
    assert "; mostly not a brain MRI; " in answer_lines.row(ANSWERS[1][0], ScanPrediction(VOLUME.slices, few))
    assert answer_lines.row(*ANSWERS[2]).endswith("refused: the file is empty")
    assert printable("a\x1b[31m\rb") == "a\\x1b[31m\\rb"


@pytest.mark.parametrize(
    ("areas", "ending"),
    [
        ([0.032], "its map marks 3.2 % of the image (32 mm²)"),
        ([0.0, 0.01, 0.032], "its map marks 2 of 3 slices, most in slice 2: 3.2 % of the image (32 mm²)"),
        ([0.0, 0.0], "its map marks nothing (its peak is 0.31, and 0.5 is needed)"),
    ],
)
@pytest.mark.parametrize("brains", [0, 2])
def test_the_terminal_says_what_a_lesion_map_marks(areas: list[float], ending: str, brains: int) -> None:
    """Of several slices where it marks most, whether or not one of them passes as a brain."""
    peaks = [0.31 - 0.1 * index if not area else 0.9 for index, area in enumerate(areas)]
    lesions = [
        Lesion(np.zeros((2, 2), np.float32), area, 1000 * area, peak) for area, peak in zip(areas, peaks, strict=True)
    ]
    slices = tuple(said("glioma", 0.7, lesion=lesion) for lesion in lesions)
    volume = replace(VOLUME.volume, brains=brains) if len(slices) > 1 else None  # type: ignore[type-var]
    assert answer_lines.row(Read("a", "nifti"), ScanPrediction(slices, volume)).endswith(ending)


def test_the_terminal_shows_and_counts_the_class_of_a_volume() -> None:
    volume = replace(VOLUME.volume, answer=said("notumor", 0.625, not_sure=True))  # type: ignore[type-var]
    found = ScanPrediction(VOLUME.slices, volume)
    line = answer_lines.row(ANSWERS[1][0], found)
    assert line.split()[:4] == ["=b.nii", "notumor", "0.6250", "notumor"]
    assert line.endswith(
        "2 of 3 slices pass as brain MRI, of which glioma 75.0\u00a0%, notumor 25.0\u00a0%; not sure; one; two; axial"
    )
    tally = answer_lines.Tally()
    tally.add(ANSWERS[1][0], found)
    assert [*tally.blocks()] == [
        Grid(("answer", "scans"), (("notumor", "1"), ("answered", "1"), ("of these not sure", "1"))),
        Points(("1 scan: one.", "1 scan: two.")),
    ]


def test_the_end_counts_and_names_what_was_refused() -> None:
    tally = answer_lines.Tally()
    for file, found in ANSWERS:
        tally.add(file, found)
    counts, rule, notes, _, refused = tally.blocks()
    assert notes == Points(("1 scan: one.", "1 scan: two."))
    assert counts == Grid(
        ("answer", "scans"),
        (("glioma", "1"), ("per slice", "1"), ("answered", "2"), ("of these not sure", "1"), ("refused", "1")),
    )
    assert isinstance(rule, Paragraph)
    assert rule.text.startswith("Volumes: no answer for a whole volume has been fitted")
    assert refused == pairs([("c.png", "the file is empty")])


def test_the_end_counts_the_files_in_which_a_lesion_map_marks_nothing() -> None:
    """Of those whose model draws one; a volume is one file, in which any of its slices may be marked."""
    marks, none = (Lesion(np.zeros((2, 2), np.float32), area, None, 0.5) for area in (0.1, 0.0))
    tally = answer_lines.Tally()
    for lesions in ([none], [none, marks], [none, none], [marks], [None]):
        slices = tuple(said("glioma", 0.7, lesion=lesion) for lesion in lesions)
        tally.add(Read("a", "image", None, PIXELS), ScanPrediction(slices))
    counts, *_ = tally.blocks()
    assert isinstance(counts, Grid)
    assert ("of these in which the map marks nothing", "2") in counts.rows
