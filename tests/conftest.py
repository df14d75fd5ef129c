"""Small generated images that a network can tell apart, and the commands as a user types them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import draw, environment

from brain_tumor import CLASSES

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture
def bars(tmp_path: Path) -> Callable[..., Path]:
    """Make `folder/{Training,Testing}/class/*.png`, whose classes a small network learns in two epochs."""

    def make(name: str = "bars", train: int = 24, test: int = 6, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        root = tmp_path / name
        for part, count in (("Training", train), ("Testing", test)):
            for label, class_name in enumerate(CLASSES):
                folder = root / part / class_name
                folder.mkdir(parents=True)
                for index in range(count):
                    Image.fromarray(draw(label, rng)).save(folder / f"{index}.png")
        return root

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m brain_tumor.NAME …` in a folder of its own, as a user would, and return what it printed."""

    def call(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        place = cwd or tmp_path / "work"
        place.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", f"brain_tumor.{name}", *arguments]
        return subprocess.run(
            command, cwd=place, env=environment(tmp_path), capture_output=True, text=True, timeout=600
        )

    return call
