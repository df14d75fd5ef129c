import gc
import threading
import weakref
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib import _pylab_helpers
from PIL import Image

from brain_tumor.evaluation import figures

HISTORY = [
    {"phase": phase, "step": step, "train/accuracy": 0.5 + step / 20, "val/accuracy": 0.4 + step / 20}
    | {"train/loss": 1 / step, "val/loss": 2 / step, "learning_rate": rate, "val/roc_auc": 0.9}
    for phase, step, rate in [("head", 1, 1e-3), ("head", 2, 1e-3), ("all $x$", 3, 1e-4), ("all $x$", 4, 2e-6)]
]


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def title_of(figure) -> str:
    return figure.get_suptitle()


def test_curves_have_a_row_per_phase_and_mark_the_best_epoch():
    figure = figures.curves(HISTORY, best_step=3, title="effnet_lite0, SYNTHETIC phantom")
    assert title_of(figure) == "effnet_lite0, SYNTHETIC phantom"
    head_accuracy, head_loss, all_accuracy, all_loss = figure.axes
    assert head_accuracy.get_title(loc="left") == "head: accuracy"
    assert all_loss.get_title(loc="left") == "all $x$: loss"
    assert all_loss.get_title(loc="right") == "learning rate 0.0001 → 2e-06"
    lines = {line.get_label(): line.get_xydata().tolist() for line in head_loss.lines}
    assert lines == {"train": [[1, 1], [2, 0.5]], "val": [[1, 2], [2, 1]]}
    marked = {line.get_label(): line.get_xydata().tolist() for line in all_accuracy.lines}
    assert marked["best epoch 3: 0.550"] == [[3, 0.55]]
    assert not [line for line in head_accuracy.lines if "best" in str(line.get_label())]


def test_confusion_counts_and_shares(make_evaluation):
    labels = [0, 0, 0, 1, 2, 2]  # no pituitary
    evaluation = make_evaluation(labels, np.eye(4)[[0, 0, 1, 1, 2, 3]], title="test, official")
    figure = figures.confusion(evaluation)
    assert title_of(figure) == "Confusion: test, official (4 of 6 images right)"
    counts, shares = figure.axes
    assert texts(counts) == [*"2100", *"0100", *"0011", *"0000"]
    assert texts(shares)[:4] == ["66.7%", "33.3%", "0.0%", "0.0%"]
    assert texts(shares)[8:] == ["0.0%", "0.0%", "50.0%", "50.0%", *"––––"]
    assert [label.get_text() for label in counts.get_yticklabels()] == list(evaluation.classes)
    assert (counts.get_ylabel(), counts.get_xlabel()) == ("true", "predicted")


LONG = ("high-grade glioma of the left hemisphere", "low-grade glioma of the left hemisphere")


@pytest.mark.parametrize("count", [4, 6, 20])
def test_names_of_any_number_of_classes_lie_apart_in_the_figure_and_are_told_apart(count, make_evaluation):
    classes = (*LONG, *(f"class {index}" for index in range(count - 2)))
    evaluation = make_evaluation(np.arange(count), np.eye(count), classes=classes)
    for figure in (figures.confusion(evaluation), figures.roc(evaluation)):
        figure.canvas.draw()
        page = figure.bbox
        legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
        for texts_ in (
            figure.axes[0].texts,
            figure.axes[1].texts,
            figure.axes[0].get_yticklabels(),
            [text for legend in legends for text in legend.get_texts()],
        ):
            boxes = [text.get_window_extent() for text in texts_]
            assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 for box in boxes)
            assert all(box.y1 <= page.y1 for box in boxes)
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    names = [label.get_text() for label in figures.confusion(evaluation).axes[0].get_xticklabels()]
    assert len(set(names)) == count


def test_reliability_bars_are_the_accuracy_of_each_bin(make_evaluation):
    sure, unsure = [0.97, 0.01, 0.01, 0.01], [0.5, 0.3, 0.1, 0.1]
    evaluation = make_evaluation([0, 0, 0, 1, 0, 1], [sure, sure, sure, sure, unsure, unsure])
    figure = figures.reliability(evaluation)
    upper, lower = figure.axes
    heights = {round(bar.get_x(), 3): bar.get_height() for bar in upper.patches if bar.get_height()}
    assert heights == {round(14 / 15, 3): 0.75, round(7 / 15, 3): 0.5}
    assert [bar.get_height() for bar in lower.patches] == [0] * 7 + [2] + [0] * 6 + [4]
    # |0.75 - 0.97| weighs 4 of 6 images, |0.5 - 0.5| the others
    assert "error 0.147" in upper.get_title()
    assert "test, SYNTHETIC phantom" in title_of(figure)


def test_roc_legend_carries_the_areas(make_evaluation):
    probabilities = [[0.7, 0.2, 0.1, 0], [0.3, 0.3, 0.4, 0], [0.4, 0.5, 0.1, 0], [0.1, 0.1, 0.8, 0]]
    figure = figures.roc(make_evaluation([0, 0, 1, 2], probabilities))
    whole, corner = figure.axes
    legend = [text.get_text() for text in whole.get_legend().get_texts()]
    # glioma .7 .3 against .4 .1: three of four pairs in order
    assert legend[0] == "glioma: AUC 0.7500"
    assert legend[1:] == ["meningioma: AUC 1.0000", "notumor: AUC 1.0000", "pituitary: no curve"]
    assert whole.get_title() == "macro AUC 0.9167"
    assert corner.lines[0].get_xydata().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    colours = [line.get_color() for line in corner.lines]
    assert len(set(colours)) == 4
    assert "test, SYNTHETIC phantom" in title_of(figure)


def test_a_class_has_the_same_colour_in_every_figure(simulate):
    def colours(evaluation):
        lines = figures.roc(evaluation).axes[1].lines
        return [line.get_color() for line in lines]

    assert colours(simulate(50)) == colours(simulate(50, present=2))


@pytest.mark.parametrize("present", [1, 3])
def test_absent_classes_still_draw(simulate, tmp_path, present):
    evaluation = simulate(20, present=present)
    for draw in (figures.confusion, figures.reliability, figures.roc):
        figures.save(draw(evaluation), tmp_path / "figure.png")
        assert Image.open(tmp_path / "figure.png").width > 500


def test_save_replaces_or_leaves_alone(simulate, tmp_path):
    path = tmp_path / "a folder (1), é" / "figure.png"
    path.parent.mkdir()
    path.write_bytes(b"an older figure")
    figure = figures.confusion(simulate(20))
    figures.save(figure, path)
    first = path.read_bytes()
    assert Image.open(path).size == (11 * 120, round(4.9 * 120))

    def fail(*args, **kwargs):
        args[0].write_bytes(b"half")
        raise OSError("disk full")

    figure.savefig = fail
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, path)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == ["figure.png"]


def test_figures_leave_no_global_state(simulate):
    evaluation = simulate(20)
    dead = [weakref.ref(draw(evaluation)) for draw in (figures.confusion, figures.roc, figures.reliability)]
    gc.collect()
    assert [reference() for reference in dead] == [None] * 3
    assert not _pylab_helpers.Gcf.figs


def test_threads_draw_the_same_picture(simulate, tmp_path):
    evaluation = simulate(60)
    figures.save(figures.confusion(evaluation), tmp_path / "alone.png")

    def draw(name):
        figures.save(figures.confusion(evaluation), tmp_path / name)

    threads = [threading.Thread(target=draw, args=(f"{index}.png",)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = np.asarray(Image.open(tmp_path / "alone.png"))
    for index in range(3):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{index}.png")), alone)


def test_reliability_shows_the_calibration_and_what_was_before(make_evaluation):
    after, before = [[0.75, 0.25, 0, 0]] * 4, [[0.95, 0.05, 0, 0]] * 4
    evaluation = replace(make_evaluation([0, 0, 0, 1], after), uncalibrated=np.array(before))
    upper = figures.reliability(evaluation).axes[0]
    lines = {line.get_label(): line for line in upper.lines}
    assert lines["mean of a bin"].get_xydata().tolist() == [[0.75, 0.75]]
    assert lines["before calibration"].get_xydata() == pytest.approx(np.array([[0.95, 0.75]]))
    # errors 0 and 0.2; Brier 0.25**2 * 2 and 0.75**2 * 2 averaged 3 to 1, before 0.05**2 * 2 and 0.95**2 * 2
    assert "error 0.000, Brier score 0.375 (before calibration 0.200, 0.455)" in upper.get_title()


def test_risk_coverage_marks_the_threshold(make_evaluation):
    rows = [[0.9, 0.1, 0, 0], [0.8, 0.2, 0, 0], [0.6, 0.4, 0, 0], [0.5, 0.3, 0.2, 0]]
    (axes,) = figures.risk_coverage(make_evaluation([0, 0, 1, 0], rows), 0.6).axes
    curve, ideal, star = axes.lines
    assert curve.get_xydata() == pytest.approx(np.array([[0.25, 0], [0.5, 0], [0.75, 1 / 3], [1, 0.25]]))
    assert ideal.get_xydata().tolist() == [[0, 0], [0.75, 0], [1, 0.25]]
    assert star.get_xydata() == pytest.approx(np.array([[0.75, 1 / 3]]))
    assert len(figures.risk_coverage(make_evaluation([0, 0, 1, 0], rows), np.inf).axes[0].lines) == 2
