"""What tests share: images that a network tells apart in seconds, settings to match, commands, a look into a store."""

import importlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from isolation import called
from PIL import Image

from brain_tumor.config.train import ProtocolConfig
from brain_tumor.data.classes import STANDARD

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OFFICIAL = ProtocolConfig(name="official")
TINY = ("debug=tiny",)  # a run of seconds: a small network on small images, conf/debug/tiny.yaml


def draw(label: int, rng: np.random.Generator, side: int = 40) -> np.ndarray:
    """Noise with a bright bar whose place tells the class."""
    image = rng.integers(0, 90, (side, side, 3)).astype(np.uint8)
    start = 2 + label * (side // 4)
    image[start : start + side // 5] += 120
    return image


def draw_folders(root: Path, train: int = 24, test: int = 6, seed: int = 0) -> Path:
    """Make `root/{Training,Testing}/class/*.png`, whose classes a small network learns in two epochs."""
    rng = np.random.default_rng(seed)
    for part, count in (("Training", train), ("Testing", test)):
        for label, class_name in enumerate(STANDARD.names):
            folder = root / part / class_name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(draw(label, rng)).save(folder / f"{index}.png")
    return root


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """This process's environment with caches inside the test's folder, and of MLflow's `variables` these alone."""
    repository = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "XDG_CACHE_HOME": str(tmp_path / "xdg"), "PYTHONPATH": path, "COLUMNS": "120", **variables}


def call(
    tmp_path: Path, name: str, *arguments: str, cwd: Path | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command in `tmp_path/work` or `cwd` as a user would, but in this process, and return what it printed.

    `variables` are set in its environment. What can be settled only once in a process (`hardware.threads`,
    `hardware.device`, several devices) needs `spawn`.
    """
    module = importlib.import_module(f"brain_tumor.{name}")
    typed = [str(module.__file__), *arguments]
    return called(
        module.main, typed, cwd=_made(cwd or tmp_path / "work"), environment=environment(tmp_path, **variables)
    )


def spawn(tmp_path: Path, name: str, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`call` in a process of its own, which takes seconds to start: for what depends on that."""
    with start(tmp_path, name, *arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start(tmp_path: Path, name: str, *arguments: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
    """Start `python -m brain_tumor.NAME …` as `spawn` does; its stdout and stderr are pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", f"brain_tumor.{name}", *arguments],
        cwd=_made(cwd or tmp_path / "work"),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a shell starts its background jobs deaf to SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def located(program: str) -> Path:
    """Where a program lies that is typed in this folder."""
    return Path(shutil.which(program) or program).absolute()


def words(text: str) -> str:
    """What was printed, as one line: where it is broken depends on the width alone."""
    return " ".join(text.split())


def run_id(text: str) -> str:
    """The id of the run that a command says it has made."""
    found = re.search(r"/runs/([0-9a-f]{32})", text)
    assert found, text
    return found[1]


def client(folder: Path) -> "MlflowClient":
    """An MLflow client of the store in `folder/mlruns`."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs_in(folder: Path) -> "list[Run]":
    """All runs of the store in `folder/mlruns`, the first started first."""
    store = client(folder)
    experiments = [each.experiment_id for each in store.search_experiments()]
    return list(store.search_runs(experiments, order_by=["attributes.start_time"]))


def metrics_of(folder: Path, run: str) -> dict[str, float]:
    found: dict[str, float] = client(folder).get_run(run).data.metrics
    return found


def scores_of(folder: Path, run: str, part: str = "test") -> dict[str, float]:
    """What a run of the store in `folder/mlruns` has measured on a part, as metrics or in its tables, by name."""
    import mlflow
    import pandas as pd

    found = client(folder).get_run(run)
    values: dict[str, float] = {
        name.removeprefix(f"{part}/"): value
        for name, value in found.data.metrics.items()
        if name.startswith(f"{part}/")
    }

    def table(name: str) -> pd.DataFrame:
        text = mlflow.artifacts.load_text(f"{found.info.artifact_uri}/tables/{part}_{name}.csv")
        return pd.read_csv(io.StringIO(text))

    values |= table("metrics").set_index("metric")["value"].dropna().to_dict()
    if part == "test":
        sets = table("conformal")
        for row in sets[sets["class"] == "all"].to_dict("records"):
            kinds = ("coverage", "set_size", "single")
            values |= {f"{name}_{row['level'] * 100:g}": row[name] for name in kinds}
    return values


def tags_of(folder: Path, run: str) -> dict[str, str]:
    found: dict[str, str] = client(folder).get_run(run).data.tags
    return found
