import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.config.train import DataConfig, ProtocolConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import load, load_whole
from brain_tumor.data.protocol import leak

MakeConfig = Callable[..., DataConfig]


def real_data() -> Path:
    folder = os.environ.get("BRAIN_TUMOR_DATA")
    if not folder:
        pytest.skip("BRAIN_TUMOR_DATA, the folder of the real datasets, is not set")
    return Path(folder)


@pytest.mark.real_data
@pytest.mark.slow
def test_real_protocols(data_config: MakeConfig) -> None:
    """Counts that the data's own description gives, found there by other means."""
    data = data_config(
        real_data() / "brain-tumor-mri",
        val_fraction=0.1,
        test_fraction=0.2,
        calibration_fraction=0.1,
        patients=str(real_data() / "patients.csv"),
    )
    splits = {
        name: load(data, shape=(32, 32, 3), protocol=ProtocolConfig(name=name)).split  # type: ignore[arg-type]
        for name in ("official", "grouped")
    }
    official, grouped = splits["official"], splits["grouped"]
    assert len(official.part("test")) == 1311
    twins = official.part("test")["twin"].isin(set(official.table.loc[official.table["part"] != "test", "twin"]))
    assert twins.sum() >= 980
    known = pd.read_csv(data.patients or "", dtype=str)
    shared = official.part("test")["group"].isin(set(official.table.loc[official.table["part"] != "test", "group"]))
    assert shared.sum() == pytest.approx(1301, abs=3)  # all but ten
    assert str(leak(official)).startswith(f"LEAKS: {shared.sum()} of 1311 test images")
    # Nobody, and no slice, stands in two parts; a slice counts once where it is measured.
    table = grouped.table.drop(columns="patient").merge(
        known[["path", "patient", "figshare_id"]], on="path", how="left"
    )
    assert (table.dropna(subset=["patient"]).groupby("patient")["part"].nunique() == 1).all()
    assert (table.dropna(subset=["figshare_id"]).groupby("figshare_id")["part"].nunique() == 1).all()
    held_out = table[table["part"] != "train"]
    assert not held_out.dropna(subset=["figshare_id"])["figshare_id"].duplicated().any()
    assert leak(grouped) is None
    shares = table["group"].groupby(table["part"]).nunique() / table["group"].nunique()
    assert shares["test"] == pytest.approx(0.2, abs=0.05)

    without = load(replace(data, patients=None), shape=(32, 32, 3), protocol=ProtocolConfig(name="clean")).split
    assert len(without.part("test")) == 1311
    assert not set(without.part("test")["group"]) & set(without.table.loc[without.table["part"] != "test", "group"])


@pytest.mark.real_data
@pytest.mark.slow
def test_real_other_site(data_config: MakeConfig) -> None:
    dataset = load_whole(data_config(real_data() / "sartaj"), shape=(32, 32, 3), known=STANDARD)
    # the set's own page: 2,870 training and 394 test images
    assert len(dataset.split) == 2870 + 394
    assert dataset.images(dataset.rows("test")[:5]).any()
