"""`data=phantom_volumes`: whole synthetic heads, each as a scanner would store it."""

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from phantoms import drawn

from brain_tumor.config.train import PhantomConfig

CONFIG = PhantomConfig(subjects=8, slices_per_subject=None, test_fraction=0.5, size=40, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(CONFIG, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table.csv", keep_default_na=False)


def test_every_subject_is_one_volume(table: pd.DataFrame) -> None:
    assert table["group"].tolist() == [f"s{subject:04d}" for subject in range(8)]
    assert table["label"].value_counts().tolist() == [2, 2, 2, 2]
    assert ((table["mask"] == "") == (table["label"] == "notumor")).all()


def test_lesions_are_bright_and_lie_where_they_grow(folder: Path, table: pd.DataFrame) -> None:
    for row in table[table["mask"] != ""].itertuples():
        image, mask = (nibabel.load(folder / path) for path in (row.path, row.mask))
        np.testing.assert_array_equal(image.affine, mask.affine)
        values, inside = np.asarray(image.dataobj), np.asarray(mask.dataobj) > 0
        assert inside.sum() > 8
        head = values > np.percentile(values, 99) / 4
        assert np.median(values[inside]) > 1.1 * np.median(values[head])
        right, front, up = nibabel.affines.apply_affine(image.affine, np.argwhere(inside).mean(axis=0))
        if row.label == "pituitary":  # in the sella: midline, below the brain's middle, in its front half
            assert abs(right) < 12
            assert up < 0
            assert front > -15


def test_planes_spacing_and_axes_differ(folder: Path, table: pd.DataFrame) -> None:
    images = [nibabel.load(folder / path) for path in table["path"]]
    assert len({nibabel.aff2axcodes(image.affine) for image in images}) > 3
    assert len({round(max(image.header.get_zooms()), 2) for image in images}) == 8
    assert all(4 <= max(image.header.get_zooms()) <= 7 for image in images)


def test_the_same_bytes_again(folder: Path, tmp_path: Path) -> None:
    again = drawn(CONFIG, tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.nii.gz"))
    assert len(files) == 8 + 6
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)
