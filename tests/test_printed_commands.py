"""What the product prints to be typed works when it is pasted, whatever paths, names and stores have in them."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import click
import mlflow
import optuna
import pandas as pd
import pytest
from composition import task
from mlflow.cli import cli
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from studies import RATE, mixed
from toy import call, draw_folders, environment, located

from brain_tumor import command_line, entry
from brain_tumor.command_line import command, pip_install
from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.jobs import single_run
from brain_tumor.layout.blocks import Code
from brain_tumor.sweep import advice, description, sweeper
from brain_tumor.sweep.importances import Importances, Share
from brain_tumor.sweep.space import distribution
from brain_tumor.tracking import comparison_run, registry, runs, summary
from brain_tumor.tracking.store import Store, mlflow_here, open_store

ROOT = Path(__file__).parents[1]
ODD = """it's my "place" (1), x=$HOME & [y]; {z}"""
PASSED = "what is asked for has passed every check"


class Placed:
    """A folder to type in, and a store that lies elsewhere, with a name that a shell and Hydra both would trip over."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.here = tmp_path, tmp_path / "here"
        self.here.mkdir()
        uri = f"sqlite:///{tmp_path}/{ODD}/mlflow.db"
        self.tracking = TrackingConfig(uri, f"pilot, {ODD}", "my model (v2)", f"kept {ODD}", False)
        self.images = draw_folders(tmp_path / f"images {ODD}", train=4, test=1)
        self.store: Store = open_store(self.tracking)
        self.client = mlflow.MlflowClient(uri, uri)

    def stopped(self) -> str:
        """Id of a training run that can be gone on with, and that has logged a model."""
        with runs.started(self.store, tags={"job": "train"}, system_metrics=False) as run_id:
            said = task("model=cnn_baseline", "schedule=scratch", "data=folder", "data.root=x")
            said["tracking"]["register"] = "my model (v2)"
            runs.log_config(said, [])
            rows = [(f"{part}.png", "glioma", part, part, "", part) for part in ("train", "test")]
            table = pd.DataFrame(rows, columns=["path", "label", "part", "group", "site", "sha256"])
            runs.log_split(Split(table, root=self.images, source="folder", synthetic=False), "training")
            mlflow.log_text(f"flavors: {{}}\nrun_id: {run_id}\n", "model/MLmodel")
        self.client.set_terminated(run_id, "KILLED")
        return run_id

    def registered(self, name: str, **tags: str) -> str:
        """Version of such a run's model under a name."""
        run = self.client.get_run(self.stopped())
        tags |= {"data_kind": "real", "leaking": "false", "monitor": "val/macro_f1"}
        made = self.client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
        return str(made.version)


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Placed:
    made = Placed(tmp_path)
    monkeypatch.chdir(made.here)
    return made


@pytest.fixture
def paste(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Type a line in a shell, as far as its command's work begins, and see that it looks into the store."""

    def pasted(line: str) -> None:
        python, option, module, *arguments = shlex.split(line)
        assert (python, option) == (sys.executable, "-m"), line
        stores: list[str] = []

        def work(*_: Any) -> None:
            stores.append(mlflow.get_tracking_uri())
            raise InputError(PASSED)

        class Job:
            run = staticmethod(work)

        monkeypatch.setattr(entry, "job", lambda *_, **__: Job)
        monkeypatch.setattr(sweeper, "_save", work)  # what follows on a sweep's checks
        done = call(placed.tmp_path, module.removeprefix("brain_tumor."), *arguments, cwd=placed.here)
        assert done.stderr.splitlines()[-1] == f"error: {PASSED}", done.stderr
        assert module == "brain_tumor.study" or stores == [placed.store.uri], line

    return pasted


def shell(placed: Placed, line: str) -> "CompletedProcess[str]":
    """Really run a line, in a shell that knows of no store."""
    variables = environment(placed.tmp_path)
    return subprocess.run(line, shell=True, cwd=placed.here, env=variables, capture_output=True, text=True, timeout=120)


def after(error: InputError) -> str:
    """The command that a message ends with."""
    return str(error).rpartition(": ")[2]


def test_measure_again(placed: Placed, paste: Callable[[str], None]) -> None:
    placed.client.create_registered_model("my model (v2)")
    uri = f"models:/my model (v2)/{placed.registered('my model (v2)')}"
    paste(summary.with_store(placed.tracking, "evaluate", f"model_uri={uri}", "robustness=true"))


def test_search_what_a_sweep_has_left_open(
    placed: Placed, paste: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = "schedule.all"
    space = OmegaConf.to_container(OmegaConf.load(entry.conf_dir() / "sweep" / "space" / "finetune.yaml").space)
    assert isinstance(space, dict)
    study = optuna.create_study(direction="maximize")
    keys = [f"{phase}.learning_rate", f"{phase}.epochs", f"{phase}.weight_averaging"]
    allowed = {key: distribution(key, space[key]) for key in keys}
    for index, averaging in enumerate([None, 0.9, None]):
        params = dict(zip(keys, [10 ** -(3 + index / 10), 12, averaging], strict=True))
        made = optuna.trial.create_trial(params=params, distributions=allowed, value=0.9 - index / 100)
        study.add_trial(made)
    typed = [f"tracking.experiment={placed.tracking.experiment}", f"data.root={placed.images}", "data=folder", "-m"]
    typed = [f"tracking.uri={placed.store.uri}", "model=cnn_baseline", "schedule.head.unfreeze=all", *typed]
    for key, value in {"space": space, "command": shlex.join(typed), advice.ERROR: [0, 0.05]}.items():
        study.set_user_attr(key, value)
    sure, little = Share(0.8, 0.6, 0.9), Share(0.0, -0.1, 0.01)
    shares = dict(zip(keys, [sure, little, sure], strict=True))
    monkeypatch.setattr(advice, "importances", lambda *_: Importances(3, shares))
    given = advice.advise(study)
    assert given is not None
    assert given.fixed == {f"{phase}.epochs": "12"}
    assert list(given.changed) == [keys[0], keys[2]]
    paste(command("train", *given.again))


def test_search_for_a_better_model(
    placed: Placed, paste: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [f"tracking.experiment={placed.tracking.experiment}", f"data.root={placed.images}", "data=folder"]
    monkeypatch.setattr(single_run, "as_typed", own)
    config: Any = SimpleNamespace(tracking=placed.tracking, test=True, data=SimpleNamespace(volume_shape=None))
    [_, line] = single_run._next(config, "models:/m/1", search=True)
    paste(line)


def test_go_on(placed: Placed, paste: Callable[[str], None]) -> None:
    kept = f"tracking.checkpoints={placed.tracking.checkpoints}"
    stopped = placed.stopped()
    line = single_run.resume_command(stopped, ["seed=3", "tracking.uri=elsewhere", kept])
    assert shlex.split(line)[-2:] == [f"resume={stopped}", kept]
    paste(line)


@pytest.mark.parametrize(("status", "part"), [("KILLED", "val"), ("FINISHED", "test")])
def test_have_what_a_comparison_lacks(status: str, part: str, placed: Placed, paste: Callable[[str], None]) -> None:
    stopped = placed.stopped()
    placed.client.set_terminated(stopped, status)
    with pytest.raises(InputError) as caught:
        comparison_run.predictions(mlflow.get_run(stopped), part, "run_a")
    paste(after(caught.value))


def test_train_the_best_trial_again(paste: Callable[[str], None], placed: Placed) -> None:
    study = mixed()
    there = shlex.quote(f"tracking.uri={placed.store.uri}")
    study.set_user_attr("command", f"-m data=folder {shlex.quote(f'data.root={placed.images}')} {there}")
    blocks = description.describe(study, train=command("train"))
    [line] = [block.text for block in blocks if isinstance(block, Code)]
    assert line.endswith(f"{RATE}=0.01")
    paste(line)


def test_look_at_a_study(placed: Placed, paste: Callable[[str], None]) -> None:
    studies = [mixed(), mixed()]
    where = f"storage=sqlite:///{placed.here}/a (1).db"
    [_, line] = description.listing(studies, show=command("study", where))
    assert isinstance(line, Code)
    assert shlex.split(line.text)[-2:] == [where, f"name={studies[0].study_name}"]
    paste(line.text)


def test_make_the_study_that_is_looked_for(placed: Placed) -> None:
    storage = "sqlite:///a (1).db"
    done = call(placed.tmp_path, "study", f"storage={storage}", cwd=placed.here)
    line = done.stderr.strip().rpartition("makes it: ")[2]
    assert shlex.split(line) == [sys.executable, "-m", "brain_tumor.train", f"sweep.storage={storage}", "-m"]


def test_look_at_studies_in_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    [_, code] = description.place("sqlite:////my place/optuna.db")
    assert isinstance(code, Code)
    install, line = map(shlex.split, code.text.splitlines())
    assert [located(install[0]), *install[1:4]] == [Path(sys.executable), "-m", "pip", "install"]
    assert located(line[0]) == Path(sys.executable).with_name("optuna-dashboard")
    assert line[1:] == ["sqlite:////my place/optuna.db"]


def test_open_the_store(placed: Placed) -> None:
    [line] = placed.store.serve
    program, name, *arguments = shlex.split(line)
    assert Path(program) == Path(sys.executable).with_name("mlflow")
    with cli.get_command(click.Context(cli), name).make_context(name, arguments) as read:
        assert read.params["backend_store_uri"] == placed.store.uri


def test_restore_what_lies_in_the_trash(placed: Placed) -> None:
    stopped = placed.stopped()
    placed.client.delete_run(stopped)
    with pytest.raises(InputError, match="was deleted") as run:
        runs.interrupted(stopped)
    placed.client.delete_experiment(placed.store.experiment_id)
    with pytest.raises(InputError, match="was deleted") as experiment:
        open_store(placed.tracking)
    done = shell(placed, f"{after(experiment.value)} && {after(run.value)}")
    assert done.returncode == 0, done.stderr
    assert placed.client.get_experiment(placed.store.experiment_id).lifecycle_stage == "active"
    assert placed.client.get_run(stopped).info.lifecycle_stage == "active"


def test_crown_all_the_same(placed: Placed) -> None:
    name = f"model {ODD}".replace("'", "")
    placed.client.create_registered_model(name)
    first, second = (placed.registered(name, score=score) for score in ("0.9", "0.8"))
    assert registry.crown(name, first).verdict.startswith("now champion")
    done = shell(placed, registry.crown(name, second).command)
    assert done.returncode == 0, done.stderr
    assert str(placed.client.get_model_version_by_alias(name, "champion").version) == second


def test_an_extra_is_one_of_this_package_and_installed_for_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for file in (ROOT / "brain_tumor").rglob("*.py"):
        for asked in re.findall(r"brain-tumor\[[^{].*?\]", file.read_text()):
            assert Requirement(asked).extras <= extras.keys(), file
    for installed, package in ((True, "brain-tumor[app]"), (False, f"{ROOT}[app]")):
        monkeypatch.setattr(command_line, "_is_installed", lambda name, there=installed: there)
        program, *words = shlex.split(pip_install("brain-tumor[app]"))
        assert (located(program), words) == (Path(sys.executable), ["-m", "pip", "install", package])


def test_an_address_with_a_password_is_left_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://me:secret@there")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@there")
    assert mlflow_here("runs", "restore").endswith("/mlflow runs restore")
    assert "=" not in mlflow_here("runs", "restore")


# Answers to a server's client, which must not be told where this machine has its Python.
GENERIC = {"data/scans/dicom_elements.py", "data/scans/dicom_frames.py"}
# Lines of the model card, which is read elsewhere.
GENERIC |= {"card/machine.py"}


def test_no_message_spells_a_command_out_that_is_not_tried_here() -> None:
    """They are made by `command_line`, which knows this Python, and by `tracking.store`, which knows the store."""
    spelt = re.compile(r"python -m |\bmlflow (ui|server|runs|experiments|models|db|gc)\b|pip install")
    found = set()
    for file in (ROOT / "brain_tumor").rglob("*.py"):
        tree = ast.parse(file.read_text())
        described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in described]
        if any(isinstance(node.value, str) and spelt.search(node.value) for node in texts):
            found.add(file.relative_to(ROOT / "brain_tumor").as_posix())
    assert found <= GENERIC | {"command_line.py"}
