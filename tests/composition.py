"""What conf/ composes to, and that Hydra need not read the same files again and again for it."""

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_repository import ConfigRepository
from omegaconf import DictConfig

from brain_tumor.config.validation import plain
from brain_tumor.entry import conf_dir

ROOT = Path(__file__).parents[1]


@contextmanager
def quick() -> Iterator[None]:
    """Meanwhile a file of this checkout or of a package is read and parsed once: a third of a composition's time."""
    read = ConfigRepository.load_config
    known: dict[tuple[str, ...], bytes] = {}

    def load(self: ConfigRepository, config_path: str) -> Any:
        key = (*(source.path for source in self.sources), config_path)
        if any(path.startswith("file://") and not path.startswith(f"file://{ROOT}/") for path in key[:-1]):
            return read(self, config_path)  # a test's own file, which it may rewrite
        if key not in known:
            known[key] = pickle.dumps(read(self, config_path))
        return pickle.loads(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load)
        yield


def composed(command: str, *overrides: str) -> DictConfig:
    """A command's configuration, the caller's own."""
    return copy.deepcopy(_composed(command, *overrides))


@cache
def _composed(command: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, list(overrides))


def task(*overrides: str) -> dict[str, Any]:
    """What `train` reads of its configuration: all but the sweep's own node."""
    values = plain(composed("train", *overrides))
    values.pop("sweep")
    return values
