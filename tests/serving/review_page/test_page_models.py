"""Which maps the page has of a model."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from pages import explain, flat
from PIL import Image
from test_actions import FIRST, drop

from brain_tumor.evaluation.explanation.gradcam import METHODS
from brain_tumor.models.classifier import build_classifier
from brain_tumor.serving.review_page.actions import Page, look
from brain_tumor.serving.review_page.models import Shown, explainer, methods_of


def test_a_lesion_map_is_the_first_of_a_model_that_draws_one_and_the_same_at_every_layer() -> None:
    settings = {"image_size": 32, "weights": None, "dropout": 0, "seed": 0}
    model = build_classifier("cnn_baseline", head="evidence", **settings)
    assert methods_of(model) == ("evidence", *METHODS)
    assert methods_of(build_classifier("cnn_baseline", **settings)) == tuple(METHODS)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    explained = explainer(model, 2)
    first, second = (explained(pixels, 1, layer) for layer in ("block4_relu", "block3_relu"))
    assert tuple(first) == methods_of(model)
    np.testing.assert_allclose(first["evidence"], second["evidence"], atol=1e-6)
    assert not np.allclose(first["layercam"], second["layercam"], atol=1e-3)


def test_beside_a_model_that_draws_a_lesion_map_another_says_that_it_draws_none(
    page: Page, model: Shown, other: Shown, png: Callable[[Image.Image], bytes]
) -> None:
    def drawn(pixels: np.ndarray, label: int, layer: str) -> dict[str, np.ndarray]:
        return {**explain(pixels, label, layer), "evidence": np.full(pixels.shape[:2], 0.5, np.float32)}

    both = replace(page, models=(replace(model, methods=("evidence", *METHODS), explain=drawn), other))
    drop(both, ("a.png", png(flat(90))), layers=("deep", "deep"))
    _, panels = look(both, "session", replace(FIRST, method="evidence", layers=("deep", "deep")))
    first, second = panels.split("<section")[1:]
    assert "the lesion map that the answer is read from" in first
    assert "this model draws no lesion map" not in first
    assert "this model draws no lesion map" in second
    assert 'class="bt-map"' not in second
