"""Shortcuts in files of whole volumes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from brain_tumor.auditing.examine import examine
from brain_tumor.auditing.report import write_report
from brain_tumor.auditing.volume_features import file_floor
from brain_tumor.config.train import DataConfig, OnCorrupt, Source


def facts(rng: np.random.Generator, spacing: float) -> str:
    return json.dumps(
        {
            "shape": [int(side) for side in rng.integers(20, 30, 3)],
            "spacing": [1.0, 1.0, spacing],
            "axes": "LAS",
            "dtype": "i2",
            "zeros": float(rng.random()),
            "air": float(rng.random()),
            "statistics": rng.normal(size=6).tolist(),
        }
    )


def dataset(spacings: dict[str, float], parts: tuple[str, ...] = ("train",)) -> Any:
    rng = np.random.default_rng(0)
    rows = [(name, part) for part in parts for name in spacings for _ in range(40)]
    table = pd.DataFrame(rows, columns=["label", "part"]).assign(group=[f"p{row}" for row in range(len(rows))])
    return SimpleNamespace(
        rows=lambda part: np.flatnonzero(table["part"] == part),
        split=SimpleNamespace(table=table),
        volumes=tuple(facts(rng, spacings[name]) for name, _ in rows),
    )


def test_a_header_that_tells_the_class_is_said() -> None:
    said = file_floor(dataset({"glioma": 5.0, "notumor": 1.0}), seed=0, workers=1)
    assert said.startswith(
        "the files tell the class of 100% of the volumes without a look at the head (the file's header"
    )
    assert "the most frequent class alone: 50%" in said


def test_nothing_is_said_where_files_tell_nothing() -> None:
    assert file_floor(dataset({"glioma": 1.0, "notumor": 1.0}), seed=0, workers=1) == ""


def test_the_test_part_has_no_say() -> None:
    told = dataset({"glioma": 5.0, "notumor": 1.0}, parts=("train", "test"))
    same = dataset({"glioma": 1.0, "notumor": 1.0}, parts=("train", "test"))
    training = told.rows("train")
    mixed = [same.volumes[row] if row in training else told.volumes[row] for row in range(len(told.volumes))]
    told.volumes = tuple(mixed)
    assert file_floor(told, seed=0, workers=1) == ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten heads of each class; those of one have other voxels, one stands in both, and one is no volume."""
    rng = np.random.default_rng(0)
    for name, step in (("glioma", 5.0), ("notumor", 3.0)):
        for index in range(10):
            values = np.zeros((24, 24, 16), np.int16)
            values[4:20, 4:20, 3:13] = rng.integers(80, 120, (16, 16, 10))
            place = tmp_path / "data" / name / f"{name[0]}{index}"
            place.mkdir(parents=True)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([step, step, step, 1])), place / "t1c.nii.gz")
    copy = tmp_path / "data" / "notumor" / "again"
    copy.mkdir()
    (copy / "t1c.nii.gz").write_bytes((tmp_path / "data/glioma/g0/t1c.nii.gz").read_bytes())
    (tmp_path / "data/glioma/g9/t1c.nii.gz").write_bytes(b"nothing")
    return tmp_path / "data"


def test_an_audit_of_volumes_finds_copies_conflicts_broken_files_and_the_shortcut(folder: Path, tmp_path: Path) -> None:
    data = DataConfig(
        source=Source.folder,
        root=str(folder),
        image_size=None,
        val_fraction=0.25,
        test_fraction=0.25,
        split_seed=0,
        on_corrupt=OnCorrupt.error,
        workers=1,
        cache=str(tmp_path / "cache"),
        volume_shape=(8, 12, 12),
    )
    audit = examine(data, floor=True)
    assert audit.found.corrupt["path"].tolist() == ["glioma/g9/t1c.nii.gz"]
    assert audit.found.conflicts["path"].tolist() == ["glioma/g0/t1c.nii.gz", "notumor/again/t1c.nii.gz"]
    assert audit.found.count_twins.set_index("kind").loc["identical", "pairs"] == 1
    assert audit.floor is not None
    scores = audit.floor.set_index(["protocol", "shortcut"])["accuracy"]
    assert scores["grouped", "header"] >= 18 / 20  # all but the copy, and its original's group
    assert scores["grouped", "header"] > scores["grouped", "majority"] + 0.3
    write_report(audit, tmp_path / "report")
    page = (tmp_path / "report" / "audit.html").read_text(encoding="utf-8")
    assert "the file&#x27;s header alone" in page
    assert "Where twins begin" not in page
