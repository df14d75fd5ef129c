"""Hydra finds the sweeper, from a checkout and from a wheel, and pays nothing for it at other times."""

import os
import subprocess
import sys
from pathlib import Path

from toy import environment

ROOT = Path(__file__).parents[2]
TARGET = "_target_: hydra_plugins.brain_tumor_sweeper.OptunaStudySweeper"


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hydra.core.plugins import Plugins; from hydra.plugins.sweeper import Sweeper; "
        "print(sorted(p.__name__ for p in Plugins.instance().discover(Sweeper))); "
        "print(sorted({'optuna', 'tensorflow', 'mlflow', 'pandas', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "'OptunaStudySweeper'" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_checkout_is_swept_by_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "brain_tumor.train", "--cfg", "hydra"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=120
    )
    assert TARGET in done.stdout


def test_a_wheel_is_swept_by_it(site: Path, tmp_path: Path) -> None:
    assert not (site / "hydra_plugins" / "__init__.py").exists()  # a namespace that other plugins share
    # -S keeps the checkout off the path; the libraries come from where this Python has them.
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *libraries]), "XDG_CACHE_HOME": str(tmp_path)}
    arguments = ["sweep.study=w", "sweep.metric=val/nothing", "seed=1,2", "-m"]
    done = subprocess.run(
        [sys.executable, "-S", "-m", "brain_tumor.train", *arguments],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Past Hydra, the plugin and the groups of conf/sweep: the sweep's own refusal.
    assert done.stderr.startswith("error: sweep.metric=val/nothing is none that a run has"), done.stderr
