"""A few images to train on, a network to train, and what has been trained already."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fits import Whole
from PIL import Image
from toy import draw
from trials import FILTERS

from brain_tumor.data.classes import STANDARD


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("images")
    for part, count in (("train", 10), ("val", 4), ("test", 1)):
        for label, name in enumerate(STANDARD.names):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(draw(label, rng)).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def two_blocks() -> Iterator[None]:
    """Let `cnn_baseline` have two of its blocks: to trace it takes most of the time of a training of seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brain_tumor.models.cnn._FILTERS", FILTERS)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))
