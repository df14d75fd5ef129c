import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import OFFICIAL

from brain_tumor.config import DataConfig
from brain_tumor.data.load import load, load_whole

MakeConfig = Callable[..., DataConfig]


def real_data() -> Path:
    folder = os.environ.get("BRAIN_TUMOR_DATA")
    if not folder:
        pytest.skip("BRAIN_TUMOR_DATA, the folder of the real datasets, is not set")
    return Path(folder)


@pytest.mark.real_data
def test_real_official_split(data_config: MakeConfig) -> None:
    data = data_config(real_data() / "brain-tumor-mri", val_fraction=0.1)
    split = load(data, image_size=32, protocol=OFFICIAL).split
    counts = {part: sum(classes.values()) for part, classes in split.counts.items()}
    assert counts["train"] + counts["val"] == 5708
    assert counts["test"] == 1311
    assert counts["val"] == pytest.approx(571, abs=15)
    sizes = split.table["group"].value_counts()
    assert int((sizes * (sizes - 1) // 2).sum()) == 695  # pixel-identical pairs, counted independently
    assert not set(split.part("val")["group"]) & set(split.part("train")["group"])


@pytest.mark.real_data
def test_real_other_site(data_config: MakeConfig) -> None:
    dataset = load_whole(data_config(real_data() / "sartaj"), image_size=32)
    # the set's own page: 2,870 training and 394 test images
    assert len(dataset.split) == 2870 + 394
    assert dataset.images(dataset.rows("test")[:5]).any()
