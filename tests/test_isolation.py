"""A command that is called in this process meets what one of its own would, and leaves nothing behind."""

import logging.config
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from isolation import called


def test_it_has_its_own_command_line_folder_and_environment(tmp_path: Path) -> None:
    def main() -> None:
        print(sys.argv, os.getcwd(), sorted(os.environ))

    before = sys.argv, os.getcwd(), dict(os.environ)
    done = called(main, ["program", "a b"], cwd=tmp_path, environment={"ONE": "1"})
    assert done.stdout == f"['program', 'a b'] {tmp_path} ['ONE']\n"
    assert (done.args, done.returncode, done.stderr) == (["program", "a b"], 0, "")
    assert (sys.argv, os.getcwd(), dict(os.environ)) == before


def test_what_is_printed_is_caught_however_it_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("a library's")
    kept = logging.StreamHandler()
    logger.addHandler(kept)

    def main() -> None:
        print("one")
        os.write(1, b"not Python's\n")
        os.system("echo a child")
        logger.warning("logged")
        logging.getLogger("another").warning("by nobody")

    try:
        done = called(main, [""], cwd=tmp_path, environment=os.environ)
    finally:
        logger.removeHandler(kept)
    assert sorted(done.stdout.splitlines()) == ["a child", "not Python's", "one"]
    assert done.stderr == "logged\nby nobody\n"
    assert capfd.readouterr() == ("", "")


def ends(code: Any) -> Callable[[], None]:
    def main() -> None:
        sys.exit(code)

    return main


@pytest.mark.parametrize(("code", "number", "said"), [(None, 0, ""), (3, 3, ""), ("no", 1, "no\n")])
def test_an_exit_is_its_code(code: Any, number: int, said: str, tmp_path: Path) -> None:
    done = called(ends(code), [""], cwd=tmp_path, environment={})
    assert (done.returncode, done.stderr) == (number, said)


def test_a_failure_is_a_traceback(tmp_path: Path) -> None:
    def main() -> None:
        raise ValueError("bad")

    done = called(main, [""], cwd=tmp_path, environment={})
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: bad\n")


def test_nothing_stays(tmp_path: Path) -> None:
    def main() -> None:
        random.seed(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        logging.captureWarnings(True)
        logging.basicConfig(level=0, force=True, filename="log")
        warnings.filterwarnings("error")

    def state() -> tuple[Any, ...]:
        root = logging.getLogger()
        handlers = list(root.handlers), root.level, signal.getsignal(signal.SIGTERM)
        return random.getstate(), *handlers, warnings.showwarning, list(warnings.filters)

    before = state()
    assert called(main, [""], cwd=tmp_path, environment={}).returncode == 0
    assert state() == before


class Closing(logging.StreamHandler):  # type: ignore[type-arg]
    """Closes its stream where that is not Python's own at the moment, as absl's does."""

    def close(self) -> None:
        if self.stream not in (sys.stdout, sys.stderr):
            self.stream.close()
        super().close()


def test_no_stream_of_this_process_is_closed(tmp_path: Path) -> None:
    kept = Closing()  # no logger has it

    def main() -> None:
        logging.config.dictConfig({"version": 1})

    assert called(main, [""], cwd=tmp_path, environment={}).returncode == 0
    assert kept.stream is sys.stderr
    assert not sys.stderr.closed
