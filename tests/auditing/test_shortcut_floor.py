"""The shortcut floor, on features whose worth is known."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.auditing import floor as module
from brain_tumor.auditing.floor import SHORTCUTS, shortcut_floor
from brain_tumor.auditing.image_features import ImageFeatures
from brain_tumor.data.classes import STANDARD

COUNT = 40  # images of a class


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 10)


def made(parts: bool = True) -> tuple[pd.DataFrame, ImageFeatures, np.ndarray]:
    """Images whose mode tells notumor apart, whose border tells everything, whose other features are noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(STANDARD.names, COUNT)
    total = len(labels)
    images = pd.DataFrame({"label": labels, "width": 10, "height": 10})
    images["mode"] = np.where(images["label"] == "notumor", "RGB", "L")
    images["part"] = np.where(np.arange(total) % 4 == 0, "test", "train") if parts else ""
    images["group"] = [f"g{row // 2}" for row in range(total)]
    border = np.repeat(np.arange(4), COUNT)[:, None] + np.zeros((1, 8))
    measures = ImageFeatures(
        contrast=np.full(total, 255, np.float32),
        statistics=rng.normal(size=(total, 5)).astype(np.float32),
        border=border.astype(np.float32),
        thumbnails=rng.integers(0, 256, (total, 16, 16), np.uint8),
    )
    order = rng.permutation(total)  # pictures lie in another order than images
    place = np.argsort(order)
    moved = ImageFeatures(*(values[order] for values in vars(measures).values()))
    return images, moved, place


def test_each_shortcut_scores_what_its_feature_tells() -> None:
    images, measures, rows = made()
    floor = shortcut_floor(images, measures, rows, seed=0, workers=1)
    assert floor["protocol"].tolist() == ["official"] * len(SHORTCUTS) + ["grouped"] * len(SHORTCUTS)
    assert set(floor.loc[floor["protocol"] == "official", "images"]) == {COUNT}  # a quarter of four classes
    assert set(floor.loc[floor["protocol"] == "grouped", "images"]) == {4 * COUNT}
    for _, table in floor.groupby("protocol"):
        scores = table.set_index("shortcut")["accuracy"]
        assert scores["majority"] == pytest.approx(0.25, abs=0.01)
        assert scores["size"] == pytest.approx(0.25, abs=0.01)
        assert scores["mode"] == pytest.approx(0.5, abs=0.01)  # notumor, and one of the other three
        assert scores["border"] == 1
        assert scores["thumbnail_neighbour"] < 0.45


def test_copies_on_both_sides_flatter_the_official_part_alone() -> None:
    images, measures, rows = made()
    half = np.arange(len(images)) // 2 * 2  # each second image is a copy of the one before it
    images["part"] = np.where(np.arange(len(images)) % 2 == 0, "test", "train")
    floor = shortcut_floor(images, measures, rows[half], seed=0, workers=1)
    scores = floor.set_index(["protocol", "shortcut"])["accuracy"]
    assert scores["official", "thumbnail_neighbour"] == 1
    assert scores["grouped", "thumbnail_neighbour"] < 0.45


def test_without_parts_only_the_folds_are_scored() -> None:
    assert set(shortcut_floor(*made(parts=False), seed=0, workers=1)["protocol"]) == {"grouped"}


def test_a_training_part_of_one_class_is_not_scored() -> None:
    images, measures, rows = made()
    images["part"] = np.where(images["label"] == images["label"].iloc[0], "train", "test")
    assert set(shortcut_floor(images, measures, rows, seed=0, workers=1)["protocol"]) == {"grouped"}


def test_with_one_group_a_class_nothing_can_be_scored() -> None:
    images, measures, rows = made(parts=False)
    assert shortcut_floor(images.assign(group=images["label"]), measures, rows, seed=0, workers=1).empty
