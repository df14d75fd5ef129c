"""A study's pictures are there as soon as they can be, and leave nothing behind."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from PIL import Image
from studies import RATE, UNFREEZE, empty, many, mixed, trial

from brain_tumor.layout.blocks import Code
from brain_tumor.sweep import figures
from brain_tumor.sweep.importances import Importances, Share
from brain_tumor.sweep.own_figures import BestAgainstCost

ONE = ["best.png", "importances.png", "slice.png", "parallel.png", "timeline.png", "study.html"]

MATTERED = Importances(40, {RATE: Share(0.8, 0.6, 0.9), UNFREEZE: Share(0.0, -0.1, 0.02)})
ONE_METRIC = {"val/macro_f1": MATTERED}
BOTH = {**ONE_METRIC, "cost/inference_ms": MATTERED}


def test_every_figure_of_one_objective(tmp_path: Path) -> None:
    assert figures.write_figures(many(), tmp_path, mattered=ONE_METRIC) == ONE
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(ONE)
    for name in ONE[:-1]:
        pixels = np.asarray(Image.open(tmp_path / name).convert("L"))
        assert min(pixels.shape) >= 300
        assert pixels.std() > 5  # something is drawn


def test_the_page_stands_alone(tmp_path: Path) -> None:
    study = many()
    study.set_user_attr("metrics", ["val/<f1>"])
    figures.write_figures(study, tmp_path, [Code("type <this>")], {"val/<f1>": MATTERED})
    text = (tmp_path / figures.PAGE).read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert len(re.findall(r"plotly\.js v\d", text)) == 1
    assert re.findall(r"<h2>(.*?)</h2>", text) == [
        *("Best so far", "What mattered", "Slices", "Parallel coordinates", "Timeline")
    ]
    assert "<h1>Study demo</h1>" in text
    assert text.index("<pre>type &lt;this&gt;</pre>") < text.index("<h2>")
    assert "maximize val/&lt;f1&gt; on the validation part. " in text
    assert "Research software, not a medical device" in text


def test_every_figure_of_two_objectives(tmp_path: Path) -> None:
    names = figures.write_figures(
        many(directions=("maximize", "minimize")),
        tmp_path,
        mattered=BOTH,
    )
    assert names == [
        "pareto_front.png",
        *(f"{kind}_val_macro_f1.png" for kind in ("best", "importances", "slice")),
        *(f"{kind}_cost_inference_ms.png" for kind in ("best", "importances", "slice")),
        *ONE[-3:],
    ]


def test_what_cannot_be_drawn_yet_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.write_figures(empty(), tmp_path) == []
    waiting = empty()
    waiting.add_trial(trial(0, TrialState.WAITING, params={}))
    assert figures.write_figures(waiting, tmp_path) == []
    failed = empty()
    failed.add_trials([trial(0, TrialState.FAIL, reason="r"), trial(1, TrialState.PRUNED, [0.1], reason="r")])
    assert figures.write_figures(failed, tmp_path) == ["timeline.png", "study.html"]
    one = empty()
    one.add_trial(trial(0, values=[0.5]))
    assert figures.write_figures(one, tmp_path) == ["best.png", "timeline.png", "study.html"]
    assert figures.write_figures(mixed(), tmp_path) == [name for name in ONE if name != "importances.png"]
    assert capsys.readouterr().err == ""


def test_a_value_that_is_not_finite_spoils_no_figure(tmp_path: Path) -> None:
    study = many(12)
    study.add_trial(trial(12, values=[float("inf")]))
    assert figures.write_figures(study, tmp_path, mattered=ONE_METRIC) == ONE


def test_a_wide_space_is_sliced_in_several_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "COLUMNS", 2)
    names = figures.write_figures(many(), tmp_path, mattered=ONE_METRIC)
    assert [name for name in names if name.startswith("slice")] == ["slice_1.png", "slice_2.png"]


def test_a_figure_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import optuna.visualization.matplotlib

    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(optuna.visualization.matplotlib, "plot_slice", broken)
    assert figures.write_figures(many(), tmp_path, mattered=ONE_METRIC) == [name for name in ONE if name != "slice.png"]
    assert capsys.readouterr().err == "could not draw slice of study demo: RuntimeError: no font\n"


def test_drawing_leaves_no_figure_no_style_and_no_warning(tmp_path: Path) -> None:
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.write_figures(many(), tmp_path, mattered=ONE_METRIC)
    assert pyplot.get_fignums() == []
    assert {key for key, value in matplotlib.rcParams.items() if before[key] != value} <= {
        "backend",
        "backend_fallback",
    }


def test_the_best_value_is_drawn_over_what_all_trials_have_cost() -> None:
    study = empty()
    study.add_trials(
        [
            trial(1, values=[0.5], seconds=120.0),
            trial(0, values=[0.4], seconds=60.0),  # has ended first
            trial(2, TrialState.PRUNED, [0.3], seconds=30.0),
            trial(3, TrialState.FAIL, seconds=90.0, lost=True),
            trial(4, values=[0.45], seconds=60.0),
        ]
    )
    found = BestAgainstCost.of(study, 0, "val/macro_f1")
    assert found.unit == "minutes of training, all trials"
    assert found.complete == [(1, 0.4), (3, 0.5), (6, 0.45)]
    assert found.pruned == [(3.5, 0.3)]
    assert found.best == [(1, 0.4), (3, 0.5), (6, 0.5), (6, 0.5)]
    lower = empty(directions=("minimize",))
    lower.add_trials([trial(0, values=[0.4], seconds=7200.0), trial(1, values=[0.5], seconds=7200.0)])
    drawn = BestAgainstCost.of(lower, 0, "val/loss")
    assert (drawn.unit, drawn.best[:2]) == ("hours of training, all trials", [(2, 0.4), (4, 0.4)])
