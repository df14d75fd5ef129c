"""Which teachers a student may have, by the parts in which both have an image."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from composition import task

from brain_tumor.config.schedule import DistillConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.jobs import teacher


def split_of(*rows: tuple[str, str]) -> Split:
    """Of images by group and part, of a data set of which all is known."""
    table = pd.DataFrame(rows, columns=["group", "part"])
    columns = {"path": table["group"] + table["part"], "label": "glioma", "twin": table["group"], "site": ""}
    return Split(
        table.assign(**columns, sha256=columns["path"]), root=Path(), source="folder", synthetic=False, listed="all"
    )


@pytest.mark.parametrize(
    ("shape", "spacing", "said"),
    [
        (None, None, "takes slices, and the student does not"),
        ((12, 64, 64), None, r"takes volumes of data\.volume_shape=\[12, 64, 64\], and the student does not"),
        ((32, 128, 128), (5.0, 2.0, 2.0), r"\[32, 128, 128\] and data\.spacing=\[5\.0, 2\.0, 2\.0\], and the student"),
    ],
)
def test_a_teacher_takes_what_the_student_takes(
    shape: Any, spacing: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(keras=True, uri="models:/t/1", volume_shape=shape, spacing=spacing)
    monkeypatch.setattr(teacher, "model_address", SimpleNamespace(find=lambda *_: found))
    whole = typed(
        TrainConfig, task("data=volumes", "data.root=x", "model=slices_lite0", "data.volume_shape=[32,128,128]")
    )
    student = replace(whole, distill=DistillConfig(teacher="models:/t/1"))
    with pytest.raises(InputError, match=rf"^distill\.teacher=models:/t/1 .*{said}"):
        teacher.find_teacher(student)
    found.volume_shape, found.spacing = (32, 128, 128), None
    assert teacher.find_teacher(student) == "models:/t/1"


def require_stranger(student: Split, *trained_on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {str(number): split for number, split in enumerate(trained_on)}  # its own, and those of its teachers
    line = SimpleNamespace(networks=lambda _: ["0"], teachers=lambda _: [*known][1:])
    monkeypatch.setattr(teacher, "lineage", line)
    monkeypatch.setattr(teacher, "runs", SimpleNamespace(load_split=known.get))
    monkeypatch.setattr(teacher, "model_address", SimpleNamespace(find=lambda *_: SimpleNamespace(run_id="r")))
    config = replace(typed(TrainConfig, task()), distill=DistillConfig(teacher="models:/t/1"))
    dataset: Any = SimpleNamespace(split=student)
    teacher.require_stranger(config, dataset)


@pytest.mark.parametrize(
    ("part", "seen", "refused"),
    [
        ("train", "train", False),
        ("val", "train", True),
        ("val", "val", False),
        ("val", "test", False),
        ("calibration", "train", True),
        ("calibration", "val", True),
        ("calibration", "calibration", False),
        ("test", "train", True),
        ("test", "val", True),
        ("test", "calibration", True),
        ("test", "test", False),
    ],
)
def test_a_teacher_may_have_seen_no_more_than_the_student_itself_will(
    part: str, seen: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, other = split_of(("a", "train"), ("b", part)), split_of(("a", "train"), ("b", seen))
    stranger = split_of(("c", "train"))
    if not refused:
        require_stranger(student, stranger, other, monkeypatch=monkeypatch)
        return
    for trained_on in ((other,), (stranger, other)):  # by a teacher of the teacher, too
        with pytest.raises(InputError, match=rf"has seen 1 of the 1 {part} images, .* in its [a-z ]*{seen}"):
            require_stranger(student, *trained_on, monkeypatch=monkeypatch)


def test_what_leaks_into_the_students_own_training_is_no_fault_of_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    leaking = split_of(("a", "train"), ("a", "test"), ("b", "test"))
    require_stranger(leaking, split_of(("a", "train"), ("a", "test"), ("b", "test")), monkeypatch=monkeypatch)
    with pytest.raises(InputError, match="has seen 1 of the 1 test images"):
        require_stranger(leaking, split_of(("a", "train"), ("b", "train")), monkeypatch=monkeypatch)
