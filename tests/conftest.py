"""What every test may use; the first that fits is the one to take.

- `trained`: one small run for all tests of the session, to look at.
- `trained_copy`: a copy of it for a file's tests, to run commands on, all of which add to its store; a test that
  needs one alone takes `trained.copy(tmp_path)`.
- `bars`: small generated images that a network can tell apart, for tests that train another run.
- `run`: a command as a user types it, in this process: what it printed, its exit code.
- `spawn`: the same in a process of its own, which takes 10 s to import TensorFlow and MLflow: where the process itself
  is what is tested. `toy.start` starts one and leaves it running, to be stopped or killed.
- `toy.client`: what a store holds.
- `composition.composed`, `composition.task`: what conf/ composes to.

Marked `slow` is what takes a quarter of a minute or more and whose subject something quicker guards as well; plain
`pytest` leaves it out, with what is marked `browser` or `real_data`, and `pytest -m ""` runs everything.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

# Read when the libraries are imported, before any command is called.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # test processes share the cores: more threads would spin
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import composition
import stores
import toy
from threadpoolctl import threadpool_limits

threadpool_limits(1, "blas")  # of numpy, which a plugin of pytest may have imported before the line above

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# The files that take longest, which begin first, so that no process has one left when the others have ended.
LONGEST = (
    "test_end_to_end.py",
    "test_multi_run.py",
    "test_sweep_end_to_end.py",
    "test_any_classes.py",
    "serving/review_page/test_in_chromium.py",
    "training/test_fit.py",
    "training/test_warm_start.py",
    "sweep/test_sweeper.py",
    "test_config.py",
    "models/test_contract.py",
    "serving/test_exports.py",
    "training/test_lesion_map.py",
    "test_printed_commands.py",
    "tracking/test_moved_store.py",
    "training/test_distribute.py",
    "test_evidence_end_to_end.py",
    "serving/test_doors.py",
    "test_model_card.py",
    "test_evaluate.py",
    "models/test_heads.py",
    "test_refusals.py",
    "test_docs.py",
    "test_study.py",
    "models/test_lite.py",
    "sweep/test_parallel.py",
    "data/test_twins.py",
    "data/test_dataset.py",
    "serving/test_export_end_to_end.py",
    "auditing/test_audit.py",
    "sweep/test_storage.py",
    "test_compare.py",
    "serving/test_served_end_to_end.py",
    "tracking/test_store.py",
    "tracking/test_served.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files of most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def _quick(shared: Path) -> Iterator[None]:
    """Once in a session or process what libraries do over and over: MLflow's tables, fonts, the files of conf/."""
    os.environ.setdefault("MPLCONFIGDIR", str(shared / "matplotlib"))
    with stores.quick(shared), composition.quick():
        yield


@pytest.fixture(autouse=True)
def _unnamed_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test begins with a store that the developer, or MLflow in another test, has named for all commands."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def trained(shared: Path) -> stores.Trained:
    """A trained run, its store and its images, to look at alone."""
    return stores.trained(shared)


@pytest.fixture(scope="module")
def trained_copy(trained: stores.Trained, tmp_path_factory: pytest.TempPathFactory) -> stores.Trained:
    """A copy of it for the tests of a file."""
    return trained.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture
def bars(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of images in this test's own, see `draw_folders`."""

    def make(name: str = "bars", train: int = 24, test: int = 6, seed: int = 0) -> Path:
        return toy.draw_folders(tmp_path / name, train, test, seed)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in this test's own folder, see `toy.call`."""
    return partial(toy.call, tmp_path)


@pytest.fixture
def spawn(tmp_path: Path) -> Run:
    """Run a command in this test's own folder and a process of its own, see `toy.spawn`."""
    return partial(toy.spawn, tmp_path)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel of this checkout installs."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place)]
    subprocess.run([*build, str(Path(__file__).parents[1])], check=True, capture_output=True, timeout=300)
    [wheel] = place.glob("*.whl")
    shutil.unpack_archive(wheel, place / "site", "zip")
    return place / "site"
