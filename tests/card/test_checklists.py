"""Every item of the guidelines is either asked or named as left out; a bare run claims next to nothing."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.card import claim, data, opening, tripod
from brain_tumor.card.answers import NO_PEOPLE
from brain_tumor.card.facts import Facts, Logged
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.data.split import Split
from brain_tumor.layout.blocks import Grid, Section

BARE = Facts(
    run=Logged("0", "bare", "2026-01-01", {"data_kind": "real", "data": "folder"}, {}, {}, {}),
    classes=STANDARD.names,
    params={},
    config=None,
    split=None,
    uncertainty=None,
    packages={},
    python=None,
    epochs=(),
    versions=(),
    evaluations=(),
    unread=(),
)


def rows(section: Section) -> tuple[tuple[str, ...], ...]:
    [grid] = [block for block in section.blocks if isinstance(block, Grid)]
    return grid.rows


@pytest.mark.parametrize(("room", "make", "count"), [(claim, claim.claim, 44), (tripod, tripod.tripod, 27)])
def test_no_item_is_passed_over(room: object, make: object, count: int) -> None:
    asked = {int(re.sub(r"\D", "", row[0])) for row in rows(make(BARE))}  # type: ignore[operator]
    named = room.LEFT_OUT.split("(")[1].split(")")[0]  # type: ignore[attr-defined]
    left_out = {int(number) for number in re.findall(r"\b(\d+) ", named)}
    assert asked | left_out == set(range(1, count + 1))
    assert not asked & left_out
    assert f"Left out: {len(left_out)} of {count} items" in room.LEFT_OUT  # type: ignore[attr-defined]


@pytest.mark.parametrize(("healthy", "said"), [("no", "no"), (None, "none is named")])
def test_a_card_says_which_class_has_no_lesion_and_what_was_taken_for_a_class(healthy: str | None, said: str) -> None:
    row = {
        "path": "HGG/0.png",
        "label": "glioma",
        "part": "train",
        "group": "g",
        "twin": "g",
        "site": "s",
        "sha256": "0",
    }
    classes = ClassList(("no", "glioma"), healthy)
    split = Split(pd.DataFrame([row]), root=Path(), source="folder", synthetic=False, classes=classes)
    facts = replace(BARE, split=split, config={"data": {"rename": {"HGG": "glioma", "LGG": "glioma"}}})
    assert ("class without a lesion", said) in rows(opening.model(facts))
    table = next(block for block in data.data(facts).blocks if isinstance(block, Grid))
    assert ("folders taken for a class", "HGG as glioma, LGG as glioma") in table.rows


def test_what_only_the_source_knows_is_open_of_real_images() -> None:
    real = {row[0]: row for row in rows(claim.claim(BARE))}
    synthetic = replace(BARE, run=replace(BARE.run, tags={"data_kind": "synthetic", "data": "phantom"}))
    drawn = {row[0]: row for row in rows(claim.claim(synthetic))}
    for number in ("5", "8", "11", "13", "15", "16", "17", "18", "36"):
        assert real[number][2] == "open"
        assert drawn[number][2:] == ("not applicable", NO_PEOPLE)
    for number in ("23", "24", "25", "26", "28", "29", "30", "31", "32", "33", "37", "38", "39"):
        assert real[number][2] == "open", real[number]


def test_a_card_needs_neither_the_network_nor_the_store() -> None:
    code = "import sys, brain_tumor.card.build\nprint({'tensorflow', 'keras', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
