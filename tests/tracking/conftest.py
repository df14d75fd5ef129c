"""A store for the tests of a module, in which each has an experiment of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.tracking.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture
def store(folder: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An experiment of the test's own."""
    import mlflow

    from brain_tumor.tracking.store import open_store

    yield open_store(TrackingConfig(f"sqlite:///{folder}/mlflow.db", request.node.name, None, "c", False))
    mlflow.end_run()
