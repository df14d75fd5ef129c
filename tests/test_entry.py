"""Paths are taken to the letter, and start-up loads nothing heavy."""

import importlib
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from isolation import called
from omegaconf import OmegaConf
from toy import environment

from brain_tumor.command_line import literal
from brain_tumor.config.train import HardwareConfig
from brain_tumor.jobs.training_checks import KEYS_BESIDE_RESUME
from brain_tumor.paths import existing_path

NASTY = [
    "/data/My Scans (2019), final=yes",
    "/data/[a]{b}",
    "~/scans",
    "/data/Universität/crâne",
    "it's here",
    "a\\b",
    "ends with\\",
    "back\\'slash quote",
    "price${HOME}",
    "a:b,c=d",
    "#1 100% @home *?|;",
    "yes",
    "12",
    " leading and trailing ",
    'say "hi"',
]


@pytest.mark.parametrize("path", NASTY)
def test_hydra_gives_back_the_very_path(path: str) -> None:
    override = OverridesParser.create().parse_override(literal(f"data.root={path}", multirun=False))
    config = OmegaConf.create({"data": {"root": None}})
    OmegaConf.update(config, "data.root", override.value())
    assert config.data.root == path


@pytest.mark.parametrize(
    "argument", ["seed=1,2", "data.root=null", "data.root='a b'", "-m", "model=effnet_b4", "data.root="]
)
def test_other_arguments_stay(argument: str) -> None:
    assert literal(argument, multirun=False) == argument


LISTS = [
    ("[a,b]", ["a", "b"]),
    ("[ /data/My Scans (2019)=x , it's here]", ["/data/My Scans (2019)=x", "it's here"]),
    ("['a, b',c d]", ["a, b", "c d"]),
    ('["it\'s, [here]","b"]', ["it's, [here]", "b"]),
    ("[12,yes,${HOME}]", ["12", "yes", "${HOME}"]),
    ("[one]", ["one"]),
]


@pytest.mark.parametrize(("typed", "paths"), LISTS)
def test_hydra_gives_back_the_very_paths_of_a_list(typed: str, paths: list[str]) -> None:
    override = OverridesParser.create().parse_override(literal(f"data.root={typed}", multirun=False))
    config = OmegaConf.create({"data": {"root": None}})
    OmegaConf.update(config, "data.root", override.value())
    assert list(config.data.root) == paths


def test_a_folder_whose_name_looks_like_a_list_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert literal("data.root=[a,b]", multirun=False) == "data.root=['a','b']"
    (tmp_path / "[a,b]").mkdir()
    assert literal("data.root=[a,b]", multirun=False) == "data.root='[a,b]'"


def test_in_a_multirun_a_list_is_literal_only_if_all_its_folders_exist(tmp_path: Path) -> None:
    for name in ("a b", "c"):
        (tmp_path / name).mkdir()
    typed = f"data.root=[{tmp_path}/a b,{tmp_path}/c]"
    assert literal(typed, multirun=True) == f"data.root=['{tmp_path}/a b','{tmp_path}/c']"
    assert literal(f"{typed},[{tmp_path}/d]", multirun=True) == f"{typed},[{tmp_path}/d]"


@pytest.mark.parametrize("key", ["run", "resume", "run_a"])
def test_the_beginning_of_an_id_that_looks_like_a_number_is_none(key: str) -> None:
    for multirun in (False, True):
        override = OverridesParser.create().parse_override(literal(f"{key}=76785e98", multirun))
        assert override.value() == "76785e98"


def test_in_a_multirun_only_paths_that_exist_are_literal(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert literal(f"data.root={folder}", multirun=True) == f"data.root='{folder}'"
    assert literal("model.weights=imagenet,none", multirun=True) == "model.weights=imagenet,none"


def test_a_folder_named_with_a_tilde_wins_over_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert existing_path("~/x") == tmp_path / "home" / "x"
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "x").mkdir()
    assert existing_path("~/x") == Path("~/x")


def test_entries_import_nothing_heavy() -> None:
    code = (
        "import sys; from brain_tumor import train, evaluate, export, study, compare; "
        "heavy = {'tensorflow', 'keras', 'mlflow', 'optuna', 'sklearn', 'matplotlib', 'albumentations', 'nilearn'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_whatever_is_said_of_the_machine_may_stand_beside_resume() -> None:
    assert {f"hardware.{field.name}" for field in fields(HardwareConfig)} <= set(KEYS_BESIDE_RESUME)


def test_help_shows_the_groups(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("train", "--help")
    assert done.returncode == 0
    assert "model: cct_5, cnn3d_baseline, cnn_baseline" in done.stdout
    assert "schedule: fast, finetune, head_only, scratch, two_phase, vit\n" in done.stdout  # no shared file
    assert "\ndata: folder, kaggle, logged, phantom, phantom_tiny, phantom_volumes, volumes\n" in done.stdout


def test_cfg_prints_the_composition(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("train", "--cfg", "job", "data=folder", "data.root=/a (b), c=d")
    assert done.returncode == 0
    assert OmegaConf.create(done.stdout).data.root == "/a (b), c=d"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schedule.all.epochs=many"], "error: configuration: schedule.all.epochs"),
        (
            ["model.weights=none"],
            "error: schedule.head.unfreeze=head freezes a backbone that has no trained weights",
        ),
        (["model.weights=/no/such file.h5"], "/no/such file.h5"),
        (
            ["resume=abc", "seed=3"],
            "error: resume goes on with the run's own configuration: leave out seed=3",
        ),
        (["data.root=images"], "error: data.root=images is not read with data=phantom: add data=folder"),
        (["tracking.uri=mlruns"], "error: tracking.uri=mlruns is a plain folder"),
        (["schedule=scratch", "schedule.all.epochs=3"], "error: schedule.all.epochs: schedule=scratch has no phase"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], message: str
) -> None:
    done = run("train", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", ["tracking.uri=mlruns"], "tracking.uri=mlruns is a plain folder"),
        ("evaluate", ["model_uri=u", "batch_size=0"], "configuration: batch_size: input should be greater than 0"),
        ("predict", ["model_uri=u", "input=nothing*"], "input=nothing*: there is no such file"),
        ("export", ["model_uri=u", "out=x", "formats=[]"], "configuration: formats: tuple should have"),
        ("audit", ["data=folder", "data.root=x", "data.masks=y"], "data.masks=y is not read by an audit"),
        ("compare", ["one"], "run_b missing: "),
        ("study", [], "storage=sqlite:///"),
        ("checks", ["seed=-1"], "configuration: seed: input should be greater than or equal to 0"),
        ("lr_find", ["lowest=1"], "configuration: lowest=1 is no lower than highest=1"),
        ("app", ["model_uri=u", "port=70000"], "configuration: port: input should be less than"),
    ],
)
def test_every_command_says_so_as_python_runs_its_module(
    name: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    file = str(importlib.import_module(f"brain_tumor.{name}").__file__)
    as_main = partial(runpy.run_path, file, run_name="__main__")
    done = called(as_main, [file, *arguments], cwd=tmp_path, environment=environment(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")
