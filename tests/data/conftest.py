"""Small folders of generated images, and the configuration that reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.config.train import DataConfig, OnCorrupt, Source
from brain_tumor.data.classes import STANDARD


@pytest.fixture
def make_folders() -> Callable[..., Path]:
    """Fill `root/part/class/` with `count` images, no two alike; parts=("",) makes plain class folders."""

    def make(
        root: Path,
        parts: tuple[str, ...] = ("Training", "Testing"),
        count: int = 6,
        names: Any = STANDARD.names,
        seed: int = 0,
    ) -> Path:
        rng = np.random.default_rng(seed)
        for part in parts:
            for name in names:
                folder = root / part / name
                folder.mkdir(parents=True)
                for index in range(count):
                    Image.fromarray(rng.integers(0, 256, (24, 20, 3), np.uint8)).save(folder / f"{index}.png")
        return root

    return make


@pytest.fixture
def data_config(tmp_path: Path) -> Callable[..., DataConfig]:
    """A DataConfig that reads the folder `root` and keeps its cache in the test's own folder."""

    def make(root: Path | str | list[str] | None, **changes: Any) -> DataConfig:
        fields = {
            "source": Source.folder,
            "root": str(root) if isinstance(root, Path) else root,
            "image_size": None,
            "val_fraction": 0.25,
            "test_fraction": 0.25,
            "split_seed": 0,
            "on_corrupt": OnCorrupt.error,
            "workers": 2,
            "cache": str(tmp_path / "cache"),
        }
        return DataConfig(**(fields | changes))

    return make
