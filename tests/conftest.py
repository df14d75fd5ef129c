"""Small generated images that a network can tell apart, and the commands as a user types them."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from toy import call, draw_folders

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture
def bars(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of images in this test's own, see `draw_folders`."""

    def make(name: str = "bars", train: int = 24, test: int = 6, seed: int = 0) -> Path:
        return draw_folders(tmp_path / name, train, test, seed)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a command in this test's own folder, see `call`."""
    return partial(call, tmp_path)
