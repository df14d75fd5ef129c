"""`brain-tumor COMMAND …`, all commands behind one."""

import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy import call, environment

from brain_tumor import NOTICE
from brain_tumor.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[1]


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["brain-tumor", *arguments])
    main()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_every_command_is_listed_with_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    typed(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: brain-tumor COMMAND [ARGUMENTS]"
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("  ")]
    assert [name for name, _ in listed] == list(COMMANDS)
    assert ["train", "Train one classifier"] in listed
    assert ["compare", "Compare two runs on the images that both predicted"] in listed
    assert lines[-1] == NOTICE


def test_whatever_runs_by_itself_is_listed() -> None:
    modules = {path.stem for path in (ROOT / "brain_tumor").glob("*.py") if "__main__" in path.read_text()}
    assert modules - {"__main__"} == set(COMMANDS)


def test_the_version_is_the_installed_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"brain-tumor": "1.2.3"}[name])
    typed(monkeypatch, "--version")
    assert capsys.readouterr().out == "brain-tumor 1.2.3\n"


def test_a_checkout_has_no_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "path", [])  # where nothing is installed
    typed(monkeypatch, "--version")
    assert capsys.readouterr().out == "brain-tumor (a checkout that is not installed)\n"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("tran", "did you mean train?"), ("model=effnet_b4", f"choose one of {', '.join(COMMANDS)}")],
)
def test_what_is_no_command_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str, hint: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        typed(monkeypatch, wrong, "--help")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {wrong} is no command: {hint}\n"


def test_a_command_sees_the_command_line_of_its_own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    module = SimpleNamespace(__file__="/there/brain_tumor/train.py", main=lambda: seen.append(list(sys.argv)))
    monkeypatch.setitem(sys.modules, "brain_tumor.train", module)
    typed(monkeypatch, "train", "data.root=/a b, c=d", "--version", "-m")
    assert seen == [["/there/brain_tumor/train.py", "data.root=/a b, c=d", "--version", "-m"]]


def test_the_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from brain_tumor.__main__ import main; sys.argv[1:] = []; main(); "
        "print(sorted({'tensorflow', 'hydra', 'pandas', 'numpy', 'mlflow', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [("--cfg", "all"), ("schedule.all.epochs=zero",)])
def test_a_command_does_what_its_own_module_does(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    expected = call(tmp_path, "train", *arguments)
    command = [sys.executable, "-m", "brain_tumor", "train", *arguments]
    where = {"cwd": tmp_path / "work", "env": environment(tmp_path)}
    done = subprocess.run(command, **where, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_the_script_is_this_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"brain-tumor": f"{main.__module__}:{main.__name__}"}
