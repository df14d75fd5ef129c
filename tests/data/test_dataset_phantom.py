"""The phantom as a data set: its subjects, its masks, and what it does not read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import OFFICIAL

from brain_tumor.config.train import DataConfig, PhantomConfig, Source
from brain_tumor.data.cache import pictures
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset, find_by_content, load
from brain_tumor.data.masks import on_grid
from brain_tumor.errors import InputError

MakeConfig = Callable[..., DataConfig]


def official(data: DataConfig) -> Dataset:
    return load(data, shape=(16, 16, 3), protocol=OFFICIAL)


@pytest.fixture
def phantom_config(tmp_path: Path, data_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[DataConfig, Path]:
    """A stand-in for the phantom: 6 subjects a class, 2 slices each, 4 of the 6 for training."""
    root = tmp_path / "phantom"
    rng = np.random.default_rng(0)
    rows = []
    (root / "masks").mkdir(parents=True)
    for label in STANDARD.names:
        for subject in range(6):
            for index in range(2):
                name = f"{label}_{subject}_{index}.png"
                Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(root / name)
                mask = ""
                if label != "notumor":
                    mask = f"masks/{name}"
                    lesion = np.zeros((32, 32), np.uint8)
                    lesion[:8, 16:] = 255
                    Image.fromarray(lesion).save(root / mask)
                part = "train" if subject < 4 else "test"
                rows.append((name, label, part, f"{label}-{subject}", "phantom", mask))
    columns = ["path", "label", "part", "group", "site", "mask"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "table.csv", index=False)
    asked = []

    def ensure_phantom(config: PhantomConfig, cache: Path, workers: int) -> Path:
        asked.append((config, cache, workers))
        return root

    monkeypatch.setattr("brain_tumor.data.image_table.ensure_phantom", ensure_phantom)
    config = PhantomConfig(subjects=24)
    return data_config(None, source=Source.phantom, phantom=config), root


def test_phantom_keeps_subjects_together_and_has_masks(phantom_config: tuple[DataConfig, Path]) -> None:
    data, root = phantom_config
    dataset = official(data)
    split = dataset.split
    assert (split.source, split.synthetic, split.root) == ("phantom", True, root)
    assert {part: sum(classes.values()) for part, classes in split.counts.items()} == {
        "train": 24,
        "val": 8,
        "test": 16,
    }
    assert split.table["group"].nunique() == 24
    assert not set(split.part("val")["group"]) & set(split.part("train")["group"])
    rows = dataset.rows("test")
    again = find_by_content(split, root, decoder=pictures(16), cache=data.cache)
    for masks in (dataset.mask_of(rows), again.mask_of(rows)):
        assert masks is not None
        assert masks.shape == (16, 16, 16)
        assert masks.dtype == np.bool_
        has_tumour = split.part("test")["label"].to_numpy() != "notumor"
        expected = np.zeros((16, 16), bool)
        expected[:4, 8:] = True
        assert (masks[has_tumour] == expected).all()
        assert not masks[~has_tumour].any()


def test_phantom_without_its_block(data_config: MakeConfig) -> None:
    with pytest.raises(InputError, match="data=phantom"):
        official(data_config(None, source=Source.phantom))


def test_phantom_reads_no_patients(phantom_config: tuple[DataConfig, Path]) -> None:
    with pytest.raises(InputError, match=r"data\.patients=p\.csv is not read with data=phantom.*leave it out"):
        official(replace(phantom_config[0], patients="p.csv"))


def test_of_lesions_is_known_where_a_mask_is_or_the_class_has_none(phantom_config: tuple[DataConfig, Path]) -> None:
    data, root = phantom_config
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(root / "masks" / "glioma_0_0.png")
    dataset = official(data)
    rows = dataset.rows("train")
    lesions = dataset.lesions(rows)
    expected = np.zeros((16, 16), np.bool_)
    expected[:4, 8:] = True
    for index, (path, label) in enumerate(dataset.split.table.loc[rows, ["path", "label"]].itertuples(index=False)):
        mask = lesions[index]
        if path == "glioma_0_0.png":  # of a glioma a black mask shows nothing
            assert mask is None
            continue
        assert mask is not None
        assert np.array_equal(mask, expected & (label != "notumor"))


def test_a_grid_holds_the_share_of_each_cell_that_is_lesion() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[:3, :4] = True  # of cells of 4 x 4: three quarters of the first
    assert on_grid(mask, (2, 2))[..., 0].tolist() == [[0.75, 0], [0, 0]]
    assert on_grid(None, (2, 3)).tolist() == [[[-1], [-1], [-1]], [[-1], [-1], [-1]]]
