"""Scans dropped as folders, zip files and volumes: what they are, what is said of them, and what is refused."""

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import WHOLE
from scanned import COLUMNS, ROWS, SLICES, SPOT, series, slice_of, zipped

from brain_tumor.data.scans.scan import Limits
from brain_tumor.data.scans.stacks import Stack
from brain_tumor.errors import InputError
from brain_tumor.serving.files import answer_files, find_stacks, read_stacks, read_volumes
from brain_tumor.serving.requests import MOST_FILES
from brain_tumor.serving.review_page import review_store
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import Opened, opened
from brain_tumor.serving.review_page.review import Review
from brain_tumor.serving.review_page.review_store import Kept

ALLOWED = Limits(2**22, 50, 2**22)
NAME = f"head/series 1 ({SLICES} slices)"


def folder(files: Mapping[str, bytes], name: str = "head") -> list[tuple[str, bytes]]:
    return [(f"{name}/{each}", content) for each, content in files.items()]


def on_disk(files: Mapping[str, bytes], place: Path) -> list[Stack]:
    (place / "head").mkdir()
    for name, content in files.items():
        (place / "head" / name).write_bytes(content)
    return find_stacks(place, [f"head/{name}" for name in files])


def test_a_series_is_one_volume_whose_slices_are_answered_as_by_predict(model: Shown, tmp_path: Path) -> None:
    [file] = opened(folder(series()), (model,), ALLOWED)
    assert (file.name, file.refused, file.slices, file.axis) == (NAME, None, SLICES, 2)
    read = read_stacks(tmp_path, on_disk(series(), tmp_path), model.predictor.size, plane="auto", workers=1)
    [(_, found)] = answer_files(model.predictor, read)
    assert file.answers == (found,)
    assert file.cuts is not None
    assert file.cuts.values.dtype == np.int16  # half of what they are decoded to
    assert file.start(file.first) == (COLUMNS // 2, ROWS // 2, file.first)


def test_a_zip_of_a_series_is_that_volume_and_several_series_are_several(model: Shown) -> None:
    found = opened([("head.zip", zipped(series())), *folder(series("1.2.4"))], (model,), ALLOWED)
    assert [each.name for each in found] == [f"head.zip/series 1 ({SLICES} slices)", NAME]
    assert found[0].answers == found[1].answers
    both = opened(
        folder({f"{uid}-{name}": each for uid in ("1.2", "1.3") for name, each in series(uid).items()}),
        (model,),
        ALLOWED,
    )
    assert [each.name for each in both] == [NAME, f"head/series 2 ({SLICES} slices)"]


def test_a_bad_file_of_a_folder_has_a_line_and_stops_no_other(model: Shown) -> None:
    files = folder(series())
    cut = opened(
        [("head/a.txt", b"text"), *files, ("head/b.zip", zipped({"x": b"text"})), ("c.zip", b"PK\3\4bad")],
        (model,),
        ALLOWED,
    )
    assert [(each.name, each.refused) for each in cut if each.refused] == [
        ("head/a.txt", "not a JPEG, PNG, BMP, TIFF or WebP picture, nor a DICOM, NIfTI, NRRD or MetaImage file"),
        ("head/b.zip", "file 0001 in the zip is no DICOM file: a zip may hold a DICOM series, and nothing else"),
        ("c.zip", "a damaged zip file"),
    ]
    assert [each.name for each in cut if not each.refused] == [NAME]
    damaged = [(name, content[:-100] if name == "head/IM0007" else content) for name, content in files]
    [file] = opened(damaged, (model,), ALLOWED)
    assert file.refused is not None
    assert file.refused.startswith("head/IM0007: ")


def test_a_zip_is_unpacked_no_further_than_all_files_may_be_large(model: Shown) -> None:
    packed = zipped({"a": slice_of(0) + bytes(ALLOWED.file_bytes)})
    assert len(packed) < 20_000
    [file] = opened([("bomb.zip", packed)], (model,), ALLOWED)
    assert file.refused == f"too large: unpacked it is over the limit of {ALLOWED.file_bytes:,} bytes"
    half = slice_of(SLICES // 2) + bytes(ALLOWED.file_bytes // 2)
    first, second = opened([("1.zip", zipped({"a": half})), ("2.zip", zipped({"a": half}))], (model,), ALLOWED)
    left = f"too large: unpacked it is over the limit of {ALLOWED.file_bytes - len(half):,} bytes"
    assert (first.refused, second.refused) == (None, left)
    many = zipped({str(place): b"" for place in range(200)})
    [file] = opened([("many.zip", many)], (model,), ALLOWED)
    assert file.refused == "too large: more files than the limit of 50"


def test_more_scans_than_are_answered_at_once_are_refused(model: Shown) -> None:
    with pytest.raises(InputError, match="33 pictures and volumes are too many: at most 32 at once"):
        opened([(str(place), b"text") for place in range(MOST_FILES + 1)], (model,), ALLOWED)


def test_more_slices_than_a_volume_may_have_are_refused(model: Shown, whole: Shown) -> None:
    for each in (model, whole):
        [file] = opened(folder(series()), (each,), replace(ALLOWED, slices=SLICES - 1))
        assert file.refused == f"too large: {SLICES} slices are over the limit of {SLICES - 1}"


def test_a_series_with_a_gap_has_slices_and_no_planes(model: Shown, whole: Shown) -> None:
    files = [each for each in folder(series()) if each[0] != "head/IM0010"]
    [file] = opened(files, (model,), ALLOWED)
    assert (file.cuts, file.slices) == (None, SLICES - 1)
    assert file.scan is not None
    why = "its slices do not lie at even distances: one is missing or twice there"
    assert f"there are no three planes of it: {why}" in file.scan.remarks
    assert opened(files, (whole,), ALLOWED)[0].refused == why


def test_a_model_of_volumes_says_of_a_series_what_predict_says(whole: Shown, tmp_path: Path) -> None:
    [file] = opened(folder(series()), (whole,), ALLOWED)
    [(_, found)] = answer_files(
        whole.predictor, read_volumes(tmp_path, on_disk(series(), tmp_path), WHOLE, None, workers=1)
    )
    assert file.answers == (found,)
    assert (file.name, file.slices, file.axis, found.volume) == (NAME, 1, None, None)
    assert file.answers[0].slices[0].label == "glioma"


def test_where_a_model_of_volumes_looks_is_where_the_spot_is(whole: Shown) -> None:
    [file] = opened(folder(series()), (whole,), ALLOWED)
    found = Review((file,))
    slice_, row, column = SPOT
    spot = (COLUMNS - 1 - column, ROWS - 1 - row, slice_)  # towards the patient's right, the front and the head
    _, peak = found.over(0, "axial", 0, (whole,), 0, "deep", "gradcam")
    assert peak is not None
    assert all(abs(here - there) <= 2 for here, there in zip(peak, spot, strict=True))
    assert abs(file.start(0)[2] - slice_) <= 2  # the slice that counts most
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        values, _ = found.over(0, plane, spot[axis], (whole,), 0, "deep", "gradcam")
        assert values is not None
        assert file.cuts is not None
        bright = file.cuts.gray(plane, spot[axis]) > 250
        assert values[bright].mean() > 5 * values[~bright].mean()
    values, peak = found.over(0, "axial", 0, (whole,), 0, "blind", "gradcam")
    assert values is not None
    assert (values.any(), peak) == (False, None)


@pytest.mark.parametrize("name", ["a.png", "a.dcm"])
def test_a_model_of_volumes_refuses_what_is_none(whole: Shown, name: str) -> None:
    content = slice_of(3) if name == "a.dcm" else b"\x89PNG\r\n\x1a\n"
    [file] = opened([(name, content)], (whole,), ALLOWED)
    assert file.refused is not None
    assert file.refused.startswith("no whole volume, which this model takes: drop the files of a DICOM series")


def test_no_name_in_a_zip_and_no_patient_is_shown(model: Shown) -> None:
    [file] = opened(
        [("head.zip", zipped({f"Jones {name}": each for name, each in series().items()}))], (model,), ALLOWED
    )
    assert "Jones" not in repr((file.name, file.scan, file.answers))


def test_what_is_forgotten_is_freed(model: Shown) -> None:
    kept = Kept()
    kept.put("session", Review(opened(folder(series()), (model,), ALLOWED)))
    held = kept.get("session")
    assert held is not None
    assert kept.find(held.token) is held
    assert kept.find("another") is None
    assert held.files[0].cuts is not None
    gone = [weakref.ref(held), weakref.ref(held.files[0].cuts.values.base), weakref.ref(held.files[0])]
    token = held.token
    del held
    kept.leave("session")
    gc.collect()
    assert [each() for each in gone] == [None] * 3
    assert kept.find(token) is None


def test_memory_is_handed_back_once_nothing_draws_what_was_forgotten(
    model: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(review_store, "give_back", lambda: told.append(1))
    kept, drawn = Kept(), Review(opened(folder(series()), (model,), ALLOWED))
    kept.put("session", drawn)
    kept.sweep()
    kept.forget("session")
    kept.sweep()
    assert told == []  # a picture of it is still made
    del drawn
    gc.collect()
    kept.sweep()
    kept.sweep()
    assert told == [1]


def test_the_memory_that_is_kept_is_counted(model: Shown) -> None:
    [file] = opened(folder(series()), (model,), ALLOWED)
    assert isinstance(file, Opened)
    files = sum(map(len, series().values()))
    assert file.held == files + 4 * SLICES * ROWS * COLUMNS
