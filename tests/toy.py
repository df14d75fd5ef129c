"""What tests share: images that a network tells apart in seconds, settings to match, a clean environment."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from brain_tumor import CLASSES
from brain_tumor.config.train import ProtocolConfig

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
        for label, class_name in enumerate(CLASSES):
            folder = root / part / class_name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(draw(label, rng)).save(folder / f"{index}.png")
    return root


def environment(tmp_path: Path) -> dict[str, str]:
    """This process's environment with caches inside the test's folder, without the store that a test here opened."""
    repository = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "XDG_CACHE_HOME": str(tmp_path / "xdg"), "PYTHONPATH": path, "COLUMNS": "120"}


def call(tmp_path: Path, name: str, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `python -m brain_tumor.NAME …` in `tmp_path/work` or `cwd`, as a user would, and return what it printed."""
    place = cwd or tmp_path / "work"
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"brain_tumor.{name}", *arguments]
    return subprocess.run(command, cwd=place, env=environment(tmp_path), capture_output=True, text=True, timeout=600)


def run_id(text: str) -> str:
    """The id of the run that a command says it has made."""
    found = re.search(r"/runs/([0-9a-f]{32})", text)
    assert found, text
    return found[1]


def train_tiny(place: Path, images: str = "bars") -> str:
    """Draw images in `place/images` and train a TINY run on them, whose store is in `place/work`; returns its id."""
    done = call(place, "train", "data=folder", f"data.root={draw_folders(place / images)}", *TINY)
    assert done.returncode == 0, done.stderr
    return run_id(done.stdout)


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a shell starts its background jobs deaf to SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_store(folder: Path, expression: str) -> object:
    """Evaluate an expression over an MLflow client `c` of the store in `folder/mlruns`, in a process of its own."""
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    code = f"import json, mlflow\nc = mlflow.MlflowClient(tracking_uri={uri!r}, registry_uri={uri!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", code + f"print('>' + json.dumps({expression}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.rsplit(">", 1)[1])


def metrics_of(folder: Path, run: str) -> dict[str, float]:
    found = in_store(folder, f"c.get_run({run!r}).data.metrics")
    assert isinstance(found, dict)
    return found


def tags_of(folder: Path, run: str) -> dict[str, str]:
    found = in_store(folder, f"c.get_run({run!r}).data.tags")
    assert isinstance(found, dict)
    return found
