"""Packages that are named at the top of a file and imported when they are used."""

import sys
import threading
from pathlib import Path

import pytest

from brain_tumor.lazy import lazy


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a value and a submodule, `late_package`, that no one has imported."""
    (tmp_path / "late_package").mkdir()
    (tmp_path / "late_package" / "__init__.py").write_text("import time\ntime.sleep(0.05)\nvalue = 7\n")
    (tmp_path / "late_package" / "part.py").write_text("value = 8\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("late_package", "late_package.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "late_package"


def test_naming_a_package_does_not_import_it_and_using_it_does(package: str) -> None:
    late = lazy(package)
    assert package not in sys.modules
    assert late.value == 7
    assert package in sys.modules


def test_a_submodule_comes_with_the_first_look_at_it(package: str) -> None:
    late = lazy(package)
    assert late.part.value == 8
    assert late.part is sys.modules["late_package.part"]


def test_what_is_replaced_in_the_package_is_replaced_here(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    late = lazy(package)
    assert late.value == 7
    monkeypatch.setattr("late_package.value", 9)
    assert late.value == 9


def test_threads_that_use_it_at_once_find_it_whole(package: str) -> None:
    late, found = lazy(package), []
    threads = [threading.Thread(target=lambda: found.append(late.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 8


def test_an_absent_package_is_missed_when_it_is_used() -> None:
    late = lazy("no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        _ = late.value


def test_an_absent_attribute_is_named(package: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"late_package\.nothing"):
        _ = lazy(package).nothing
    with pytest.raises(AttributeError, match="nothing"):
        _ = lazy("late_package.part").nothing
