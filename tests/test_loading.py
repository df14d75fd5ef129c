import gc
import subprocess
import sys

import pytest

from brain_tumor.lazy import uncollected


def test_nothing_is_collected_meanwhile() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failed_import_leaves_the_collector_on() -> None:
    with pytest.raises(ModuleNotFoundError), uncollected():
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_only_what_the_first_block_leaves_is_never_looked_at_again() -> None:
    """In a process of its own: this one may have frozen its objects already."""
    code = """
import gc, weakref
from brain_tumor.lazy import uncollected
class Ring: pass
def ring():
    made = Ring()
    made.itself = made
    return weakref.ref(made)
gone = []
for _ in range(2):
    with uncollected():
        gone.append(ring())
    gc.collect()
print([each() is None for each in gone])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[False, True]\n"
