"""The sentences that an audit comes to."""

import pandas as pd
from audit_tables import COLUMNS, EDGES, ROWS

from brain_tumor.auditing.findings import find
from brain_tumor.auditing.verdict import verdict

IMAGES = pd.DataFrame(ROWS, columns=COLUMNS)


def test_a_leak_comes_first_and_names_the_way_out() -> None:
    said = verdict(find(IMAGES, EDGES), None)
    assert said == [
        "3 of 4 test images (75%) have a twin in the training part: scores on this split flatter every model; "
        "use protocol=grouped.",
        "1 of 1 validation images (100%) have a twin in the training part: scores on this split flatter every model; "
        "use protocol=grouped.",
        "2 of the 3 test images whose patient is known have that patient in the training part.",
        "No twin crosses the sites.",
        "Slices that stand under more than one class: 1 (5 of 9 images).",
        "1 of 9 images cannot be decoded.",
        "1 of 9 images show next to nothing.",
    ]


def test_no_leak() -> None:
    alone = IMAGES.iloc[[0, 7]].assign(site="A", patient="", contrast=90.0)
    assert verdict(find(alone, EDGES.iloc[:0]), None) == ["No twin crosses the parts."]


def test_no_parts() -> None:
    images = IMAGES.iloc[:3].assign(part="", patient="")
    assert verdict(find(images, EDGES), None) == [
        "There are 3 pairs of twins and no test part: draw one with protocol=grouped."
    ]
    assert verdict(find(images.iloc[:1], EDGES), None) == [
        "No image has a twin, and the folders say of no part that it is the test part."
    ]


def test_a_site_that_stands_in_another_is_none() -> None:
    images = IMAGES.iloc[:4].assign(part="", patient="", site=["A", "B", "B", "B"])
    images.loc[images.index[1], ["sha256", "digest", "twin"]] = "other"
    images.loc[images.index[2], ["sha256", "digest", "twin"]] = "more"
    said = verdict(find(images, EDGES), None)
    assert said[1:] == [
        "1 of 1 images of A (100%) stand in B: no external site.",
        "1 of 3 images of B (33%) stand in A: leave these out of an external test.",
    ]


def test_the_floor_is_named_with_the_majority_beside_it() -> None:
    floor = pd.DataFrame(
        [("official", "majority", "the most frequent class", 0.25), ("official", "thumbnail_forest", "a forest", 0.9)],
        columns=["protocol", "shortcut", "title", "accuracy"],
    )
    said = verdict(find(IMAGES, EDGES), floor)
    assert said[-1] == (
        "Shortcut floor on the official test part: 0.900 (a forest); the most frequent class alone: 0.250."
    )


def test_patients_who_all_cross_the_parts_and_none() -> None:
    shared = IMAGES.iloc[[0, 2]].assign(site="A")
    assert verdict(find(shared, EDGES), None)[1:] == [
        "All 1 test images whose patient is known have that patient in the training part."
    ]
    shared.loc[shared.index[0], "patient"] = "S"
    assert verdict(find(shared, EDGES), None)[1:] == [
        "No patient who is known stands in both the test and the training part."
    ]
