"""What is said of slices and volumes, by a stand-in whose answers are known."""

import numpy as np
import pytest
from fitted import POOLED, UNCERTAINTY
from numpy.typing import NDArray

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.scan import Extent
from brain_tumor.evaluation.prediction import Answers
from brain_tumor.serving.lesions import lesion_of, painted
from brain_tumor.serving.predictor import (
    NO_BRAIN,
    UNFITTED,
    Predictor,
    for_plane,
    predict_scan,
    predict_scans,
    predict_slices,
    without_lesions,
)

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


PLAIN, DECIDING, POOLING = (Predictor("models:/m/1", run, 4, STANDARD, each) for each in (None, UNCERTAINTY, POOLED))


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
    assert predict_scan(PLAIN, slices(70)).volume is None


def test_a_volume_has_no_class_and_counts_what_its_slices_say() -> None:
    """Of those that pass as brain MRI; to look at is the surest slice of each class, the healthy one last."""
    found = predict_scan(DECIDING, slices(99, 10, 60, 90, 30, 5, 80, far=(0, 6))).volume
    assert found is not None
    assert (found.slices, found.brains, found.not_brain_mri) == (7, 5, False)
    assert found.shares == pytest.approx({"glioma": 0.4, "meningioma": 0, "notumor": 0.6, "pituitary": 0})
    assert found.shown == (3, 5)


def test_a_volume_has_a_class_where_that_was_fitted_by_the_slices_that_pass() -> None:
    """Their mean is 0.75 and 0.25, whose odds, 3 and 1/3, are 0.9 and 0.1 of their sum."""
    found = predict_scan(POOLING, slices(90, 60, 10, far=(2,))).volume
    assert found is not None
    assert found.answer is not None
    assert found.answer.label == "glioma"
    assert found.answer.probabilities == pytest.approx(
        {"glioma": 0.9, "meningioma": 0, "notumor": 0.1, "pituitary": 0}, abs=1e-5
    )
    assert (found.answer.sets, found.answer.not_sure) == ({0.9: ("glioma",)}, False)
    assert (found.answer.not_brain_mri, found.silence) == (False, "")
    assert found.shares == {"glioma": 1, "meningioma": 0, "notumor": 0, "pituitary": 0}


def test_most_slices_that_do_not_pass_are_said_of_a_volume_and_none_that_passes_has_no_answer() -> None:
    few = predict_scan(POOLING, slices(90, 90, 90, far=(0, 1))).volume
    none = predict_scan(POOLING, slices(90, 90, far=(0, 1))).volume
    assert few is not None
    assert few.answer is not None
    assert (few.not_brain_mri, few.answer.not_brain_mri) == (True, True)
    assert none is not None
    assert (none.answer, none.silence) == (None, NO_BRAIN)


def test_a_plane_that_is_asked_for_is_not_what_pooling_was_fitted_to() -> None:
    own, other = (predict_scan(for_plane(POOLING, plane), slices(90, 60)).volume for plane in ("auto", "coronal"))
    assert own is not None
    assert own.answer is not None
    assert other is not None
    assert (other.answer, other.silence) == (None, UNFITTED)


def test_a_longer_volume_of_healthy_slices_does_not_look_more_like_a_tumour() -> None:
    """By the tenth of the slices that look least like notumor, as was the rule, the longer would be a tumour."""
    rng = np.random.default_rng(0)
    short, long = (np.clip(rng.exponential(15, count), 5, 99).astype(int).tolist() for count in (25, 1000))
    shares = [predict_scan(PLAIN, slices(*each)).volume.shares["notumor"] for each in (short, long)]  # type: ignore[union-attr]
    assert shares == pytest.approx([1 - np.exp(-50 / 15)] * 2, abs=0.05)


@pytest.mark.parametrize(
    ("predictor", "brains", "said"), [(DECIDING, 2, False), (DECIDING, 1, True), (DECIDING, 0, True), (PLAIN, 4, None)]
)
def test_a_volume_of_which_most_slices_are_no_brain_says_so(predictor: Predictor, brains: int, said: bool) -> None:
    found = predict_scan(predictor, slices(99, 90, 80, 70, far=tuple(range(brains, 4)))).volume
    assert found is not None
    assert (found.brains, found.not_brain_mri) == (brains, said)
    assert (found.shares == {}) == (found.shown == ()) == (brains == 0)


@pytest.mark.parametrize("predictor", [PLAIN, DECIDING])
def test_a_slice_that_shows_nothing_is_no_brain_and_is_not_counted(predictor: Predictor) -> None:
    images = slices(99, 60, 50, 40)
    images[0, ...] = images[0, 0, 0]  # of one colour, which the model takes for a tumour
    found = predict_scan(predictor, images)
    assert found.slices[0].not_brain_mri
    assert found.volume is not None
    assert found.volume.brains == 3


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
    volume, unmarked = found[2].volume, found[3].volume
    assert volume is not None
    assert unmarked is not None
    assert (volume.shares["glioma"], volume.shown) == (0.4, (1, 0))  # the first is the most marked one
    assert volume.without is not None
    assert volume.without.shares == {"glioma": 0, "meningioma": 0, "notumor": 1, "pituitary": 0}
    assert unmarked.without is None
