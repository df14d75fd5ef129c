"""Large and optional packages: named at the top of a file like any other, imported when they are first used.

A command that needs none of them then starts at once, and what an extra brings may be absent until it is asked for. The
standard library's `importlib.util.LazyLoader` is not used: before Python 3.12.3 two threads that use a module at once
may find it half made.
"""

from importlib import import_module
from typing import Any


class _Late:
    """A package's stand-in, whose attributes are those of the package and its submodules."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        module = import_module(self._name)
        try:
            return getattr(module, attribute)
        except AttributeError:
            if not hasattr(module, "__path__"):
                raise
            return import_module(f"{self._name}.{attribute}")


def lazy(name: str) -> Any:
    """The package `name`, imported when one of its attributes is read; submodules come the same way."""
    return _Late(name)
