"""Files are answered by each model, pictures are small while they are kept, and maps are made once."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pages import SIZE, flat
from PIL import Image

from brain_tumor.data.scans.scan import Limits, Scan
from brain_tumor.evaluation.explanation.gradcam import METHODS
from brain_tumor.layout.data_address import address
from brain_tumor.serving.review_page import opened as module
from brain_tumor.serving.review_page import pictures
from brain_tumor.serving.review_page import review as kept
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import SLICES, limits, opened
from brain_tumor.serving.review_page.review import Review

Png = Callable[[Image.Image], bytes]
ALLOWED = Limits(2**20, 50, 2**22)


def volume(*reds: int) -> Scan:
    return Scan("nifti", len(reds), "axial", lambda index: flat(reds[index]))


def test_each_model_answers_each_file_and_a_bad_file_alone_is_refused(model: Shown, other: Shown, png: Png) -> None:
    found = Review(opened([("a", png(flat(90))), ("b", b"no picture"), ("c", png(flat(10)))], (model, other), ALLOWED))
    labels = [[answer.slices[0].label for answer in file.answers] for file in found.files]
    assert labels == [["glioma", "notumor"], [], ["notumor", "glioma"]]
    assert found.files[1].refused is not None
    assert [file.refused for file in found.files[::2]] == [None, None]


def test_a_large_picture_is_kept_as_it_is_shown(model: Shown, png: Png) -> None:
    found = Review(opened([("a", png(flat(90, side=1500)))], (model,), ALLOWED))
    assert found.files[0].scan is not None
    assert found.size == 3 * pictures.SIDE**2 + 3 * SIZE**2
    assert found.files[0].scan.picture(0).size == (pictures.SIDE, pictures.SIDE)
    assert found.picture(0, 0, 8).size == (pictures.SIDE, pictures.SIDE)


def test_a_volume_begins_with_the_slice_that_is_surest_of_a_lesion(
    model: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_scan", lambda content, plane, limits: volume(0, 5, 90, 95, 85, 0, 3, 0))
    found = Review(opened([("v", b"nifti")], (model,), ALLOWED))
    assert (found.files[0].slices, found.files[0].first) == (8, 3)
    assert found.size == len(b"nifti") + 4 * 8 * 20 * 20  # decoded, however small the file was
    monkeypatch.setattr(module, "open_scan", lambda content, plane, limits: replace(volume(0, 5), held=7000))
    assert Review(opened([("v", b"nifti")], (model,), ALLOWED)).size == len(b"nifti") + 4 * 2 * 20 * 20 + 7000


def test_maps_of_all_methods_are_made_once(model: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_scan", lambda content, plane, limits: volume(0, 90, 0))
    found = Review(opened([("v", b"nifti")], (model,), ALLOWED))
    before = found.size
    first = found.map(0, 1, (model,), 0, "deep", "gradcam")
    assert found.size == before + len(METHODS) * first.nbytes
    assert first.sum() == 1
    assert found.map(0, 1, (model,), 0, "deep", "layercam").sum() == 4
    assert found.map(0, 1, (model,), 0, "deep", "gradcam") is first
    assert found.map(0, 1, (model,), 0, "blind", "gradcam").sum() == 0
    monkeypatch.setattr(kept, "KEPT_BYTES", 1)
    found.map(0, 2, (model,), 0, "deep", "gradcam")
    assert len(found._maps) == 1


def test_slices_are_bounded_by_the_models_size(model: Shown) -> None:
    assert limits((model,), 1000) == Limits(1000, SLICES, module.SAMPLES)
    large = replace(model, predictor=replace(model.predictor, size=600))
    assert limits((model, large), 1000).slices == 248


def test_a_map_is_as_opaque_as_it_is_high() -> None:
    layer = np.asarray(pictures.heat(np.array([[0.0, 0.5], [1.0, 0.0]], np.float32)))
    assert layer[..., 3].tolist() == [[0, 128], [255, 0]]
    assert address(Image.new("L", (2, 2))).startswith("data:image/png;base64,")
