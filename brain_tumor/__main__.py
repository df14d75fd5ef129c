"""All commands behind one: `brain-tumor train …` does what `python -m brain_tumor.train …` does."""

import ast
import difflib
import importlib
import importlib.metadata
import sys
from pathlib import Path

from brain_tumor import NOTICE, pipe

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "adopt",
    "ensemble",
    "pool",
    "export",
    "audit",
    "compare",
    "study",
    "app",
    "checks",
    "lr_find",
)  # modules with a `main`
USAGE = "usage: brain-tumor COMMAND [ARGUMENTS]"
MORE = "brain-tumor COMMAND --help shows what a command takes, brain-tumor --version which version this is."


def main() -> None:
    """Run the command that is named first with the other arguments, or list all commands."""
    with pipe.quiet():
        _main()


def _main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(listing())
    elif name == "--version":
        print(f"brain-tumor {version()}")
    elif name in COMMANDS:
        run(name, arguments)
    else:
        near = difflib.get_close_matches(name, COMMANDS)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(COMMANDS)}"
        print(f"error: {name} is no command: {hint}", file=sys.stderr)
        sys.exit(2)


def run(command: str, arguments: list[str]) -> None:
    """Go on as `python -m brain_tumor.COMMAND` would, down to the command line that Hydra and MLflow see."""
    module = importlib.import_module(f"brain_tumor.{command}")
    sys.argv[:] = [str(module.__file__), *arguments]
    module.main()


def listing() -> str:
    """How a command is called, and what each is for."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:<{width}}  {purpose(command)}" for command in COMMANDS]
    return "\n".join([USAGE, "", *lines, "", MORE, NOTICE])


def purpose(command: str) -> str:
    """How a command's module begins to describe itself, read without importing it, for some of them are slow to."""
    source = Path(__file__).with_name(f"{command}.py").read_text(encoding="utf-8")
    return str(ast.get_docstring(ast.parse(source))).partition(":")[0]


def version() -> str:
    """The version that is installed."""
    try:
        return importlib.metadata.version("brain-tumor")
    except importlib.metadata.PackageNotFoundError:
        return "(a checkout that is not installed)"


if __name__ == "__main__":
    main()
