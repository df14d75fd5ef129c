"""A second scanner: which of its images a model has met in training, whatever their contrast."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.config import PhantomConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.contamination import find_contamination
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.data.split import Split

HOME = PhantomConfig(subjects=24, slices_per_subject=2, size=160, seed=0)
OTHERS = PhantomConfig(subjects=24, slices_per_subject=2, size=160, seed=1)


def scan(source: Path, target: Path) -> None:
    """Show a slice as another scanner would: harder contrast, less range, other pixels, more blur, JPEG."""
    with Image.open(source) as image:
        values = np.asarray(image.convert("L")) / 255
        shown = np.clip((values - 0.04) / 0.8, 0, 1) ** 0.6
        other = Image.fromarray((30 + 200 * shown).astype(np.uint8)).resize((128, 128), Image.Resampling.BILINEAR)
    target.parent.mkdir(parents=True, exist_ok=True)
    other.save(target, quality=70)


def split_of(root: Path, table: pd.DataFrame) -> Split:
    rows = table[["path", "label", "part"]].copy()
    rows["group"] = rows["path"]
    rows["twin"] = rows["path"]
    rows["site"] = root.name
    rows["sha256"], _ = hash_files([root / path for path in rows["path"]], 2)
    return Split(rows, root=root, source="folder", synthetic=True)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Path, pd.DataFrame]:
    cache = tmp_path_factory.mktemp("phantoms")
    folders = [ensure_phantom(config, cache, workers=2) for config in (HOME, OTHERS)]
    home, others = (pd.read_csv(folder / "table.csv", keep_default_na=False) for folder in folders)
    return folders[0], home, folders[1], others


def test_a_second_scanner_is_new_where_its_subjects_are(
    phantoms: tuple[Path, pd.DataFrame, Path, pd.DataFrame], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home_root, home, other_root, others = phantoms
    known = home[home["part"] == "train"].iloc[:12]
    site = tmp_path / "second"
    rows = []
    for root, table, prefix in ((home_root, known, "again"), (other_root, others, "new")):
        for path, label in zip(table["path"], table["label"], strict=True):
            name = f"{label}/{prefix}-{Path(path).stem}.jpg"
            scan(root / path, site / name)
            rows.append({"path": name, "label": label, "part": "test"})
    there = split_of(site, pd.DataFrame(rows))
    found = find_contamination(there, split_of(home_root, home), home_root, str(tmp_path / "cache"), 2)
    seen = found.seen
    again = there.table["path"].str.contains("again-").to_numpy()
    recall, precision = float(seen[again].mean()), float(again[seen].mean())
    assert (again.sum(), len(again)) == (12, 60)
    assert (recall, precision) == (1.0, 1.0)
    assert (found.complete, found.verdict) == (True, "true")
    assert "are not in" not in caplog.text


def test_images_that_were_only_tested_on_were_not_met_in_training(
    phantoms: tuple[Path, pd.DataFrame, Path, pd.DataFrame], tmp_path: Path
) -> None:
    root, home, _, _ = phantoms
    trained = split_of(root, home)
    seen = find_contamination(trained, trained, root, str(tmp_path / "cache"), 2).seen
    assert seen.tolist() == (home["part"] != "test").tolist()
