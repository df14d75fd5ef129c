"""Large and optional packages: named at the top of a file like any other, imported when they are first used.

A command that needs none of them then starts at once, and what an extra brings may be absent until it is asked for. The
standard library's `importlib.util.LazyLoader` is not used: before Python 3.12.3 two threads that use a module at once
may find it half made.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


class _Late:
    """A package's stand-in, whose attributes are those of the package and its submodules."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_name" or (attribute.startswith("__") and attribute != "__version__"):
            raise AttributeError(attribute)  # asked by Python itself, copying this or looking what it can do
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


@contextmanager
def uncollected(*, freeze: bool = True) -> Iterator[None]:
    """Collect no garbage meanwhile, and never again look for it among what there is when this first ends in a process.

    Without `freeze` the last is left to a later block.

    For a block that imports large packages: TensorFlow, Keras and MLflow make some million objects that all stay, and
    Python's collector goes through them again and again, see `benchmarks/README.md`.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze and not gc.get_freeze_count():  # later, a model that is no longer needed may be among the objects
            gc.freeze()
        if enabled:
            gc.enable()
