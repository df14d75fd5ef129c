"""A few images to train on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import draw

from brain_tumor import CLASSES


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("images")
    for part, count in (("train", 10), ("val", 4), ("test", 1)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(draw(label, rng)).save(folder / f"{index}.png")
    return root
