"""Every protocol on small hand-made tables."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.config.train import DataConfig, OnCorrupt, ProtocolConfig, Source
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.protocol import divide, leak, require_whole_groups
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError


def images(groups: int = 12, copies: int = 2, sites: tuple[str, ...] = ("A",)) -> pd.DataFrame:
    """`groups` of each class, each of two slices with `copies` of each; the first quarter is the folders' test part."""
    rows: list[dict[str, Any]] = []
    for label in STANDARD.names:
        for group in range(groups):
            for slice_ in range(2):
                for copy in range(copies):
                    name = f"{label}{group}-{slice_}-{copy}"
                    rows.append(
                        {
                            "path": f"{name}.png",
                            "label": label,
                            "part": "test" if group < groups // 4 else "train",
                            "group": f"{label}{group}",
                            "twin": f"{label}{group}-{slice_}",
                            "site": sites[group % len(sites)],
                            "sha256": f"{(len(rows) * 7919) % 10007:05d}",
                        }
                    )
    return pd.DataFrame(rows)


def settings(**changes: Any) -> DataConfig:
    fields: dict[str, Any] = {
        "source": Source.folder,
        "root": "x",
        "image_size": None,
        "val_fraction": 0.25,
        "test_fraction": 0.25,
        "split_seed": 0,
        "on_corrupt": OnCorrupt.error,
        "workers": 1,
        "cache": None,
    }
    return DataConfig(**(fields | changes))


def groups_of(table: pd.DataFrame, part: str) -> set[str]:
    return set(table.loc[table["part"] == part, "group"])


def split_of(table: pd.DataFrame) -> Split:
    return Split(table, root=Path("x"), source="folder", synthetic=False)


@pytest.mark.parametrize("calibration", [None, 0.25])
def test_grouped_never_cuts_a_group_and_counts_each_slice_once(calibration: float | None) -> None:
    table = divide(images(), ProtocolConfig(name="grouped"), settings(calibration_fraction=calibration), STANDARD)
    parts = ["train", "val", "test"] + (["calibration"] if calibration else [])
    assert set(table["part"]) == set(parts)
    assert (table.groupby("group")["part"].nunique() == 1).all()
    # Of 12 groups a class a quarter is the test, a quarter of the other 9 is val, a quarter of the last calibration.
    per_class = {part: len(groups_of(table, part)) / 4 for part in parts}
    assert per_class["test"] == 3
    assert per_class["val"] == pytest.approx(2.25, abs=0.5)
    for part in parts:
        copies = table[table["part"] == part].groupby("twin").size()
        assert (copies == (2 if part == "train" else 1)).all()
    require_whole_groups(split_of(table), "grouped")
    assert leak(split_of(table)) is None


@pytest.mark.parametrize("protocol", ["grouped", "official"])
def test_without_copies_one_image_a_slice_trains_and_the_parts_are_those_with_them(protocol: Any) -> None:
    whole = divide(images(), ProtocolConfig(name=protocol), settings(), STANDARD)
    thinned = divide(images(), ProtocolConfig(name=protocol), settings(copies=False), STANDARD)
    train, all_train = (table[table["part"] == "train"] for table in (thinned, whole))
    assert not train["twin"].duplicated().any()
    assert set(train["twin"]) == set(all_train["twin"])
    assert thinned[thinned["part"] != "train"]["path"].tolist() == whole[whole["part"] != "train"]["path"].tolist()


def test_without_copies_a_slice_that_stands_under_two_labels_trains_under_both() -> None:
    given = images(copies=4)
    torn = given["twin"] == "glioma3-0"
    given.loc[given.index[torn][:2], "label"] = "pituitary"
    table = divide(given, ProtocolConfig(name="grouped"), settings(copies=False), STANDARD)
    assert sorted(table.loc[table["twin"] == "glioma3-0", "label"]) == ["glioma", "pituitary"]


def test_the_copy_that_counts_is_that_of_the_least_sha() -> None:
    table = divide(images(), ProtocolConfig(name="grouped"), settings(), STANDARD)
    least = images().groupby("twin")["sha256"].min()
    kept = table[table["part"] == "test"]
    assert (kept["sha256"].to_numpy() == least[kept["twin"]].to_numpy()).all()


def test_groups_under_two_labels_train_only() -> None:
    table = images()
    table.loc[table["path"] == "glioma3-0-0.png", "label"] = "pituitary"
    for seed in range(5):
        divided = divide(
            table, ProtocolConfig(name="grouped"), settings(split_seed=seed, calibration_fraction=0.25), STANDARD
        )
        assert set(divided.loc[divided["group"] == "glioma3", "part"]) == {"train"}


@pytest.mark.parametrize("protocol", [ProtocolConfig(name="grouped"), ProtocolConfig(name="grouped", folds=3, fold=0)])
def test_a_class_that_stands_under_another_one_throughout_is_refused(protocol: ProtocolConfig) -> None:
    table = images()
    for number in range(12):  # every glioma's patient has a normal slice, and every normal slice is one of these
        table["group"] = table["group"].replace(f"notumor{number}", f"glioma{number}")
    with pytest.raises(InputError, match=r"every group of glioma, notumor .* must be left out of data\.patients"):
        divide(table, protocol, settings(), STANDARD)


def test_official_keeps_the_folders_parts_and_tells_the_leak(caplog: pytest.LogCaptureFixture) -> None:
    table = images()
    table.loc[table["path"].str.startswith("glioma0-0-0"), "part"] = "train"  # one copy of one slice of a test group
    with caplog.at_level(logging.INFO):
        divided = divide(table, ProtocolConfig(name="official"), settings(), STANDARD)
    given = table[table["part"] == "test"]
    assert set(divided.loc[divided["part"] == "test", "path"]) == set(given["path"])  # copies and all
    split = split_of(divided)
    # The slice's other copy is a twin; the group's second slice, twice, is of the same patient.
    assert leak(split) == "LEAKS: 3 of 47 test images have their patient or a twin (1 a twin) in training"
    require_whole_groups(split, "official")
    with pytest.raises(InputError, match=r"^protocol=clean: 1 groups of twins or of a patient stand in several parts"):
        require_whole_groups(split, "clean")


def test_the_leak_names_twins_alone_where_no_patient_is_known() -> None:
    table = images().assign(group=lambda each: each["twin"])
    table.loc[table["path"].str.startswith("glioma0-0-0"), "part"] = "train"
    assert leak(split_of(table)) == "LEAKS: 1 of 47 test images have a twin in training"


def test_a_validation_folder_of_copies_leaks(caplog: pytest.LogCaptureFixture) -> None:
    table = images()
    table.loc[table["group"].isin(["glioma4", "pituitary4"]), "part"] = "val"
    table.loc[table["path"] == "glioma4-0-0.png", "part"] = "train"
    split = split_of(divide(table, ProtocolConfig(name="official"), settings(), STANDARD))
    # Of the 7 images that are left in val one has a twin there, and that twin's patient two more.
    assert leak(split, "val") == "LEAKS: 3 of 7 val images have their patient or a twin (1 a twin) in training"
    assert leak(split) is None
    grouped = split_of(divide(table, ProtocolConfig(name="grouped"), settings(), STANDARD))
    assert leak(grouped, "val") is None


def test_clean_keeps_the_test_part_and_drops_its_twins_from_training() -> None:
    table = images()
    table.loc[table["path"].str.startswith("glioma0-0-0"), "part"] = "train"
    divided = divide(table, ProtocolConfig(name="clean"), settings(), STANDARD)
    assert (divided["part"] == "test").sum() == 47
    assert "glioma0-0-0.png" not in set(divided["path"])
    require_whole_groups(split_of(divided), "clean")


def test_clean_also_parts_a_validation_folder_from_both() -> None:
    table = images()
    table.loc[table["group"].isin(["glioma4", "pituitary4"]), "part"] = "val"
    table.loc[table["path"].isin(["glioma4-0-0.png", "glioma0-1-0.png"]), "part"] = ["val", "train"]
    table.loc[table["path"].isin(["glioma0-0-1.png"]), "part"] = "val"  # a twin of a test image that would select
    divided = divide(table, ProtocolConfig(name="clean"), settings(), STANDARD)
    require_whole_groups(split_of(divided), "clean")
    assert groups_of(divided, "val") == {"glioma4", "pituitary4"}


def test_clean_without_a_test_part_or_with_nothing_left() -> None:
    table = images()
    with pytest.raises(InputError, match="protocol=clean needs a test part"):
        divide(table.assign(part="train"), ProtocolConfig(name="clean"), settings(), STANDARD)
    table.loc[(table["label"] == "notumor") & (table["part"] == "train"), "group"] = "notumor0"
    with pytest.raises(InputError, match="leaves no training image of notumor"):
        divide(table, ProtocolConfig(name="clean"), settings(), STANDARD)


def test_a_class_that_does_not_suffice_names_what_took_it() -> None:
    table = images()
    # Under clean one group of notumor is left: the others share theirs with the test part.
    torn = (table["label"] == "notumor") & (table["part"] == "train") & (table["group"] != "notumor9")
    clean = table.assign(group=table["group"].mask(torn, "notumor0"))
    with pytest.raises(
        InputError, match=r"data\.val_fraction=0\.25: of 'notumor' .* use protocol=grouped, or add images"
    ):
        divide(clean, ProtocolConfig(name="clean"), settings(), STANDARD)
    few = images(groups=2)
    with pytest.raises(
        InputError, match=r"data\.val_fraction=0\.25: .*: lower data\.test_fraction, which was drawn before"
    ):
        divide(few, ProtocolConfig(name="grouped"), settings(), STANDARD)


def test_what_folds_took_is_not_laid_to_a_fraction() -> None:
    with pytest.raises(
        InputError, match=r"data\.val_fraction=0\.25: of .* cannot be divided: add images of that class$"
    ):
        divide(images(groups=2), ProtocolConfig(name="grouped", folds=2, fold=0), settings(), STANDARD)


def test_folds_test_every_slice_once() -> None:
    seen: list[str] = []
    for fold in range(4):
        protocol = ProtocolConfig(name="grouped", folds=4, fold=fold)
        table = divide(images(), protocol, settings(calibration_fraction=0.25), STANDARD)
        require_whole_groups(split_of(table), "grouped")
        assert len(groups_of(table, "test")) == 12
        seen += table.loc[table["part"] == "test", "twin"].tolist()
    assert sorted(seen) == sorted(images()["twin"].unique())


def test_more_folds_than_groups() -> None:
    with pytest.raises(InputError, match=r"protocol\.folds=13 needs as many groups of every class, and \w+ has 12"):
        divide(images(), ProtocolConfig(name="grouped", folds=13, fold=0), settings(), STANDARD)


def test_one_site_is_left_out_with_its_twins_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    table = images(sites=("A", "B"))
    shared = table["path"] == "glioma1-0-0.png"  # of site B, in A's copy
    table.loc[shared, ["twin", "group"]] = ["glioma0-0", "glioma0"]
    divided = divide(table, ProtocolConfig(name="leave_one_site_out", site="B"), settings(), STANDARD)
    assert "4 images of other sites share a group with images of B and do not train" in caplog.text
    test = divided[divided["part"] == "test"]
    assert set(test["site"]) == {"B"}
    assert set(divided.loc[divided["part"] != "test", "site"]) == {"A"}
    assert "glioma0" not in groups_of(divided, "train")
    assert set(divided["part"]) == {"train", "val", "test"}


def test_a_slice_under_two_labels_is_not_tested_at_the_site_left_out(caplog: pytest.LogCaptureFixture) -> None:
    table = images(sites=("A", "B"))
    table.loc[table["path"] == "glioma1-0-0.png", "label"] = "pituitary"  # of site B
    divided = divide(table, ProtocolConfig(name="leave_one_site_out", site="B"), settings(), STANDARD)
    assert "glioma1" not in set(divided["group"])
    assert "4 images of B whose group stands under two classes are not tested" in caplog.text
    other = divide(table, ProtocolConfig(name="leave_one_site_out", site="A"), settings(), STANDARD)
    assert set(other.loc[other["group"] == "glioma1", "part"]) == {"train"}


@pytest.mark.parametrize(
    ("sites", "site", "message"),
    [
        (("A",), "A", "needs several sites, and there is only 'A': give data=folder 'data.root=.A,B.'"),
        (("A", "B"), "C", "protocol.site=C is none of the sites A, B"),
    ],
)
def test_sites_that_are_not_there(sites: tuple[str, ...], site: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide(images(sites=sites), ProtocolConfig(name="leave_one_site_out", site=site), settings(), STANDARD)


def test_a_class_that_would_not_be_trained_is_refused() -> None:
    table = images(sites=("A", "B"))
    table.loc[table["label"] == "glioma", "part"] = "test"
    for name in ("official", "clean"):
        with pytest.raises(InputError, match="the training part has no image of glioma, only another part has"):
            divide(table, ProtocolConfig(name=name), settings(), STANDARD)
    assert "glioma" in set(divide(table, ProtocolConfig(name="grouped"), settings(), STANDARD)["label"])
    table.loc[table["label"] == "pituitary", "site"] = "B"
    with pytest.raises(InputError, match=r"protocol\.site=B: the other sites have no image of pituitary to train on"):
        divide(table, ProtocolConfig(name="leave_one_site_out", site="B"), settings(), STANDARD)
    divide(table, ProtocolConfig(name="leave_one_site_out", site="A"), settings(), STANDARD)


def test_a_site_of_twins_is_no_other_site() -> None:
    table = images(sites=("A", "B"))
    other = table["site"] == "B"
    table.loc[other, "group"] = table.loc[other, "group"].str.replace(r"\d+$", lambda m: str(int(m[0]) - 1), regex=True)
    with pytest.raises(InputError, match="it is no other site"):
        divide(table, ProtocolConfig(name="leave_one_site_out", site="B"), settings(), STANDARD)


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = images()
    shuffled = table.iloc[np.random.default_rng(0).permutation(len(table))]
    first, second = (divide(each, ProtocolConfig(name="clean"), settings(), STANDARD) for each in (table, shuffled))
    for part in ("test", "train"):
        assert (first["part"] == part).sum() == (second["part"] == part).sum()
