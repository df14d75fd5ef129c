"""Which maps the page has of a model."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pages import drawn, flat, spotted
from PIL import Image
from test_actions import FIRST, drop

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.explanation.gradcam import METHODS
from brain_tumor.evaluation.explanation.maps import mapper, upsample
from brain_tumor.evaluation.prediction import Answers
from brain_tumor.models.classifier import build_classifier
from brain_tumor.serving.predictor import keras_predictor, predict_slices
from brain_tumor.serving.review_page.actions import LET_GO, Page, look
from brain_tumor.serving.review_page.models import Shown, explainer, methods_of


def drawing(model: Shown) -> Shown:
    """The stand-in, with a lesion map."""
    return replace(model, predictor=replace(model.predictor, run=drawn), methods=("evidence", *METHODS))


def test_a_lesion_map_is_the_first_of_a_model_that_draws_one_and_comes_with_its_answer() -> None:
    settings = {"shape": (32, 32, 3), "weights": None, "dropout": 0, "seed": 0}
    model = build_classifier("cnn_baseline", head="evidence", **settings)
    assert methods_of(model) == ("evidence", *METHODS)
    assert methods_of(build_classifier("cnn_baseline", **settings)) == tuple(METHODS)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    explained = explainer(model, 2)
    first, second = (explained(pixels, 1, layer) for layer in ("block4_relu", "block3_relu"))
    assert tuple(first) == tuple(METHODS)
    assert not np.allclose(first["layercam"], second["layercam"], atol=1e-3)
    [answer] = predict_slices(keras_predictor(model, "models:/m/1", STANDARD, None), pixels[None])
    assert answer.lesion is not None
    drawn = mapper(model, [("evidence", "lesion_map")], 1)(pixels[None], np.array([1]))[0][0]
    np.testing.assert_allclose(upsample(answer.lesion.map[None], (32, 32))[0], drawn, atol=1e-6)


@pytest.mark.slow
def test_a_transformer_has_its_rollout_too_whatever_the_layer_and_the_class() -> None:
    model = build_classifier("cct_5", shape=(32, 32, 3), weights=None, dropout=0, seed=0)
    assert methods_of(model) == (*METHODS, "rollout")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = explainer(model, 2)(pixels, 1, "block3_norm1*block5_norm1")["rollout"]
    alone = mapper(model, [("rollout", "block5_norm1")], 2)(pixels[None], np.array([0]))[0][0]
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_beside_a_model_that_draws_a_lesion_map_another_says_that_it_draws_none(
    page: Page, model: Shown, other: Shown, png: Callable[[Image.Image], bytes]
) -> None:
    both = replace(page, models=(drawing(model), other))
    drop(both, ("a.png", png(flat(90))), layers=("deep", "deep"))
    _, panels = look(both, "session", replace(FIRST, method="evidence", layers=("deep", "deep")))
    first, second = panels.split("<section")[1:]
    assert "the lesion map that the answer is read from" in first
    assert "this model has no such map" not in first
    assert "this model has no such map" in second
    assert 'class="bt-map"' not in second


def test_what_a_lesion_map_marks_is_outlined_measured_and_painted_over_when_it_is_asked(
    page: Page, model: Shown, png: Callable[[Image.Image], bytes]
) -> None:
    one = replace(page, models=(drawing(model),))
    evidence = replace(FIRST, method="evidence")
    layercam = drop(one, ("a.png", png(spotted()))).panels
    _, panels = look(one, "session", evidence)
    assert "The map marks 18.8 % of the image." in panels  # 12 pixels of 64
    assert ("bt-outline" in panels, "bt-outline" in layercam, "bt-painted" in panels) == (True, False, False)
    kept = page.kept.get("session")
    assert kept is not None
    held = kept.size
    for choices in (evidence, FIRST):
        status, panels = look(one, "session", choices, without=True)
        said = "Without the marked region: notumor 90.0\u00a0% (before: glioma 55.9\u00a0%)."
        assert said in status
        assert said in panels
        address = re.search('bt-painted.*?data:image/png;base64,([^"]*)', panels)
        assert address is not None
        bare = np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1]))))
        assert bare.shape == (8, 8, 3)
        assert set(bare[..., 0].ravel()) == {10}  # what surrounds the spot
    assert "bt-painted" not in look(one, "session", evidence)[1]
    assert kept.size == held  # nothing painted is kept


def test_where_nothing_is_marked_nothing_is_painted_over_and_a_forgotten_file_is_not_shown_again(
    page: Page, model: Shown, other: Shown, png: Callable[[Image.Image], bytes]
) -> None:
    both, layers = replace(page, models=(drawing(model), other)), ("deep", "deep")
    evidence = replace(FIRST, method="evidence", layers=layers)
    drop(both, ("a.png", png(flat(90))), layers=layers)
    assert "The map marks nothing (its peak is 0.35, and 0.5 is needed)." in look(both, "session", evidence)[1]
    status, panels = look(both, "session", evidence, without=True)
    nothing = "The lesion map marks nothing here, so there is nothing to paint over."
    assert f"brain-tumor/3: {nothing}<" in status
    assert (panels.count(nothing), "bt-painted" in panels) == (1, False)

    def forget(images: np.ndarray) -> Answers:
        page.kept.forget("session")
        return drawn(images)

    drop(both, ("a.png", png(spotted())), layers=layers)
    forgetful = replace(drawing(model), predictor=replace(model.predictor, run=forget))
    status, panels = look(replace(both, models=(forgetful, other)), "session", evidence, without=True)
    assert (LET_GO in status, panels) == (True, "")
