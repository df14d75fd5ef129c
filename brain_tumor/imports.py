"""Large imports made quicker."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile, and never again look for it among what there is when this first ends in a process.

    For a block that imports large packages: TensorFlow, Keras and MLflow make some million objects that all stay, and
    Python's collector goes through them again and again, see `benchmarks/README.md`.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # later, a model that is no longer needed may be among the objects
            gc.freeze()
        if enabled:
            gc.enable()
