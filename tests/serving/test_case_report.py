"""The report of one case: all that is said of it, on one page that runs nothing and needs nothing."""

import base64
import io
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from brain_tumor import NOTICE
from brain_tumor.data.classes import STANDARD
from brain_tumor.serving.case_report import Answerer, Case, Drawn, report
from brain_tumor.serving.files import Read
from brain_tumor.serving.overlays import Reports, overlay_drawer
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts

MADE = datetime(2026, 1, 2, 3, 4)
BY = Answerer("models:/m/3", "hospital <A>", False, None)
SAID = Prediction("glioma", {"glioma": 0.9, "notumor": 0.0999, "<b>": 0.0001}, {0.9: ("glioma",)}, False, False)


class Page(HTMLParser):
    """The tags of a page, its texts, and where its images come from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.images: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.images += [str(value) for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def drawn(index: int = 0, gray: int = 7) -> Drawn:
    over = Image.new("RGB", (4, 4), (200, 0, 0))
    return Drawn(index, Image.new("RGB", (4, 4), (gray,) * 3), over, "layercam at <b>")


def made(found: ScanPrediction, *pictures: Drawn, case: Case | None = None, by: Answerer = BY) -> Page:
    return Page(report(case or Case("a.png", "image", None, ()), found, pictures, by, MADE))


def test_a_picture_has_its_answer_its_map_its_model_and_the_notice() -> None:
    page = made(ScanPrediction((SAID,)), drawn())
    assert page.texts.count(NOTICE) == 2  # where it begins, and where it ends
    joined = " ".join(page.texts)
    for said in ("The picture: glioma.", "90.0\u00a0%", "10.0\u00a0%", "<\u00a00.1\u00a0%", "90 %", "models:/m/3"):
        assert said in joined
    assert "hospital <A>" in joined
    assert "2026-01-02 03:04" in joined
    assert "Map: layercam at <b>" in joined
    shown = [Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2]))) for each in page.images]
    assert [each.getpixel((0, 0)) for each in shown] == [(7, 7, 7), (200, 0, 0)]


def test_nothing_in_it_runs_or_comes_from_elsewhere() -> None:
    bad = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J'
    page = made(
        ScanPrediction((SAID,)),
        drawn(),
        case=Case(bad, "image", None, (bad,)),
        by=Answerer(bad, bad, True, None),
    )
    assert not {"script", "iframe", "link", "object", "form", "a"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on") or name == "href"]
    assert len(page.images) == 2
    assert all(each.startswith("data:image/png;base64,") for each in page.images)
    assert "\x1b" not in "".join(page.texts)
    assert any("SYNTHETIC: this model was trained on synthetic phantoms" in text for text in page.texts)


@pytest.mark.parametrize(
    ("not_sure", "not_brain", "said"),
    [(True, False, "Not sure; most probable: glioma."), (False, True, "Not a brain MRI.")],
)
def test_what_is_not_answered_is_said_first(not_sure: bool, not_brain: bool, said: str) -> None:
    asked = Prediction("glioma", SAID.probabilities, {}, not_sure, not_brain)
    assert f"The picture: {said}" in made(ScanPrediction((asked,)), drawn()).texts


def test_a_volume_says_what_its_slices_say_and_shows_some_of_them() -> None:
    bare = VolumeCounts(40, 30, False, {"glioma": 0.125, "notumor": 0.875, "<b>": 0.0}, (5,))
    volume = VolumeCounts(40, 32, False, {"glioma": 0.25, "notumor": 0.75, "<b>": 0.0}, (10, 20), bare)
    page = made(ScanPrediction((SAID,) * 40, volume), drawn(10), drawn(20))
    said = "32 of 40 slices pass as brain MRI, of which notumor 75.0\u00a0%, glioma 25.0\u00a0%"
    assert f"The volume of 40 slices: {said}." in page.texts
    assert "No answer for a whole volume has been fitted: each of its slices is answered by itself." in page.texts
    for text in ("share of slices", "75.0\u00a0%", "without what the map marks", "87.5\u00a0%"):
        assert text in page.texts
    assert "Slice 11 of 40" in page.texts  # people count from 1
    assert len(page.images) == 4


def test_a_volume_that_has_a_class_says_it_with_its_probability_and_sets() -> None:
    volume = VolumeCounts(40, 32, False, {"glioma": 0.25, "notumor": 0.75, "<b>": 0.0}, (), answer=SAID)
    page = made(ScanPrediction((SAID,) * 40, volume))
    said = "32 of 40 slices pass as brain MRI, of which notumor 75.0\u00a0%, glioma 25.0\u00a0%"
    assert f"The volume of 40 slices: glioma; {said}." in page.texts
    for text in ("probability", "90.0\u00a0%", "90 %", "share of slices", "75.0\u00a0%"):
        assert text in page.texts
    assert any(text.startswith("Pooled over the slices") for text in page.texts)
    assert not any("has been fitted" in text for text in page.texts)


def test_a_volume_without_a_brain_has_no_answer_and_one_slice_to_look_at() -> None:
    no_brain = Prediction("glioma", SAID.probabilities, {}, False, True)
    file = Read("a.nii", "nifti", None, np.full((5, 4, 4, 3), 9, np.uint8))
    found = ScanPrediction((no_brain,) * 5, VolumeCounts(5, 0, True, {}, ()))
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(4, 1, name="c"), keras.layers.Flatten()])
    model.add(keras.layers.Dense(4, name="logits"))
    [shown] = overlay_drawer(model, ("gradcam", "c"), 1, STANDARD)(file, found)
    assert (shown.index, shown.over) == (2, None)
    page = made(found, shown)
    mostly = "Mostly not a brain MRI: none of 5 slices passes as brain MRI"
    assert f"The volume of 5 slices: {mostly}." in page.texts
    assert "None of its slices passes as a brain MRI." in page.texts
    assert page.texts.count("90.0\u00a0%") == 1  # of the slice alone
    assert "Slice 3 of 5" in page.texts
    assert len(page.images) == 1


def test_each_file_has_its_report_whatever_it_is_called(tmp_path: Path) -> None:
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    reports = Reports(tmp_path / "reports", BY)
    for name in ("a.png", "sub/a.png", "n" * 255, "\udcff"):
        reports.write(Read(name, "image", None, pixels), ScanPrediction((SAID,)), [drawn()])
    there = list((tmp_path / "reports").rglob("*.html"))
    assert len(there) == 4
    assert (tmp_path / "reports" / "sub" / "a.png.html").is_file()
    assert all(path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>") for path in there)
