"""Predictions without the lesion that they should rest on."""

from dataclasses import replace
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
from brain_tumor.evaluation.lesion_scores import lesion_intervals, opening
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.layout.blocks import Alert
from brain_tumor.training.trust import paint_lesions

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
    table = remove(Model(decide), lesions, NOTUMOR, resamples=100)[0]
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
    table, each = remove(Model(lambda image: GLIOMA), lesions, NOTUMOR, resamples=100)
    assert each["kept_mirrored"].isna().tolist() == [False, False, True, False]
    table = table.set_index(["class", "metric"])
    assert table.loc[("all", "kept"), "images"] == 4
    assert table.loc[("all", "kept_mirrored"), "images"] == 3
    middle = lesions.take(np.array([2]))
    assert "to_healthy" not in set(remove(Model(lambda image: GLIOMA), lesions, None)[0]["metric"])
    assert "kept_mirrored" not in set(remove(Model(lambda image: GLIOMA), middle, NOTUMOR)[0]["metric"])


def row(value, low=np.nan, high=np.nan):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("kept", "control", "alarming", "said"),
    [
        (row(0.97, 0.95, 0.99), None, True, "Most answers do NOT need the lesion: 97.0% of the right ones stay when"),
        (row(0.03, 0.01, 0.08), row(0.9), False, "Most answers rest on the lesion: 3.0% of the right ones stay when"),
        (row(0.6, 0.5, 0.7), None, False, "Some answers need the lesion, some do not: 60.0% of the right ones stay"),
        (row(0.4, 0.3, 0.5), None, False, "Some answers need the lesion, some do not: 40.0% of the right ones stay"),
        (row(0.97, 0.95, 0.99), row(0.2), True, "Most answers do NOT need the lesion: 97.0%"),
        (row(0.6), None, True, "Most answers do NOT need the lesion: 60.0% of"),  # a single group
        (row(0.03, 0.01, 0.08), row(0.2), False, "Whether answers need the lesion is open, for paint elsewhere"),
    ],
)
def test_what_stays_without_the_lesion_is_said_in_the_first_lines(kept, control, alarming, said):
    others = {} if control is None else {"kept_mirrored": control}
    [block] = opening({"kept_without_lesion": kept, **others})
    assert (isinstance(block, Alert), block.text.startswith(said)) == (alarming, True)
    assert opening(others) == []


def test_several_runs_of_the_same_images_have_the_mean_of_their_scores(make_evaluation):
    """Each over its own correctly classified lesions."""
    labels, groups = [0] * 4, ["p", "q", "r", "r"]
    first, second = (make_evaluation(labels, np.eye(4)[labels], groups=groups) for _ in range(2))
    first.rows["kept_without_lesion"], second.rows["kept_without_lesion"] = [1, 0, np.nan, np.nan], [1, 1, 1, 0]
    first.rows["lesion_false"] = [1, 1, 1, 1]  # of one alone
    [found] = lesion_intervals([first, second]).to_dict("records")
    assert found["metric"] == "kept_without_lesion"
    assert found["value"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert found["sd"] == pytest.approx(np.std([1 / 2, 3 / 4], ddof=1))
    # Of the 27 draws of three groups the first has a value in all but r, r, r. The lowest of them, q, r, r, which comes
    # three times, gives (0 + 3/5) / 2; the highest, p, p, p, gives 1.
    assert (found["low"], found["high"]) == (pytest.approx(0.3), 1)
    moved = replace(second, rows=second.rows.assign(path="elsewhere"))
    assert np.isnan(lesion_intervals([first, moved])["low"]).all()
    assert lesion_intervals([first]).set_index("metric")["value"].to_dict() == {
        "kept_without_lesion": 0.5,
        "lesion_false": 1,
    }


def test_trust_counts_a_known_lesion_only_where_the_answer_goes_with_it(lesions):
    table = lesions.dataset.split.table.assign(part="val", label=["glioma", "glioma", "glioma", "notumor"])
    split = Split(table, root=lesions.dataset.split.root, source="folder", synthetic=False)
    dataset = replace(lesions.dataset, split=split, mask_paths=("0.png", "1.png", "2.png", ""))
    painted = paint_lesions(dataset)
    images = dataset.images(np.arange(3))
    assert np.array_equal(painted.paint(images[1:], slice(1, 3)), paint_over(images, lesions.masks()[:3])[1:])
    assert (images == 250).any()  # as it was

    def trust(decide):
        said = [decide(image) for image in dataset.images(np.arange(4))]
        return painted.measure(Model(decide), Evaluation(table, 0.1 + 0.6 * np.eye(4)[said], STANDARD.names, "val"))

    assert trust(lambda image: GLIOMA if image.max() > 200 else NOTUMOR) == 0.75  # the last one is bright, too
    assert trust(lambda image: GLIOMA) == 0
    assert trust(lambda image: NOTUMOR) == 0.25
    assert dataset.shows_lesion("val")
    assert not replace(dataset, mask_paths=None).shows_lesion("val")
