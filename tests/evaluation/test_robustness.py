"""The battery around the corruptions: a stub's accuracies by hand, intervals, figures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binom

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation import robustness_figures
from brain_tumor.evaluation.corruptions import CORRUPTIONS, Corruption
from brain_tumor.evaluation.drawing import save
from brain_tumor.evaluation.measuring import measure
from brain_tumor.evaluation.robustness import Robustness, measure_robustness, seeds_of

SIDE = 16
GAMMA = Corruption(
    "gamma", "exponent", (1.0, 2.0), lambda value, side: ("RandomGamma", {"gamma_limit": (100 * value, 100 * value)})
)
BRIGHTER = Corruption(
    "brighter",
    "factor",
    (1.5, 3.0),
    lambda value, side: (
        "RandomBrightnessContrast",
        {"contrast_limit": (value - 1, value - 1), "brightness_limit": (0, 0)},
    ),
)


def by_brightness(batch: np.ndarray) -> np.ndarray:
    """Glioma where the mean is above 40, meningioma elsewhere."""
    assert batch.dtype == np.uint8
    bright = batch.mean(axis=(1, 2, 3)) > 40
    return np.eye(4, dtype=np.float32)[np.where(bright, 0, 1)] * 0.9 + 0.025


STUB: Any = SimpleNamespace(predict_on_batch=by_brightness)


def dataset(each: int, groups: int) -> Dataset:
    """`each` gliomas of gray 64 and as many meningiomas of gray 20, alternating, and one validation image."""
    labels = [STANDARD.names[index % 2] for index in range(2 * each)]
    rows = [(f"{i}.png", label, "test", f"g{i % groups}", "", f"{i:064x}") for i, label in enumerate(labels)]
    rows.insert(3, ("val.png", "glioma", "val", "gv", "", "f" * 64))
    table = pd.DataFrame(rows, columns=["path", "label", "part", "group", "site", "sha256"])
    pixels = np.stack([np.full((SIDE, SIDE, 3), gray, np.uint8) for gray in (64, 20)])
    pictures = np.array([STANDARD.names.index(row[1]) for row in rows], np.int64)
    return Dataset(Split(table, root=Path("."), source="folder", synthetic=False), pixels, pictures, None)


def battery(data: Dataset, **options: Any) -> Robustness:
    clean = measure(STUB, data, "test", "official", quiet=True)
    return measure_robustness(STUB, data, "test", clean, **({"corruptions": (GAMMA, BRIGHTER)} | options))


def test_accuracies_by_hand() -> None:
    # 255 * (64 / 255)^2 is 16: all gliomas are lost. Three times 20 is 60: all meningiomas are lost.
    found = battery(dataset(each=100, groups=200))
    table = found.table
    assert table["corruption"].tolist() == ["clean", "gamma", "gamma", "brighter", "brighter"]
    assert table["strength"].tolist() == [0, 1, 2, 1, 2]
    assert table["parameter"].tolist()[1:] == [1.0, 2.0, 1.5, 3.0]
    assert table["accuracy"].tolist() == [1, 1, 0.5, 1, 0.5]
    # One class has recall 1 and precision 1/2, F1 2/3; the other 0; the absent two do not count.
    assert table["macro_f1"].tolist() == pytest.approx([1, 1, 1 / 3, 1, 1 / 3])
    assert found.clean == 1
    assert found.means["corruption"].tolist() == ["gamma", "brighter", "all"]
    assert found.means["accuracy"].tolist() == [0.75, 0.75, 0.75]
    assert found.title == "test part, folder, official"


def test_intervals_are_binomial_for_single_images() -> None:
    found = battery(dataset(each=100, groups=200), resamples=4000)
    low, high = binom.ppf([0.025, 0.975], 200, 0.5) / 200
    assert found.table["low"][2] == pytest.approx(low, abs=0.006)
    assert found.table["high"][2] == pytest.approx(high, abs=0.006)
    assert (found.table["low"][0], found.table["high"][0]) == (1, 1)
    gamma, _, both = found.means.itertuples(index=False)
    assert gamma.low == pytest.approx((1 + low) / 2, abs=0.006)
    # Gamma loses the gliomas and brightness the meningiomas of the very same resample: the mean never moves.
    assert (both.low, both.high) == pytest.approx((0.75, 0.75))


def test_one_group_has_no_interval(tmp_path: Path) -> None:
    found = battery(dataset(each=3, groups=1))
    assert found.table[["low", "high"]].isna().all(axis=None)
    assert found.means[["low", "high"]].isna().all(axis=None)
    save(robustness_figures.robustness(found, (GAMMA, BRIGHTER)), tmp_path / "figure.png")


class Thumbnail:
    """Probabilities that follow the pixels closely, so that any other noise gives others."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        quarters = batch.reshape(len(batch), 4, -1).astype(np.float64).sum(axis=2) + 1
        self.seen.append(quarters)
        return quarters / quarters.sum(axis=1, keepdims=True)


def test_batches_and_the_order_of_rows_change_nothing() -> None:
    data = dataset(each=5, groups=10)
    seen = {}
    for batch_size in (3, 64):
        model = Thumbnail()
        clean = measure(model, data, "test", "official", quiet=True)
        measure_robustness(model, data, "test", clean, batch_size=batch_size)
        seen[batch_size] = np.concatenate(model.seen)
    assert np.array_equal(seen[3], seen[64])
    assert len(seen[3]) == 10 * (1 + 45)  # each image once a setting
    table = data.split.table
    assert seeds_of(table[table["part"] == "test"]) == list(range(10))  # of the content alone, here 0 to 9


def test_figure_has_a_panel_for_each_corruption() -> None:
    figure = robustness_figures.robustness(battery(dataset(each=100, groups=200)), (GAMMA, BRIGHTER))
    assert figure.get_suptitle() == (
        "Accuracy under corruption: test part, folder, official\nmean 0.750 [0.750, 0.750], clean 1.000"
    )
    gamma, brighter = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["gamma: mean 0.750", "brighter: mean 0.750"]
    corrupted, clean = gamma.lines
    assert corrupted.get_xydata().tolist() == [[1, 1], [2, 0.5]]
    assert set(clean.get_ydata()) == {1.0}
    assert [label.get_text() for label in brighter.get_xticklabels()] == ["1.5", "3"]
    assert brighter.get_xlabel() == "factor"


def test_sheet_shows_every_strength_at_96_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    figure = robustness_figures.examples(image, 5, "Corruptions: test part, SYNTHETIC phantom", CORRUPTIONS)
    assert len(figure.axes) == 9 * 6
    for line, corruption in enumerate(CORRUPTIONS):
        panels = figure.axes[6 * line : 6 * line + 6]
        assert [axes.get_title() for axes in panels] == ["clean", *(f"{s:g}" for s in corruption.strengths)]
        shown = [np.asarray(axes.images[0].get_array()) for axes in panels]
        assert np.array_equal(shown[0], image)
        assert len({picture.tobytes() for picture in shown}) == 6
    save(figure, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        width = picture.width
    box = figure.axes[0].get_position()
    assert box.width * width == pytest.approx(96, abs=1)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.texts] + [axes.get_window_extent() for axes in figure.axes]
    assert not [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    assert all(box.x0 >= 0 for box in boxes)
