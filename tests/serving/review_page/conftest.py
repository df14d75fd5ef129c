"""A model whose answers are known, and a page on it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fitted import UNCERTAINTY
from numpy.typing import NDArray
from pages import SIZE, WHOLE, explain, explain_whole, flat, run, run_whole, weighed
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.scan import Limits
from brain_tumor.evaluation.prediction import Answers
from brain_tumor.serving.predictor import Predictor
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.examples import Example
from brain_tumor.serving.review_page.models import Shown, Volumes
from brain_tumor.serving.review_page.review_store import Kept
from brain_tumor.serving.review_page.uploads import Uploads, uploads


@pytest.fixture
def model() -> Shown:
    predictor = Predictor("models:/brain-tumor/3", run, SIZE, STANDARD, UNCERTAINTY)
    return Shown(predictor, explain, ("deep", "blind"), True, "# A card")


@pytest.fixture
def other(model: Shown) -> Shown:
    """A second model, which says of everything what the first says of its negative, and has no decision."""

    def turned(images: NDArray[np.uint8]) -> Answers:
        return run(np.asarray(100 - np.minimum(images, 100), np.uint8))

    predictor = Predictor("models:/brain-tumor/4", turned, SIZE, STANDARD, None)
    return replace(model, predictor=predictor, synthetic=False)


@pytest.fixture
def whole(model: Shown) -> Shown:
    """A model of whole volumes, which weighs their slices."""
    predictor = Predictor("models:/volumes/1", run_whole, WHOLE[0], STANDARD, UNCERTAINTY)
    return replace(model, predictor=predictor, explain=explain_whole, takes=Volumes(WHOLE, None, weighed))


@pytest.fixture
def folder() -> Iterator[Uploads]:
    with uploads() as found:
        yield found


@pytest.fixture
def page(model: Shown, folder: Uploads, png: Callable[..., bytes]) -> Page:
    example = Example("SYNTHETIC glioma", "SYNTHETIC glioma.png", png(flat(90)))
    return Page((model,), (example,), folder, Kept(), Limits(2**20, 50, 2**22), 3)


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., bytes]:
    """The content of a picture's PNG file."""

    def make(picture: Image.Image) -> bytes:
        picture.save(tmp_path / "picture.png")
        return (tmp_path / "picture.png").read_bytes()

    return make
