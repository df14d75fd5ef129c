"""Findings on tables small enough to count by hand."""

import pandas as pd
import pytest
from audit_tables import COLUMNS, EDGES, ROWS

from brain_tumor.auditing import findings
from brain_tumor.auditing.findings import Findings, find
from brain_tumor.auditing.html import _pairs


@pytest.fixture
def found() -> Findings:
    return find(pd.DataFrame(ROWS, columns=COLUMNS), EDGES)


def rows(table: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in table[list(columns)].itertuples(index=False)]


def test_images_are_counted_by_site_part_and_class_corrupt_ones_too(found: Findings) -> None:
    assert rows(found.count_images, "site", "part", "glioma", "meningioma", "notumor", "pituitary", "all") == [
        ("A", "train", 2, 0, 0, 0, 2),
        ("A", "test", 2, 1, 0, 0, 3),
        ("B", "train", 0, 0, 1, 0, 1),
        ("B", "val", 0, 0, 1, 0, 1),
        ("B", "test", 0, 0, 0, 2, 2),
    ]


def test_twins_are_counted_as_pairs_of_files(found: Findings) -> None:
    # identical: ab ac bc; same: ad bd cd; mirrored: de fg (closer than turned)
    assert rows(found.count_twins, "kind", "pairs", "images") == [
        ("identical", 3, 3),
        ("same", 3, 4),
        ("mirrored", 2, 4),
        ("turned", 0, 0),
    ]


def test_a_slice_is_counted_once_under_the_label_of_most_of_its_images(found: Findings) -> None:
    assert rows(found.count_slices, "label", "images", "slices") == [
        ("glioma", 4, 1),
        ("meningioma", 1, 0),
        ("notumor", 2, 1),
        ("pituitary", 1, 1),
        ("all", 8, 3),
    ]
    assert rows(found.slice_sizes, "images_per_slice", "slices") == [(1, 1), (2, 1), (5, 1)]


def test_a_slice_of_as_many_images_of_two_labels_counts_for_the_first_in_the_alphabet() -> None:
    images = pd.DataFrame({"twin": ["t", "t"], "label": ["notumor", "glioma"]})
    assert findings.count_slices(images).set_index("label")["slices"].to_dict() == {
        "glioma": 1, "notumor": 0, "all": 1,
    }  # fmt: skip


def test_test_images_are_counted_by_their_closest_twin_in_training(found: Findings) -> None:
    columns = ("label", "images", "identical", "same", "mirrored", "turned", "indirect", "any")
    table = found.across_parts[(found.across_parts["part"] == "test") & (found.across_parts["other"] == "train")]
    assert rows(table, *columns) == [
        ("glioma", 2, 1, 1, 0, 0, 0, 2),  # c, d
        ("meningioma", 1, 0, 0, 0, 0, 1, 1),  # e, through d
        ("notumor", 0, 0, 0, 0, 0, 0, 0),
        ("pituitary", 1, 0, 0, 0, 0, 0, 0),
        ("all", 4, 1, 1, 0, 0, 1, 3),
    ]
    table = found.across_parts[found.across_parts["part"] == "val"]
    assert rows(table[table["label"] == "all"], "other", "images", "mirrored", "any") == [("train", 1, 1, 1)]


def test_patients_across_parts_are_counted_where_they_are_known(found: Findings) -> None:
    # test: c of P, e of Q and h of R, of whom P and Q train
    assert rows(found.patients, "part", "other", "images", "known", "shared") == [("test", "train", 4, 3, 2)]


def test_sites_are_compared_both_ways() -> None:
    table = pd.DataFrame(ROWS[:4], columns=COLUMNS)
    table["site"] = ["A", "A", "B", "B"]
    found = find(table, EDGES)
    totals = found.across_sites[found.across_sites["label"] == "all"]
    assert rows(totals, "site", "other", "images", "identical", "same", "any") == [
        ("A", "B", 2, 2, 0, 2),
        ("B", "A", 2, 1, 1, 2),
    ]


def test_one_site_is_compared_with_none() -> None:
    assert find(pd.DataFrame(ROWS[:5], columns=COLUMNS), EDGES).across_sites.empty


def test_label_conflicts_name_the_minority_first(found: Findings) -> None:
    assert rows(found.conflicts, "twin", "path", "label", "votes") == [
        ("t1", "e", "meningioma", 1),
        ("t1", "a", "glioma", 4),
        ("t1", "b", "glioma", 4),
        ("t1", "c", "glioma", 4),
        ("t1", "d", "glioma", 4),
    ]


def test_corrupt_and_blank_images_are_named(found: Findings) -> None:
    assert rows(found.corrupt, "path", "error") == [("i", "the file is empty")]
    assert rows(found.blank, "path", "contrast") == [("h", 15.0)]  # 16 levels are not below 16


def test_blank_images_are_no_copies_and_no_conflicts() -> None:
    images = pd.DataFrame(ROWS, columns=COLUMNS)
    empty = pd.DataFrame(
        [
            ("k", "glioma", "train", "B", "s9", "d9", "t9", "", 9, 8, "L", 0.0, ""),
            ("l", "pituitary", "test", "B", "s9", "d9", "t9", "", 9, 8, "L", 0.0, ""),
        ],
        columns=COLUMNS,
    )
    before, found = find(images, EDGES), find(pd.concat([images, empty], ignore_index=True), EDGES)
    assert found.conflicts.equals(before.conflicts)
    table = found.across_parts.set_index(["part", "other", "label"]).loc["test", "train"]
    assert table.loc["pituitary", ["images", "identical", "any"]].tolist() == [2, 0, 0]
    assert table.loc["all", ["images", "any"]].tolist() == [5, 3]
    assert found.across_sites["any"].tolist() == before.across_sites["any"].tolist()
    assert found.blank["path"].tolist() == ["h", "k", "l"]


def test_the_report_tells_pairs_of_images_from_the_rows_that_link_them(found: Findings) -> None:
    said = _pairs(found)
    assert found.count_twins["pairs"].sum() == 8  # ab ac bc, ad bd cd, de, fg
    assert "in 7 rows" in said  # ab, and six edges between files: fg has two


def test_formats_by_class_and_part(found: Findings) -> None:
    table = found.formats.set_index(["mode", "width", "part"])
    assert table.loc[("L", 8, "train"), "glioma"] == 2
    assert table.loc[("RGB", 8, "test"), "all"] == 1
    assert table["all"].sum() == 8
    assert table["all"].is_monotonic_decreasing


def test_pairs_are_listed_by_path(found: Findings) -> None:
    listed = rows(found.pairs, "path", "other", "kind")
    assert listed[:2] == [("a", "b", "identical"), ("a", "c", "identical")]
    assert ("d", "e", "mirrored") in listed
    assert len(listed) == 1 + len(EDGES)


def test_nothing_to_find() -> None:
    table = pd.DataFrame(ROWS[:1], columns=COLUMNS).assign(part="", patient="")
    found = find(table, EDGES.iloc[:0])
    assert found.pairs.empty
    assert found.across_parts.empty
    assert found.patients.empty
    assert found.conflicts.empty
    assert found.count_twins["pairs"].sum() == 0
