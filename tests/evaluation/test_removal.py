"""Predictions without the lesion that they should rest on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation.explanation.map_scores import Lesions, known_lesions
from brain_tumor.evaluation.explanation.removal import paint_over, remove, widened
from brain_tumor.evaluation.metrics import Evaluation

SIDE = 50
GLIOMA, NOTUMOR = STANDARD.names.index("glioma"), STANDARD.names.index("notumor")
PLACES = [(5, 5), (30, 8), (20, 22), (10, 40)]  # of squares of 4 pixels; the third is in the middle


@pytest.fixture
def lesions(tmp_path: Path) -> Lesions:
    """Gliomas: a bright square on gray, which is the mask."""
    pixels = np.full((4, SIDE, SIDE, 3), 60, np.uint8)
    rows = []
    for row, (y, x) in enumerate(PLACES):
        pixels[row, y : y + 4, x : x + 4] = 250
        Image.fromarray(pixels[row, ..., 0] > 100).save(tmp_path / f"{row}.png")
        rows.append((f"{row}.jpg", "glioma", "test", f"{row}", "", f"{row}", f"{row}"))
    columns = ["path", "label", "part", "group", "site", "sha256", "twin"]
    split = Split(pd.DataFrame(rows, columns=columns), root=tmp_path, source="folder", synthetic=False)
    dataset = Dataset(split, pixels, np.arange(4), tuple(f"{row}.png" for row in range(4)))
    found = known_lesions(dataset, "test", Evaluation(split.table, np.eye(4)[[GLIOMA] * 4], STANDARD.names, "test"))
    assert found is not None
    return found


class Model:
    """Says what `decide` says of each image: the class that gets 0.7."""

    def __init__(self, decide):
        self.decide = decide

    def predict_on_batch(self, images):
        return 0.1 + 0.6 * np.eye(4)[[self.decide(image) for image in images]]


def table_of(lesions, decide):
    table = remove(Model(decide), lesions, NOTUMOR, resamples=100)
    return table.set_index(["class", "metric"])["value"]


def test_a_lesion_is_continued_by_what_is_around_it(lesions):
    images = lesions.dataset.images(lesions.rows)
    assert (images == 250).any()
    assert (paint_over(images, lesions.masks()) == 60).all()
    untouched = paint_over(images, lesions.masks()[:, :, ::-1])
    assert np.array_equal(untouched[0], images[0])


def test_the_margin_is_a_share_of_the_side(lesions):
    rows, columns = np.nonzero(widened(lesions.masks())[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 9, 4, 9)  # 5..8, and 1 pixel: 0.02 of 50


def test_a_model_that_looks_at_the_lesion_changes_its_mind(lesions):
    found = table_of(lesions, lambda image: GLIOMA if image.max() > 200 else NOTUMOR)
    assert found["all", "kept"] == 0
    assert found["all", "to_healthy"] == 1
    assert found["all", "probability"] == pytest.approx(0.7)
    assert found["all", "probability_removed"] == pytest.approx(0.1)
    assert found["all", "kept_mirrored"] == 1
    assert found["glioma", "kept"] == 0


def test_a_model_that_looks_elsewhere_does_not(lesions):
    found = table_of(lesions, lambda image: GLIOMA)
    assert (found["all", "kept"], found["all", "to_healthy"], found["all", "kept_mirrored"]) == (1, 0, 1)
    assert found["all", "probability_removed"] == pytest.approx(0.7)


def test_a_mirror_image_that_touches_its_lesion_is_no_control(lesions):
    table = remove(Model(lambda image: GLIOMA), lesions, NOTUMOR, resamples=100).set_index(["class", "metric"])
    assert table.loc[("all", "kept"), "images"] == 4
    assert table.loc[("all", "kept_mirrored"), "images"] == 3
    middle = lesions.take(np.array([2]))
    assert "to_healthy" not in set(remove(Model(lambda image: GLIOMA), lesions, None)["metric"])
    assert "kept_mirrored" not in set(remove(Model(lambda image: GLIOMA), middle, NOTUMOR)["metric"])
