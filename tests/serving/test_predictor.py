"""What is said of slices and volumes, by a stand-in whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from fitted import UNCERTAINTY
from numpy.typing import NDArray

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.scan import Extent
from brain_tumor.evaluation.prediction import Answers
from brain_tumor.serving.lesions import lesion_of, painted
from brain_tumor.serving.predictor import Predictor, predict_scan, predict_scans, predict_slices, without_lesions

TUMOUR, NONE = STANDARD.names.index("glioma"), STANDARD.names.index("notumor")


def run(images: NDArray[np.uint8]) -> Answers:
    """The first pixel's red is the probability of glioma in percent, notumor has the rest; green is the distance."""
    glioma = images[:, 0, 0, 0].astype(np.float32) / 100
    probabilities = np.zeros((len(images), 4), np.float32)
    probabilities[:, TUMOUR], probabilities[:, NONE] = glioma, 1 - glioma
    return Answers(probabilities, np.log(probabilities + 1e-9), images[:, 0, 0, 1:2].astype(np.float32))


def slices(*percent: int, far: tuple[int, ...] = ()) -> NDArray[np.uint8]:
    images = np.zeros((len(percent), 4, 4, 3), np.uint8)
    images[:, 2:] = 128  # something to see
    images[:, 0, 0, 0] = percent
    images[list(far), 0, 0, 1] = 200
    return images


PLAIN, DECIDING = (Predictor("models:/m/1", run, 4, STANDARD, each) for each in (None, UNCERTAINTY))


def test_a_model_without_a_decision_says_a_class_and_probabilities() -> None:
    [first, second] = predict_slices(PLAIN, slices(90, 20))
    assert (first.label, second.label) == ("glioma", "notumor")
    assert first.probabilities == pytest.approx({"glioma": 0.9, "meningioma": 0, "notumor": 0.1, "pituitary": 0})
    assert (first.sets, first.not_sure, first.not_brain_mri) == ({}, None, None)


def test_a_decision_says_more() -> None:
    [sure, unsure, other] = predict_slices(DECIDING, slices(90, 60, 90, far=(2,)))
    assert (sure.not_sure, unsure.not_sure) == (False, True)
    assert (sure.not_brain_mri, other.not_brain_mri) == (False, True)
    assert unsure.sets == {0.9: ("glioma", "notumor")}  # 1 - p is at most 0.65 for both
    assert sure.sets == {0.9: ("glioma",)}


def test_no_slices_no_answers() -> None:
    assert predict_slices(PLAIN, slices()) == ()


def test_a_single_slice_is_no_volume() -> None:
    found = predict_scan(PLAIN, slices(70))
    assert found.volume is None
    assert found.overall is found.slices[0]


def test_a_volume_is_the_mean_of_the_slices_that_look_most_like_a_tumour() -> None:
    percent = [10] * 40
    percent[7:11] = [60, 90, 80, 70]
    found = predict_scan(PLAIN, slices(*percent))  # a tenth of 40 is 4
    assert found.decisive == (7, 8, 9, 10)
    assert found.volume is not None
    assert found.volume.label == "glioma"
    assert found.volume.probabilities["glioma"] == pytest.approx(0.75)
    assert found.volume.not_sure is None


def test_at_least_three_slices_speak_for_a_volume_and_only_those_of_a_brain() -> None:
    found = predict_scan(DECIDING, slices(99, 90, 60, 30, 0, far=(0,)))
    assert found.decisive == (1, 2, 3)
    assert found.overall.probabilities["glioma"] == pytest.approx(0.6)


def test_without_a_healthy_class_all_slices_of_a_brain_speak() -> None:
    found = predict_scan(replace(DECIDING, classes=replace(STANDARD, healthy=None)), slices(99, 90, 60, 30, far=(0,)))
    assert found.decisive == (1, 2, 3)
    assert found.overall.probabilities["glioma"] == pytest.approx((0.9 + 0.6 + 0.3) / 3)
    assert found.rule.startswith("a volume's probabilities are the mean over all of its slices that pass as brain MRI")


def test_a_volume_without_a_brain_has_no_answer_of_its_own() -> None:
    found = predict_scan(DECIDING, slices(99, 90, far=(0, 1)))
    assert found.volume is None
    assert found.overall.not_brain_mri


@pytest.mark.parametrize("predictor", [PLAIN, DECIDING])
def test_a_slice_that_shows_nothing_is_no_brain_and_does_not_speak_for_its_volume(predictor: Predictor) -> None:
    images = slices(99, 60, 50, 40)
    images[0, ...] = images[0, 0, 0]  # of one colour, which the model takes for a tumour
    found = predict_scan(predictor, images)
    assert found.slices[0].not_brain_mri
    assert found.decisive == (1, 2, 3)


def test_files_that_share_a_batch_are_answered_as_each_alone() -> None:
    files = [slices(10), slices(90, 80, 70), slices(20), slices(30, 40), slices(50)]
    for together in (1, 3, 100):
        parts = [files[start : start + together] for start in range(0, len(files), together)]
        found = [each for part in parts for each in predict_scans(DECIDING, part)]
        assert found == [predict_scan(DECIDING, each) for each in files]


def drawn(images: NDArray[np.uint8]) -> Answers:
    """Its map is the red of each pixel in percent, and so much of it is glioma as there is anywhere."""
    lesion_map = images[..., :1].astype(np.float32) / 100
    glioma = lesion_map.max(axis=(1, 2))
    probabilities = np.zeros((len(images), 4), np.float32)
    probabilities[:, [TUMOUR]], probabilities[:, [NONE]] = glioma, 1 - glioma
    return Answers(probabilities, probabilities, glioma, lesion_map)


DRAWING = Predictor("models:/m/1", drawn, 8, STANDARD, None)


def spotted(*percent: int) -> NDArray[np.uint8]:
    """Slices whose pixels 2 to 3 in the rows 3 to 4 have that much red, among 10."""
    images = np.full((len(percent), 8, 8, 3), 10, np.uint8)
    images[:, 3:5, 2:4, 0] = np.array(percent)[:, None, None]
    images[:, 7, :, 1:] = 200  # something to see
    return images


def test_what_a_map_marks_is_measured_in_the_picture_and_not_in_the_bars_beside_it() -> None:
    images = spotted(90, 50, 49)
    images[:, 0, 0, 0] = 100  # in the bar
    wide, known = Extent(16, 8), Extent(16, 8, 0.5)  # which fill rows 2 to 5 of 8
    found = predict_slices(DRAWING, images, (wide, known, known))
    first, second, third = (each.lesion for each in found if each.lesion)
    assert (first.area, first.area_mm2, first.peak) == (4 / 32, None, pytest.approx(0.9))
    assert (second.area, second.area_mm2) == (4 / 32, 4.0)  # of 8 mm by 4 mm
    assert (third.area, third.area_mm2, third.peak) == (0, 0, pytest.approx(0.49))
    assert str(first) == "12.5 % of the image"
    assert str(second) == "12.5 % of the image (4 mm²)"
    assert str(third) == "nothing (its peak is 0.49, and 0.5 is needed)"
    [square] = predict_slices(DRAWING, spotted(90))
    assert square.lesion is not None
    assert square.lesion.area == 4 / 64
    assert predict_slices(PLAIN, slices(90))[0].lesion is None


def test_the_paint_reaches_the_border_of_a_lesion_of_whose_cell_the_map_marks_the_core() -> None:
    pixels = np.full((1, 32, 32, 3), 60, np.uint8)
    pixels[:, 8:16, 8:16] = 200
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = 0.9  # that very cell, and enlarged it is 0.5 and more in its middle alone
    lesion = lesion_of(values, 32, Extent(32, 32))
    assert lesion.area < 64 / 32**2
    assert (painted(pixels, [lesion]) == 60).all()


def test_what_is_marked_is_painted_over_and_the_model_asked_again() -> None:
    scans = [spotted(90), spotted(30), spotted(30, 90, 80, 30, 30), spotted(40, 40)]
    found = list(without_lesions(DRAWING, scans, [predict_scan(DRAWING, each) for each in scans]))
    [one], [blank], several, _ = (each.slices for each in found)
    assert one.label == "glioma"
    assert one.without is not None
    # What surrounds the spot has a red of 10, and the paint continues it
    assert (one.without.label, one.without.probabilities["glioma"]) == ("notumor", pytest.approx(0.1, abs=0.01))
    assert blank.without is None
    assert [each.without is not None for each in several] == [False, True, True, False, False]
    volume, unmarked = found[2].overall, found[3].overall
    assert volume.probabilities["glioma"] == pytest.approx((0.9 + 0.8 + 0.3) / 3)
    assert volume.without is not None
    assert volume.without.probabilities["glioma"] == pytest.approx(0.3)  # of the three slices that were not painted
    assert unmarked.without is None
