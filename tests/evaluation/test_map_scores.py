"""Scoring the maps of a part: which images, what validation settles, and the baselines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation.explanation.lesion_map import drawn, tabulate
from brain_tumor.evaluation.explanation.localisation import summarise
from brain_tumor.evaluation.explanation.map_scores import (
    CENTRE,
    CLASS_MEAN,
    MODEL,
    Survey,
    compare_kinds,
    fit_reference,
    known_lesions,
    score_lesions,
    survey,
    why_none,
)
from brain_tumor.evaluation.metrics import Evaluation

SIDE = 8
LABELS = ["glioma", "glioma", "meningioma", "notumor", "pituitary", "glioma"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Six images in the test part, each flat and of its own gray; a mask of one pixel, (row, row), for the first
    four tumours; that of the pituitary one is black, the last glioma has none."""
    rows = []
    masks = []
    for row, label in enumerate(LABELS):
        name = ""
        if row in (0, 1, 2, 4):
            name = f"{row}.png"
            mask = np.zeros((SIDE, SIDE), bool)
            mask[row, row] = row != 4
            Image.fromarray(mask).save(tmp_path / name)
        masks.append(name)
        rows.append((f"{label}/{row}.jpg", label, "test", f"patient {row // 2}", "", f"{row}", f"{row}"))
    columns = ["path", "label", "part", "group", "site", "sha256", "twin"]
    split = Split(pd.DataFrame(rows, columns=columns), root=tmp_path, source="folder", synthetic=False)
    pixels = np.broadcast_to(10 * np.arange(6, dtype=np.uint8)[:, None, None, None], (6, SIDE, SIDE, 3))
    return Dataset(split, np.asarray(pixels), np.arange(6), tuple(masks))


def evaluation(dataset: Dataset, wrong: tuple[int, ...] = ()) -> Evaluation:
    predicted = [STANDARD.names.index(label) for label in LABELS]
    for row in wrong:
        predicted[row] = (predicted[row] + 1) % 4
    return Evaluation(dataset.split.table, np.eye(4)[predicted], STANDARD.names, "test")


def diagonal(images: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
    """Two kinds of map: one peaks in (row, row), read from the gray; one in the lower right corner."""
    rows = images[:, 0, 0, 0] // 10
    right = np.full((len(images), SIDE, SIDE), 0.1, np.float32)
    right[np.arange(len(images)), rows, rows] = 1
    corner = np.zeros_like(right)
    corner[:, -1, -1] = 1
    assert classes.tolist() == [STANDARD.names.index(LABELS[row]) for row in rows]
    return [corner, right]


def test_only_right_answers_with_a_lesion_count(dataset):
    found = known_lesions(dataset, "test", evaluation(dataset, wrong=(1,)))
    assert found is not None
    assert found.rows.tolist() == [0, 2]
    assert found.names.tolist() == ["glioma", "meningioma"]
    assert found.groups.tolist() == ["patient 0", "patient 1"]
    assert known_lesions(dataset, "test", evaluation(dataset, wrong=(0, 1, 2))) is None
    assert dataset.shows_lesion("test")  # which are answered wrongly


@pytest.mark.parametrize("paths", [("", "", "", "", "4.png", ""), ("",) * 6, None])  # 4.png is black
def test_black_masks_make_no_lesion_known(dataset: Dataset, paths: tuple[str, ...] | None) -> None:
    assert not replace(dataset, mask_paths=paths).shows_lesion("test")
    without = Dataset(dataset.split, dataset.pixels, dataset.pixel_rows, None)
    assert known_lesions(without, "test", evaluation(dataset)) is None


def test_why_no_lesion_is_known(dataset):
    nothing = replace(dataset, mask_paths=("",) * 6)
    assert why_none(nothing, "test", evaluation(dataset)) == "none of its 6 images has a mask"
    wrong = evaluation(dataset, wrong=(0, 1, 2, 4))
    assert why_none(dataset, "test", wrong) == "none of its 4 images with a mask is classified correctly"
    black = evaluation(dataset, wrong=(0, 1, 2))
    assert why_none(dataset, "test", black).startswith(
        "1 of its images with a mask are classified correctly, and these"
    )


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_a_survey_scores_every_kind_in_one_pass(dataset, batch, monkeypatch):
    monkeypatch.setattr("brain_tumor.evaluation.explanation.map_scores.BATCH", batch)
    lesions = known_lesions(dataset, "test", evaluation(dataset))
    assert lesions is not None
    assert len(lesions) == 3
    corner, right = survey(lesions, diagonal)
    assert corner.raw[:, 0].tolist() == [0, 0, 0]
    assert right.raw[:, 0].tolist() == [1, 1, 1]
    assert right.raw[:, 1] == pytest.approx(1 / (1 + 63 * 0.1))
    # The two gliomas peak in (0, 0) and (1, 1).
    assert sorted(right.class_maps) == ["glioma", "meningioma"]
    assert right.class_maps["glioma"][0, 0] == pytest.approx(0.55)
    assert right.class_maps["glioma"][5, 5] == pytest.approx(0.1)
    table = compare_kinds([("gradcam", "a"), ("layercam", "b")], [corner, right])
    assert table.index.tolist() == [1, 0]
    assert table[["method", "layer", "pointing"]].to_numpy().tolist() == [["layercam", "b", 1.0], ["gradcam", "a", 0.0]]
    assert table["iou"].tolist() == [1.0, 0.0]  # at the quantile 0.985 (of 64 pixels), one pixel is above


def test_energy_decides_between_kinds_that_point_alike():
    faint, strong = np.zeros((1, 2 + 17)), np.zeros((1, 2 + 17))
    faint[:, :2], strong[:, :2] = (1, 0.1), (1, 0.2)
    assert compare_kinds([("m", "a"), ("m", "b")], [Survey(faint, {}), Survey(strong, {})]).index.tolist() == [1, 0]


def test_baselines_stand_beside_the_model(dataset):
    lesions = known_lesions(dataset, "test", evaluation(dataset))
    assert lesions is not None
    found = survey(lesions, diagonal)[1]
    scores = score_lesions(lesions, found, fit_reference(lesions, found))
    assert list(scores) == [MODEL, CENTRE, CLASS_MEAN]
    assert scores[MODEL][:, 0].tolist() == [1, 1, 1]
    assert scores[CENTRE][:, 0].tolist() == [0, 0, 0]
    # The mean of the gliomas peaks in the first of two equals; there is one meningioma.
    assert scores[CLASS_MEAN][:, 0].tolist() == [1, 0, 1]
    assert scores[CENTRE][0, 1] < scores[CENTRE][2, 1]  # (2, 2) is nearer to the centre than (0, 0)
    table = summarise(scores, lesions.names, lesions.groups, resamples=100).set_index(["class", "map", "metric"])
    assert table.loc[("all", CLASS_MEAN, "pointing"), "value"] == pytest.approx(2 / 3)
    assert table.loc[("glioma", CLASS_MEAN, "pointing"), "value"] == 0.5


def test_without_validation_nothing_is_settled(dataset):
    lesions = known_lesions(dataset, "test", evaluation(dataset))
    assert lesions is not None
    scores = score_lesions(lesions, survey(lesions, diagonal)[1], None)
    assert list(scores) == [MODEL, CENTRE]
    assert all(np.isnan(each[:, 2]).all() and not np.isnan(each[:, :2]).any() for each in scores.values())


def test_a_class_that_validation_lacks_has_an_empty_mean_map(dataset):
    lesions = known_lesions(dataset, "test", evaluation(dataset))
    assert lesions is not None
    found = survey(lesions, diagonal)[1]
    gliomas = lesions.take(np.array([0, 1]))
    reference = fit_reference(gliomas, survey(gliomas, diagonal)[1])
    assert score_lesions(lesions, found, reference)[CLASS_MEAN][2].tolist() == [0, 0, 0]


def test_what_was_chosen_on_validation_is_used_elsewhere(dataset):
    lesions = known_lesions(dataset, "test", evaluation(dataset))
    assert lesions is not None
    raw = np.zeros((3, 2 + 17))
    raw[:, 2 + 3], raw[:, 2 + 5] = 0.4, 0.3
    other = np.zeros((3, 2 + 17))
    other[:, 2 + 3], other[:, 2 + 5] = 0.1, 0.9
    maps = {"glioma": np.ones((SIDE, SIDE), np.float32)}
    reference = fit_reference(lesions, Survey(raw, maps))
    assert reference.quantiles[MODEL] == 3
    scores = score_lesions(lesions, Survey(other, {}), reference)
    assert scores[MODEL][:, 2] == pytest.approx(0.1)


def test_the_lesion_map_is_scored_on_every_lesion_whatever_the_answer(tmp_path):
    """A map that is bright where its image is: cells of 2 pixels, of an image of 8."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    cells = keras.layers.AveragePooling2D(2)(inputs)
    lesion = keras.layers.Conv2D(1, 1, activation="sigmoid", name="lesion_map")
    model = keras.Model(inputs, lesion(cells))
    lesion.set_weights([np.full((1, 1, 3, 1), 1.0), np.array([-300.0])])  # from a gray of 100 on
    # Of 8 images the first 6 have a mask, of 4, 4, 8, 8, 16 and 16 pixels; the sixth is found nowhere.
    labels = ["glioma", "glioma", "glioma", "meningioma", "meningioma", "meningioma", "notumor", "notumor"]
    pixels = np.zeros((8, SIDE, SIDE, 3), np.uint8)
    masks = np.zeros((8, SIDE, SIDE), bool)
    for row, width in enumerate([2, 2, 4, 4, 8, 8]):
        masks[row, :2, :width] = True
        Image.fromarray(masks[row]).save(tmp_path / f"{row}.png")
        pixels[row][masks[row]] = 255
    pixels[1, :2, :4] = 255  # twice as much as the mask
    pixels[5], pixels[6, 4:6, 4:6] = 0, 255
    columns = ["path", "label", "part", "group", "site", "sha256", "twin"]
    rows = [(f"{row}.jpg", label, "test", f"{row}", "", f"{row}", f"{row}") for row, label in enumerate(labels)]
    split = Split(pd.DataFrame(rows, columns=columns), root=tmp_path, source="folder", synthetic=False)
    paths = tuple(f"{row}.png" if row < 6 else "" for row in range(8))
    scores = drawn(model, Dataset(split, pixels, np.arange(8), paths), "test")
    overlaps = scores["lesion_dice"].tolist()
    assert overlaps[2:5] == pytest.approx([1, 1, 1])
    assert (overlaps[1], overlaps[5]) == (pytest.approx(2 * 4 / (4 + 8)), 0)
    assert scores["lesion_found"].tolist()[:6] == [1, 1, 1, 1, 1, 0]
    assert scores["lesion_false"].tolist()[6:] == [1, 0]
    assert scores.notna().sum().to_dict() == {"lesion_dice": 6, "lesion_found": 6, "lesion_false": 2, "size": 6}
    table = tabulate(scores, split.table, resamples=100).set_index(["class", "size", "metric"])
    found = table.xs("lesion_found", level="metric")
    assert found["value"].to_dict() == {
        ("all", "all"): pytest.approx(5 / 6), ("all", "small"): 1, ("all", "medium"): 1, ("all", "large"): 0.5,
        ("glioma", "all"): 1, ("meningioma", "all"): pytest.approx(2 / 3),
    }  # fmt: skip
    assert found.loc[("all", "medium"), ["least", "most", "images"]].tolist() == [8 / 64, 8 / 64, 2]
    assert table.loc[("notumor", "none", "lesion_false"), ["images", "value"]].tolist() == [2, 0.5]
    bare = drawn(model, Dataset(split, pixels, np.arange(8), None), "test")  # what the healthy class says needs no mask
    assert tabulate(bare, split.table, resamples=100)["metric"].tolist() == ["lesion_false"]
