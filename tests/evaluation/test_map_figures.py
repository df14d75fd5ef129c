"""Figures of how well maps point."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.drawing import save
from brain_tumor.evaluation.explanation.figures import cases, kinds, randomisation, select_ranks


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def overlaps(figure) -> list[tuple[str, str]]:
    figure.draw_without_rendering()
    every = [text for axes in figure.axes for text in axes.texts] + figure.texts
    boxes = [text.get_window_extent() for text in every]
    inside = figure.bbox.padded(0.5)
    assert all(inside.contains(*box.min) and inside.contains(*box.max) for box in boxes)
    return [
        (every[i].get_text(), every[j].get_text())
        for i in range(len(boxes))
        for j in range(i)
        if boxes[i].overlaps(boxes[j])
    ]


def test_best_median_and_worst_of_each_class():
    scores = np.array([0.1, 0.5, 0.3, 0.2, 0.4, 0.9, 0.8, 0.7])
    names = np.array(["b"] * 5 + ["a"] * 2 + ["c"])
    assert select_ranks(scores, names) == [
        *[("a", "best", 5), ("a", "worst", 6)],
        *[("b", "best", 1), ("b", "median", 2), ("b", "worst", 0)],
        ("c", "best", 7),
    ]


def test_cases_show_image_map_outline_and_scores(tmp_path):
    shown = [("glioma", "best", 4), ("glioma", "median", 2), ("glioma", "worst", 9), ("pituitary", "best", 1)]
    images = np.broadcast_to(np.array([10, 20, 30, 40], np.uint8)[:, None, None, None], (4, 40, 40, 3))
    maps = np.zeros((4, 40, 40), np.float32)
    maps[:, 5:10, 5:10] = 1
    masks = np.zeros((4, 40, 40), bool)
    masks[:, 5:20, 5:20] = True
    scores = np.array([[1, 0.5, 0.25], [1, 0.4, np.nan], [0, 0.01, 0.0], [0, 0.3, 0.1]])
    paths = [f"Training/glioma/{'long ' * 20}{index}.jpg" for index in range(4)]
    figure = cases(shown, images, maps, masks, scores, paths, classes=STANDARD.names, title="layercam: test")
    panels = figure.axes
    assert len(panels) == 8
    assert [axes.images[0].get_array().max() for axes in panels] == [10, 10, 20, 20, 30, 30, 40, 40]
    assert [len(axes.images) for axes in panels] == [1, 2] * 4
    assert all(axes.collections for axes in panels)
    assert "best: peak inside, energy 0.50, iou 0.25" in texts(panels[0])
    assert "glioma" in texts(panels[0])
    assert "median: peak inside, energy 0.40" in texts(panels[2])
    assert "worst: peak OUTSIDE, energy 0.01, iou 0.00" in texts(panels[4])
    assert "pituitary" in texts(panels[6])
    assert overlaps(figure) == []
    save(figure, tmp_path / "cases.png")


def test_kinds_are_a_grid_with_the_best_framed(tmp_path):
    rows = [("layercam", "a*b", 0.7), ("layercam", "a", 0.6), ("gradcam", "a", 0.2), ("gradcam", "a*b", 0.1)]
    figure = kinds(pd.DataFrame(rows, columns=["method", "layer", "pointing"]), "val part")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a\nx b", "a"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["layercam", "gradcam"]
    assert texts(axes) == ["0.70", "0.10", "0.60", "0.20"]
    (frame,) = axes.patches
    assert frame.get_xy() == (-0.5, -0.5)
    save(figure, tmp_path / "kinds.png")


@pytest.mark.parametrize(
    ("pointing", "said"),
    [
        ([0.7, 0.2, 0.1], "maps need what the whole model has learned"),
        ([0.7, 0.6, 0.1], "but NOT the classifier"),
        ([0.7, 0.7, 0.7], "INSENSITIVE"),
    ],
)
def test_the_title_says_what_the_maps_need(pointing, said, tmp_path):
    values = np.array(pointing)
    table = pd.DataFrame({"depth": [0, 1, 2], "block": ["", "logits", "stem"]})
    for score in ("pointing", "energy"):
        table[score], table[f"{score}_low"], table[f"{score}_high"] = values, values - 0.1, values + 0.1
    change = values - values[0]
    table["change_low"], table["change_high"] = change - 0.1, change + 0.1
    figure = randomisation(table, "layercam at a, 8 views: test part")
    assert said in figure.get_suptitle()
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["trained", "logits", "stem"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == pointing
    save(figure, tmp_path / "sanity.png")
