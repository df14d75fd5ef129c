"""The command line: paths taken to the letter, and commands that can be pasted."""

import importlib.metadata
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.errors import InputError

# Keys that hold a path, an address, a name or an id (76785e98 is no number): as typed, whatever Hydra's grammar would
# make of them.
LITERAL_KEYS = (
    "file",
    "trained_on",
    "register",
    "data.root",
    "data.cache",
    "data.patients",
    "data.relabel",
    "trained_root",
    "data.masks",
    "model.weights",
    "model_uri",
    "model_b",
    "user",
    "run",
    "resume",
    "run_a",
    "run_b",
    "distill.teacher",
    "tracking.uri",
    "tracking.experiment",
    "tracking.register",
    "tracking.checkpoints",
    "tracking.artifacts",
    "sweep.storage",
    "sweep.study",
    "storage",
    "report",
    "input",
    "out",
    "name",
)
ADDRESS_KEYS = (  # never searched
    "sweep.storage",
    "sweep.study",
    "tracking.uri",
    "tracking.experiment",
    "tracking.register",
    "register",
    "storage",
    "name",
    "run",
    "resume",
    "run_a",
    "run_b",
)
VERBOSE = ("-v", "--verbose")  # ours, not Hydra's: asks for the details of what is printed
RUNS = ("run_a", "run_b")  # keys of `compare`, which it also takes by their place
STORE = "MLFLOW_TRACKING_URI"  # the environment variable that MLflow's own commands read
_LITERAL = re.compile(r"(\+{0,2}(?:" + "|".join(map(re.escape, LITERAL_KEYS)) + r"))=(.*)", re.DOTALL)
_ITEM = re.compile(r"""\s*(?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*")\s*(?=,|$)|[^,]*[^,\s][^,]*""")  # of a list

as_typed: list[str] = []  # this process's command line, before `literal`


def literal(argument: str, multirun: bool) -> str:
    """Quote the value of an override in LITERAL_KEYS, so that Hydra takes it to the letter.

    `null` and values that are quoted already stay; in a multirun so does a value that names no existing file, since
    it may be a sweep (`model.weights=imagenet,none`).
    """
    match = _LITERAL.fullmatch(argument)
    if match is None:
        return argument
    key, value = match.groups()
    if key.lstrip("+") == "data.root" and value[:1] == "[" and value[-1:] == "]" and not Path(value).exists():
        return f"{key}={_literal_list(value, multirun)}"
    anywhere = key.lstrip("+") in ADDRESS_KEYS
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if value in ("", "null") or quoted or (multirun and not anywhere and not Path(value).expanduser().exists()):
        return argument
    return f"{key}={_quote(value)}"


def _literal_list(value: str, multirun: bool) -> str:
    """`[A,B]` with each item quoted; items that hold a comma or a bracket need the user's own quotes.

    In a multirun it stays as typed where an item is no existing folder: it may be a sweep.
    """
    items = [item.strip() for item in _ITEM.findall(value[1:-1])]
    quoted = [item[0] == item[-1] and item[0] in "'\"" for item in items]
    there = (ready or Path(item).expanduser().exists() for item, ready in zip(items, quoted, strict=True))
    if multirun and not all(there):
        return value
    return f"[{','.join(item if ready else _quote(item) for item, ready in zip(items, quoted, strict=True))}]"


def _quote(value: str) -> str:
    # Hydra unescapes a backslash only where it stands before a quote (or ends the value); OmegaConf resolves ${…}.
    value = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", value)
    value = re.sub(r"(\\+)$", lambda found: found[1] * 2, value)
    value = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", value)
    return f"'{value}'"


def command(name: str, *arguments: str) -> str:
    """How this Python runs an entry, ready to paste in this folder."""
    return " ".join([python(), "-m", f"brain_tumor.{name}", *map(shlex.quote, arguments)])


def shown(address: str) -> str:
    """An address as it may be printed: without its password."""
    if address.startswith("sqlite"):
        return address
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", re.sub(r"//([^:/@]*):.*@", r"//\1:***@", address))


def python() -> str:
    """This Python, ready to paste in this folder."""
    return _program("python")


def program(name: str, *arguments: str) -> str:
    """How a program of this Python's environment is run, MLflow's own say, ready to paste in this folder."""
    return " ".join([_program(name), *map(shlex.quote, arguments)])


def pip_install(package: str) -> str:
    """How this Python gets a package, or an extra of this one (`brain-tumor[app]`), ready to paste in this folder."""
    name, bracket, extra = package.partition("[")
    if name == "brain-tumor" and not _is_installed(name):  # no index has it, and the checkout may be run as it is
        package = f"{Path(__file__).parents[1]}{bracket}{extra}"
    return f"{python()} -m pip install {shlex.quote(package)}"


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _program(name: str) -> str:
    """A program of this Python's environment as it is typed: by its name alone where the shell finds that one."""
    path = Path(sys.executable) if name == "python" else Path(sys.executable).with_name(name)
    if shutil.which(name) == str(path):
        return name
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def named_runs(arguments: Sequence[str]) -> list[str]:
    """The command line with `RUN_A RUN_B` as `run_a=… run_b=…`; the value of an option (`--cfg job`) stays."""
    free = [key for key in RUNS if not any(argument.startswith(f"{key}=") for argument in arguments)]
    translated = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        value = before.startswith("-") and before not in VERBOSE
        positional = not argument.startswith(("-", "~")) and "=" not in argument and not value
        if positional and not free:
            raise InputError(f"{argument}: only two runs can be compared: {command('compare')} RUN_A RUN_B")
        translated.append(f"{free.pop(0)}={argument}" if positional else argument)
    return translated
