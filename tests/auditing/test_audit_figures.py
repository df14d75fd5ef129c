"""The figures of an audit show what they are given."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from audit_tables import COLUMNS, EDGES, ROWS
from PIL import Image

from brain_tumor.auditing import figures
from brain_tumor.auditing.findings import find
from brain_tumor.data.cache import Contents

TURNS = Image.Transpose
FOUND = find(pd.DataFrame(ROWS, columns=COLUMNS), EDGES)


def test_bars_of_counts_are_as_high_as_the_counts() -> None:
    axes = figures.counts(FOUND.count_images, "made up").axes[0]
    assert sorted(bar.get_height() for bar in axes.patches) == sorted(
        FOUND.count_images[["glioma", "meningioma", "notumor", "pituitary"]].to_numpy().ravel()
    )


def test_bars_of_twins_add_up_to_the_share() -> None:
    table = FOUND.across_parts[FOUND.across_parts["part"] == "test"].iloc[:5]
    axes = figures.across(table, "made up").axes[0]
    widths = np.array([bar.get_width() for bar in axes.patches]).reshape(5, 5)  # kinds x classes
    assert widths.sum(axis=0).tolist() == [1, 1, 0, 0, 0.75]
    assert [text.get_text() for text in axes.texts][-1] == "3 of 4"


def test_the_histogram_counts_each_pair_once_and_cuts_at_the_threshold() -> None:
    slices = pd.Series({"a": "t1", "b": "t1", "c": "t1", "d": "t2"})
    candidates = pd.DataFrame(
        [("a", "b", 1.0), ("b", "c", 0.87), ("a", "c", 0.86), ("a", "d", 0.7), ("b", "d", 0.5)],
        columns=["a", "b", "score"],
    )
    figure = figures.scores(candidates, slices, 0.87, "made up")
    bars = figure.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 5
    assert sum(bar.get_height() for bar in bars if bar.get_x() >= 0.87 - 1e-9) == 2
    assert sorted(text.get_text() for text in figure.legends[0].get_texts()) == [
        "different slices: 2 pairs",
        "the same slice, through other images: 1 pairs",
        "threshold 0.87",
        "twins: 2 pairs",
    ]


def test_the_sheet_shows_the_nearest_pairs_and_no_slice_twice() -> None:
    shas = [f"s{index}" for index in range(9)]
    contents = Contents(np.zeros((9, 16, 16, 3), np.uint8), pd.DataFrame({"sha256": shas}))
    known = pd.DataFrame({"path": [f"dir/{sha}.png" for sha in shas], "twin": list("aaabbcdea")}, index=shas)
    candidates = pd.DataFrame(
        [
            ("s0", "s1", "same", 0.88),
            ("s0", "s2", "same", 0.89),
            ("s3", "s4", "mirrored left-right", 0.95),
            ("s5", "s6", "turned by 90", 0.85),
            ("s6", "s7", "turned by 90", 0.86),
            ("s0", "s8", "same", 0.8699),
        ],
        columns=["a", "b", "transform", "score"],
    )
    figure = figures.pairs(candidates, known, 0.87, contents, "made up")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["same  0.8800", "mirrored left-right  0.9500", "turned by 90  0.8600"]
    assert figure.axes[0].texts[0].get_text() == "dir/s0.png\ndir/s1.png"


@pytest.mark.parametrize(
    ("transform", "made"),
    [
        ("identical", lambda image: image),
        ("mirrored left-right", lambda image: image.transpose(TURNS.FLIP_LEFT_RIGHT)),
        ("mirrored top-bottom", lambda image: image.transpose(TURNS.FLIP_TOP_BOTTOM)),
        ("turned by 180", lambda image: image.transpose(TURNS.ROTATE_180)),
        ("turned by 90", lambda image: image.transpose(TURNS.ROTATE_90)),
        ("turned by 270", lambda image: image.transpose(TURNS.ROTATE_270)),
        ("mirrored diagonally", lambda image: image.transpose(TURNS.TRANSPOSE)),
        ("mirrored anti-diagonally", lambda image: image.transpose(TURNS.TRANSVERSE)),
    ],
)
def test_a_pair_is_shown_in_one_orientation(transform: str, made: Callable[[Image.Image], Image.Image]) -> None:
    first = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    contents = Contents(np.stack([np.asarray(first), np.asarray(made(first))]), pd.DataFrame({"sha256": ["a", "b"]}))
    known = pd.DataFrame({"path": ["a.png", "b.png"], "twin": ["t", "t"]}, index=["a", "b"])
    candidates = pd.DataFrame([("a", "b", transform, 0.95)], columns=["a", "b", "transform", "score"])
    figure = figures.pairs(candidates, known, 0.87, contents, "made up")
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert np.array_equal(shown[:, :96], shown[:, 100:])
    assert np.array_equal(shown[:, 100:], made(first))


def test_the_figures_of_no_pairs_say_so() -> None:
    empty = pd.DataFrame(columns=["a", "b", "transform", "score"]).astype({"score": float})
    contents = Contents(np.zeros((0, 16, 16, 3), np.uint8), pd.DataFrame({"sha256": []}))
    known = pd.DataFrame({"path": [], "twin": []}, dtype=str)
    figure = figures.pairs(empty, known, 0.87, contents, "made up")
    assert not figure.axes
    assert sum("none" in text.get_text() for text in figure.texts) == 2
    assert "twins: 0 pairs" in [
        text.get_text() for text in figures.scores(empty, known["twin"], 0.87, "made up").legends[0].get_texts()
    ]


def test_bars_of_the_floor_show_the_accuracies() -> None:
    floor = pd.DataFrame(
        [
            ("official", "mode", "mode alone", 10, 0.5, 0.4, 0.6),
            ("grouped", "mode", "mode alone", 40, 0.3, np.nan, np.nan),
        ],
        columns=["protocol", "shortcut", "title", "images", "accuracy", "low", "high"],
    )
    axes = figures.floor_bars(floor, "made up").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.3]
