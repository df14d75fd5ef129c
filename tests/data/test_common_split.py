"""What several models have met, and what is left for their mean, on small hand-made splits."""

from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.data.classes import ClassList
from brain_tumor.data.common_split import combine
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError

# Twelve groups of each class, of two images; a fold takes three groups after the other.
PARTS = ["test"] * 3 + ["train"] * 4 + ["val"] + ["calibration"] * 4


def split(*, turned: int = 0, parts: list[str] = PARTS, **changed: str) -> Split:
    """Group g of both classes stands in the part of group g + `turned`, or in that which `changed` gives for it."""
    rows = [
        {
            "path": f"{label}{group}-{copy}.png",
            "label": label,
            "part": changed.get(f"{label}{group}", parts[(group + turned) % 12]),
            "group": f"{label}{group}",
            "twin": f"{label}{group}",
            "site": "A",
            "sha256": f"{label}{group:02d}{copy}",
        }
        for label in ("no", "yes")
        for group in range(12)
        for copy in range(2)
    ]
    return Split(
        pd.DataFrame(rows), root=Path("x"), source="folder", synthetic=False, classes=ClassList(("no", "yes"), "no")
    )


def groups(found: Split, part: str) -> set[int]:
    return {int(name.removeprefix("yes").removeprefix("no")) for name in found.part(part)["group"]}


def test_of_one_split_what_calibrated_fits_and_what_chose_has_been_met():
    found, reason = combine({"a": split(), "b": split()})
    assert reason == ""
    assert groups(found, "test") == {0, 1, 2}
    assert groups(found, "train") == {3, 4, 5, 6, 7}  # with the one that chose the epoch
    assert len(found.part("train")) == 2 * 5 * 2
    for part in ("val", "calibration"):
        table = found.part(part)
        assert (len(table), table["label"].nunique()) == (4, 2)  # half of eight groups, one image a twin
    halves = pd.concat([found.part("val"), found.part("calibration")])
    assert set(halves["group"]) == {f"{label}{group}" for label in ("no", "yes") for group in range(8, 12)}


def test_of_folds_nothing_is_left():
    every = ["test"] * 3 + ["train"] * 9
    found, reason = combine({f"fold {turn}": split(turned=3 * turn, parts=every) for turn in range(4)})
    assert set(found.table["part"]) == {"train"}
    assert len(found) == 48
    assert reason.startswith("no image is left that none of its members has met")


def test_what_one_alone_has_met_fits_nothing():
    found, _ = combine({"a": split(), "b": split(no8="train", yes9="val")})
    assert {"no8", "yes9"} <= set(found.part("train")["group"])
    for part in ("val", "calibration"):
        assert not {"no8", "yes9"} & set(found.part(part)["group"])


def test_a_model_that_has_met_the_others_test_part_is_refused():
    other = split(no2="train", yes2="calibration").table
    other.loc[other["sha256"] == "no021", "part"] = "test"  # whose twin has trained it
    with pytest.raises(InputError, match=r"^b has met 1 of the 9 images that are held out") as refused:
        combine({"a": split(), "b": split().moved(other, Path("x"))})
    assert "\n" not in str(refused.value)


def test_too_few_images_fit_nothing():
    found, reason = combine(dict.fromkeys("ab", split(no8="train", no9="train", no10="train")))
    assert reason.startswith(
        "of no there is 1 group of images left that none of its members has met, and two are needed"
    )
    assert set(found.table["part"]) == {"train", "test"}
