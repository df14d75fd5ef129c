"""What every command shares: literal paths, Hydra, one-line errors, and signals that end a run cleanly."""

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from brain_tumor import composing, interrupts
from brain_tumor.errors import InputError

# Keys that hold a path, an address or a name: typed as they are, whatever Hydra's grammar would make of them.
LITERAL_KEYS = (
    "data.root",
    "data.cache",
    "data.patients",
    "trained_root",
    "data.masks",
    "model.weights",
    "model_uri",
    "model_b",
    "user",
    "run_a",
    "run_b",
    "tracking.uri",
    "tracking.checkpoints",
    "sweep.storage",
    "sweep.study",
    "storage",
    "report",
    "input",
    "out",
    "name",
)
ADDRESS_KEYS = ("sweep.storage", "sweep.study", "tracking.uri", "storage", "name", "run_a", "run_b")  # never searched
_LITERAL = re.compile(r"(\+{0,2}(?:" + "|".join(map(re.escape, LITERAL_KEYS)) + r"))=(.*)", re.DOTALL)
_ITEM = re.compile(r"""\s*(?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*")\s*(?=,|$)|[^,]*[^,\s][^,]*""")  # of a list


def conf_dir() -> Path:
    """The configuration folder: inside the package when installed from a wheel, beside it in a checkout."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "conf"


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
    """How this Python runs an entry, ready to paste."""
    python = "python" if shutil.which("python") == sys.executable else shlex.quote(sys.executable)
    return " ".join([python, "-m", f"brain_tumor.{name}", *map(shlex.quote, arguments)])


def run(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Compose `config_name` from the command line and hand it to `task`.

    An InputError, and what cannot be composed, becomes one line on stderr and exit code 2; Ctrl-C and SIGTERM end with
    130 and 143 after `task` has had its chance to clean up.
    """
    as_typed[:] = sys.argv[1:]
    multirun = any(argument in ("-m", "--multirun") for argument in sys.argv[1:])
    sys.argv[1:] = [literal(argument, multirun) for argument in sys.argv[1:]]
    interrupts.listen()
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

    def job(config: DictConfig) -> Any:
        composing.composed()
        logging.captureWarnings(True)
        with guarded():
            return task(config)

    with guarded(), composing.refusals(conf_dir(), config_name):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what the user has to know into one line on stderr and an exit code."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(interrupts.exit_code())
    except Exception as error:
        if not type(error).__module__.startswith("mlflow."):
            raise
        print(f"error: tracking failed: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        sys.exit(2)


as_typed: list[str] = []  # the command line before `literal`
