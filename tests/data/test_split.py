from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.split import Split, carve, read_csv
from brain_tumor.errors import InputError

ROWS = [
    ("a, b/NA (1).png", "glioma", "train", "g1", "", "aa"),
    ('é="~.png', "pituitary", "test", "NA", "site", "bb"),
    ("c.png", "notumor", "val", "1.0", "nan", "0012"),
]
# printf '0012\tnotumor\tval\t1.0\naa\tglioma\ttrain\tg1\nbb\tpituitary\ttest\tNA' | sha256sum
DIGEST = "0fd8c2194f61c9dead26d87ee28908ad98ce060af795a0aee149a7d769f655e5"


def make_split(rows: list[tuple[str, ...]] = ROWS, root: str = "/images") -> Split:
    table = pd.DataFrame(rows, columns=["path", "label", "part", "group", "site", "sha256"])
    return Split(table, root=Path(root), source="folder", synthetic=False)


def test_digest_is_that_of_content_label_part_and_group() -> None:
    assert make_split().digest == DIGEST


def test_digest_ignores_order_and_place_but_nothing_else() -> None:
    assert make_split(ROWS[::-1], root="/elsewhere").digest == DIGEST
    moved = [("new.png", *row[1:]) for row in ROWS]
    assert make_split(moved).digest == DIGEST
    for column, value in ((1, "meningioma"), (2, "val"), (3, "g2"), (5, "ab")):
        row = list(ROWS[0])
        row[column] = value
        assert make_split([tuple(row), *ROWS[1:]]).digest != DIGEST


def test_table_handed_out_is_a_copy() -> None:
    split = make_split()
    table, part = split.table, split.part("test")
    table.loc[:, "part"] = "train"
    part.loc[:, "label"] = "glioma"
    assert split.digest == DIGEST
    with pytest.raises(AttributeError):
        split.root = Path("/other")  # type: ignore[misc]


def test_what_was_given_can_change_without_changing_the_split() -> None:
    table = make_split().table
    split = Split(table, root=Path("/images"), source="folder", synthetic=False)
    table.loc[:, "part"] = "train"
    assert split.digest == DIGEST


def test_part_and_counts() -> None:
    split = make_split()
    assert split.part("test")["path"].tolist() == ['é="~.png']
    assert split.part("test").index.tolist() == [1]
    zero = dict.fromkeys(STANDARD.names, 0)
    assert split.counts == {
        "train": zero | {"glioma": 1},
        "val": zero | {"notumor": 1},
        "test": zero | {"pituitary": 1},
    }


def test_csv_round_trip_keeps_every_character(tmp_path: Path) -> None:
    split = make_split(root="/images (1), ~é=")
    split.to_csv(tmp_path / "split.csv")
    again = read_csv(tmp_path / "split.csv")
    assert again.table.drop(columns=["twin", "patient"]).to_numpy().tolist() == [list(row) for row in ROWS]
    assert again.table["twin"].tolist() == ["g1", "NA", "1.0"]  # as its group, in tables that do not tell them apart
    assert (again.root, again.source, again.synthetic) == (split.root, "folder", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["split.csv", "split.json"]


def test_csv_that_was_changed_or_is_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    with pytest.raises(InputError, match="cannot read the split table"):
        read_csv(path)
    make_split().to_csv(path)
    path.write_text(path.read_text().replace("glioma,train", "glioma,test"))
    with pytest.raises(InputError, match="changed after it was written"):
        read_csv(path)


def test_unknown_label_part_or_column_is_refused() -> None:
    for column, value in ((1, "tumor"), (2, "fold")):
        row = list(ROWS[0])
        row[column] = value
        with pytest.raises(InputError, match=value):
            make_split([tuple(row)])
    with pytest.raises(InputError, match="sha256"):
        Split(pd.DataFrame({"path": []}), root=Path(), source="folder", synthetic=False)


def make_table(images: int, groups: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, images)
    return pd.DataFrame({"label": [STANDARD.names[g % 4] for g in group], "group": [f"g{g}" for g in group]})


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.25, 0.5, 0.8])
def test_carving_is_stratified_and_never_cuts_a_group(fraction: float) -> None:
    table = make_table(1000, 400)
    chosen = carve(table, fraction, key="data.val_fraction", seed=3)
    assert chosen.mean() == pytest.approx(fraction, abs=0.02)
    assert not set(table[chosen]["group"]) & set(table[~chosen]["group"])
    shares = table[chosen]["label"].value_counts() / table["label"].value_counts()
    assert shares.to_numpy() == pytest.approx(np.full(4, fraction), abs=0.03)


def test_carving_depends_on_its_seed_alone() -> None:
    table = make_table(300, 200)
    first, again, other = (carve(table, 0.2, key="k", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (3, 3, 3, 3), (2, 50, 50, 50), (2, 2, 400, 400)])
@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.5])
def test_every_class_stands_on_both_sides_however_few_its_images(counts: tuple[int, ...], fraction: float) -> None:
    labels = [label for label, count in zip(STANDARD.names, counts, strict=True) for _ in range(count)]
    table = pd.DataFrame({"label": labels, "group": [f"g{i}" for i in range(len(labels))]})
    chosen = carve(table, fraction, key="k", seed=0)
    assert set(table[chosen]["label"]) == set(table[~chosen]["label"]) == set(STANDARD.names)


def test_class_of_one_image_or_one_group_cannot_be_carved() -> None:
    table = pd.DataFrame({"label": ["glioma", "notumor", "notumor"], "group": ["a", "b", "c"]})
    with pytest.raises(InputError, match=r"k=0\.5: of 'glioma' only 1 image can be drawn"):
        carve(table, 0.5, key="k", seed=0)
    table = pd.DataFrame({"label": ["glioma"] * 2 + ["notumor"] * 2, "group": ["a", "a", "b", "c"]})
    with pytest.raises(
        InputError, match=r"of 'glioma' only 2 images that all belong to one group can be drawn, .*: wait"
    ):
        carve(table, 0.5, key="k", seed=0, advice="wait")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10.0])
def test_fraction_out_of_range_names_its_key(fraction: float) -> None:
    with pytest.raises(InputError, match=rf"^data\.val_fraction={fraction} must lie between 0 and 1"):
        carve(make_table(20, 20), fraction, key="data.val_fraction", seed=0)


def test_groups_of_which_no_two_halves_hold_every_class_cannot_be_carved() -> None:
    # Each of the three groups lacks a class, so whichever stands alone is a part without it.
    table = pd.DataFrame({"label": list("aabbcc"), "group": ["g1", "g2", "g1", "g3", "g2", "g3"]})
    with pytest.raises(
        InputError, match=r"val_fraction=0\.5 leaves a part without 'a', of which there are only 2 groups: take another"
    ):
        carve(table, 0.5, key="data.val_fraction", seed=0)
