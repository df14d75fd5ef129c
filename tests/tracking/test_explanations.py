"""What a run says of its maps, and what it does where validation has nothing to choose by."""

import logging

import pytest

from brain_tumor.config.train import ExplainConfig
from brain_tumor.models.classifier import build_classifier
from brain_tumor.tracking.explanations import _pointing, _validated


def row(value: float, low: float = float("nan"), high: float = float("nan")) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def test_scores_stand_beside_their_baselines() -> None:
    scores = {
        ("model", "pointing"): row(0.715, 0.629, 0.803),
        ("model", "energy"): row(0.1194),
        ("model", "iou"): row(0.344),
        ("centre", "pointing"): row(0.165),
        ("centre", "energy"): row(0.036),
        ("centre", "iou"): row(0.115),
        ("class_mean", "pointing"): row(0.166),
        ("class_mean", "energy"): row(0.041),
        ("class_mean", "iou"): row(0.098),
    }
    found = _pointing(scores, 884, "layercam")
    assert found.verdict == ""  # the score itself stands among the others
    assert found.detail == (
        "The maps peak in the lesion in 71.5% [62.9%, 80.3%] of 884 correctly classified lesions (image centre: "
        "16.5%, the class's mean map: 16.6%); energy 0.119 (0.036, 0.041); iou 0.344 (0.115, 0.098). Maps: layercam."
    )


def test_without_validation_what_it_settles_is_left_out() -> None:
    scores = {(kind, score): row(0.5) for kind in ("model", "centre") for score in ("pointing", "energy")}
    scores |= {(kind, "iou"): row(float("nan")) for kind in ("model", "centre")}
    assert _pointing(scores, 2, "layercam").detail == (
        "The maps peak in the lesion in 50.0% of 2 correctly classified lesions (image centre: 50.0%); "
        "energy 0.500 (0.500). Maps: layercam."
    )


@pytest.mark.parametrize(("low", "said"), [(0.166, ""), (0.164, "no better than the image's centre does (16.5%)")])
def test_maps_that_point_no_better_than_the_centre_are_said_to(low: float, said: str) -> None:
    scores = {("model", name): row(0.3, low, 0.5) for name in ("pointing", "energy", "iou")}
    scores |= {("centre", name): row(0.165) for name in ("pointing", "energy", "iou")}
    verdict = _pointing(scores, 9, "layercam").verdict
    assert (said in verdict, bool(verdict)) == (True, bool(said))


@pytest.mark.parametrize(("method", "layer", "warned"), [("auto", "auto", True), ("gradcam", "block4_relu", False)])
def test_with_nothing_to_choose_by_the_default_is_taken_and_said(
    method: str, layer: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    config = ExplainConfig(method, layer, views=3)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        explainer, reference, survey = _validated(model, "cnn_baseline", config, None, {})
    assert (reference, survey) == (None, None)
    expected = ("layercam", "block3_relu*block4_relu") if warned else (method, layer)
    assert (explainer.method, explainer.layer, explainer.views) == (*expected, 3)
    assert ("has a mask to choose by: layercam at block3_relu*block4_relu" in caplog.text) == warned
