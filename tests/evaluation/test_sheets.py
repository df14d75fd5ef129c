import numpy as np
import pytest

from brain_tumor.evaluation.drawing import save
from brain_tumor.evaluation.sheets import gradcam_sheet, mistakes, select_cases, select_mistakes, to_relabel


@pytest.fixture
def evaluation(make_evaluation):
    """Gliomas: right with .9 .8 .7 .6 .5, wrong (as meningioma) with .95 .55 .65; notumor: right with 1; no other."""
    right = [[p, 1 - p, 0, 0] for p in (0.9, 0.8, 0.7, 0.6, 0.5 + 1e-6)]
    wrong = [[1 - p, p, 0, 0] for p in (0.95, 0.55, 0.65)]
    paths = [f"Testing/a $p$ patient's {'long ' * 20}folder/{name}.png" for name in "abcdefghi"]
    return make_evaluation([0] * 8 + [2], [*right, *wrong, [0, 0, 1, 0]], paths=paths)


@pytest.fixture
def images(evaluation) -> np.ndarray:
    """Each image is flat, of its own gray."""
    grays = 10 * np.arange(1, len(evaluation.rows) + 1, dtype=np.uint8)
    return np.broadcast_to(grays[:, None, None, None], (len(grays), 40, 40, 3))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def shown(axes) -> float:
    return float(axes.images[0].get_array().max())


def test_mistakes_come_most_confident_first(evaluation, images):
    assert select_mistakes(evaluation).tolist() == [5, 7, 6]
    assert select_mistakes(evaluation, limit=1).tolist() == [5]
    figure = mistakes(evaluation, images)
    assert figure.get_suptitle() == "Most confident mistakes (3 of 3): test, SYNTHETIC phantom"
    assert [shown(axes) for axes in figure.axes] == [60, 80, 70]
    few = mistakes(evaluation, {5: images[5], 6: images[6], 7: images[7]})
    assert [shown(axes) for axes in few.axes] == [60, 80, 70]
    truth, said, path = texts(figure.axes[0])
    assert (truth, said) == ("true glioma", "predicted meningioma 95.0%")
    assert len(path) == 44
    assert path.startswith("…")
    assert path.endswith("long folder/f.png")


def test_equal_confidences_go_by_path(make_evaluation):
    tied = make_evaluation([0, 0, 0], [[0.1, 0.9, 0, 0]] * 3, paths=["c.png", "a.png", "b.png"])
    assert select_mistakes(tied).tolist() == [1, 2, 0]


def test_no_mistakes_is_said(make_evaluation, tmp_path):
    perfect = make_evaluation([0, 1], np.eye(4)[[0, 1]])
    figure = mistakes(perfect, np.zeros((2, 8, 8, 3), np.uint8))
    assert "None: all 2 images are classified correctly." in texts(figure)
    assert "test, SYNTHETIC phantom" in figure.get_suptitle()
    save(figure, tmp_path / "none.png")


def test_cases_are_the_usual_ones(evaluation):
    # Right gliomas have the median .7, and .6 and .8 are equally near: a path decides. Wrong ones have .65, then .55.
    assert select_cases(evaluation).tolist() == [1, 2, 7, 6, 8]


def test_cases_of_the_cases_are_the_same(evaluation):
    cases = select_cases(evaluation)
    assert select_cases(evaluation.take(cases)).tolist() == list(range(len(cases)))


def test_sheet_shows_each_case_three_times(evaluation, images, tmp_path):
    maps = np.zeros((9, 40, 40), np.float32)
    maps[7, 5:10, 30:35] = 1
    masks = np.zeros((9, 40, 40), bool)
    masks[7, 5:15, 25:35] = True
    figure = gradcam_sheet(evaluation, images, maps, masks, how="gradcam++ at top_activation")
    assert figure.get_suptitle() == "gradcam++ at top_activation: test, SYNTHETIC phantom"
    panels = figure.axes
    assert len(panels) == 5 * 3
    assert [shown(axes) for axes in panels[::3]] == [20, 30, 80, 70, 90]
    assert "right: predicted glioma 80.0%" in texts(panels[0])
    assert "true glioma" in texts(panels[0])
    assert "WRONG: predicted meningioma 65.0%" in texts(panels[6])
    assert "true notumor" in texts(panels[12])
    wrong_map = panels[7].images[0].get_array()
    assert np.array_equal(wrong_map, maps[7])
    assert len(panels[8].images) == 2  # the overlay
    assert [len(axes.collections) for axes in panels[6:9]] == [1, 1, 1]  # the mask's outline
    assert not any(axes.collections for axes in panels[:6])
    save(figure, tmp_path / "sheet.png")


def test_sheet_without_masks(evaluation, images):
    figure = gradcam_sheet(evaluation, images, np.ones((9, 40, 40), np.float32), how="gradcam at conv")
    assert not any(axes.collections for axes in figure.axes)
    assert not any("mask" in text for text in texts(figure))


def test_no_text_overlaps_another(evaluation, images):
    maps = np.ones((9, 40, 40), np.float32)
    for figure in (mistakes(evaluation, images), gradcam_sheet(evaluation, images, maps, how="m")):
        figure.draw_without_rendering()
        every = [text for axes in figure.axes for text in axes.texts] + figure.texts
        boxes = [text.get_window_extent() for text in every]
        pairs = [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
        assert [(every[i].get_text(), every[j].get_text()) for i, j in pairs] == []
        inside = figure.bbox.padded(0.5)
        assert all(inside.contains(*box.min) and inside.contains(*box.max) for box in boxes)


def test_mistakes_are_listed_to_be_relabelled_in_the_order_of_their_sheet(make_evaluation):
    said = [[0.6, 0.4, 0, 0], [0.9, 0.1, 0, 0], [0.8, 0.2, 0, 0]]
    evaluation = make_evaluation([1, 1, 0], said, paths=["sure.png", "surer.png", "right.png"])
    table = to_relabel(evaluation)
    assert list(table.columns) == ["path", "label", "prediction", "confidence", "new_label", "sha256"]
    assert table.to_numpy().tolist() == [
        ["surer.png", "meningioma", "glioma", 0.9, "", "0001"],
        ["sure.png", "meningioma", "glioma", 0.6, "", "0000"],
    ]
    assert to_relabel(evaluation.take([2])).empty
