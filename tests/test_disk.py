"""A disk that is full, a folder that cannot be written, output that nobody reads: a line or silence, and no trace."""

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from toy import call, environment, runs_in

from brain_tumor import disk
from brain_tumor.entry import guarded
from brain_tumor.errors import InputError
from brain_tumor.serving.files import Read
from brain_tumor.serving.journal import Journal
from brain_tumor.tracking import runs
from brain_tumor.tracking.store import Store


def caught(act: Callable[[], Any]) -> BaseException:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("it has not failed")


def said(act: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command whose work this is prints before it ends with 2."""
    with pytest.raises(SystemExit) as ended, guarded():
        act()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    return err


def full(place: Path) -> None:
    """SQLite's own error, of a database that may not grow."""
    with sqlite3.connect(place / "full.db") as database:
        database.execute("pragma max_page_count=2")
        database.execute("create table t (x)")
        database.execute("insert into t values (zeroblob(100000))")


def readonly(place: Path) -> None:
    sqlite3.connect(place / "a.db").execute("create table t (x)")
    sqlite3.connect(f"file:{place}/a.db?mode=ro", uri=True).execute("insert into t values (1)")


def larger_than_allowed(place: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        (place / "large").write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def to_full_disk(place: Path) -> None:
    Path("/dev/full").write_text("x", encoding="utf-8")


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (to_full_disk, "No space left on device: free some space, then go on"),
        (full, "No space left on device: free some space, then go on"),
        (readonly, "Read-only file system: work in a folder that can be written, or change its permissions"),
        (larger_than_allowed, "File too large: files may not become that large here (ulimit -f)"),
        (lambda place: (place / ("x" * 300)).touch(), "File name too long: give a shorter name"),
        (lambda place: (place / "file" / "x").touch(), "Not a directory: a file stands where a folder is needed"),
        (lambda place: (place / "file").mkdir(), "File exists: a file stands where a folder is needed"),
        (lambda place: place.write_text("x"), "Is a directory: a folder stands where a file is needed"),
        (lambda place: sqlite3.connect(place / "no" / "a.db"), "Permission denied: work in a folder that can"),
    ],
)
def test_what_the_system_says_is_one_line(
    act: Callable[[Path], Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert line in said(lambda: act(tmp_path), capsys)


def test_the_file_is_named_where_the_system_names_it(tmp_path: Path) -> None:
    shut = PermissionError(errno.EACCES, "Permission denied", "some/file")
    assert disk.refusal(shut).startswith("some/file: Permission denied: ")
    copied = OSError(errno.EDQUOT, "Disk quota exceeded", "from", None, "to")
    assert disk.refusal(copied).startswith("to: Disk quota exceeded: ")


def test_a_full_disk_is_named_and_not_what_was_copied_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/elsewhere")
    copied = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/a.png", None, "a.png")

    def usage(place: Path) -> Any:
        return shutil._ntuple_diskusage(10, 10, 2**30 if Path(place).absolute() != tmp_path else 5)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert disk.refusal(copied).startswith(f"{tmp_path}: No space left on device: ")


def test_what_libraries_make_of_it_is_seen_through_and_a_fault_of_the_code_is_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def wrapped() -> None:
        try:
            full(tmp_path)
        except sqlite3.Error as error:
            raise MlflowException("(sqlite3.OperationalError) [SQL: UPDATE runs SET status=?]") from error

    assert "No space left on device: free some space" in said(wrapped, capsys)

    def faulty(fault: Exception) -> None:
        with guarded():
            with suppress(OSError):
                to_full_disk(tmp_path)
            raise fault

    for fault in (ValueError("a fault"), FileNotFoundError(errno.ENOENT, "No such file or directory", "x")):
        with pytest.raises(type(fault)):
            faulty(fault)
    assert disk.refusal(InputError("database or disk is full")) == ""


def test_what_fails_while_the_process_ends_is_not_said_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def twice() -> None:
        try:
            with guarded():
                full(tmp_path)
        finally:
            to_full_disk(tmp_path)

    assert "No space left" in said(twice, capsys)


def test_without_a_folder_for_temporary_files_the_line_says_which_variable_names_one() -> None:
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a', '/b']")
    assert disk.refusal(error).endswith("or set TMPDIR to a folder that can be written")


def test_a_run_whose_end_cannot_be_written_ends_with_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    ends = []

    def end(status: str) -> None:
        ends.append(status)
        raise MlflowException("database or disk is full")

    monkeypatch.setattr(mlflow, "start_run", lambda **_: type("Run", (), {"info": type("Info", (), {"run_id": "x"})}))
    monkeypatch.setattr(mlflow, "end_run", end)
    for fault, status in ((OSError(errno.ENOSPC, "full"), "FAILED"), (BrokenPipeError(), "KILLED")):
        with pytest.raises(type(fault)), runs.started(Store("sqlite:///x.db", "1")):
            raise fault
        assert ends.pop() == status


def test_an_answer_that_cannot_be_kept_names_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.csv", Path("/dev/full"), frozenset())
    error = caught(lambda: journal.append(Read("a.png", error="broken"), None))
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOSPC, "/dev/full")


@pytest.mark.parametrize("name", ["train", "audit", "predict"])
def test_a_file_in_the_place_of_a_folder_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "experiments").touch()
    needed = ["model_uri=models:/x/1", "input=."] if name == "predict" else []
    done = call(tmp_path, name, *needed, cwd=tmp_path / "here")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: experiments/.hydra/")
    assert "Not a directory: a file stands where a folder is needed: move it away" in done.stderr


def printed(
    tmp_path: Path, *command: str, output: int, buffered: bool, errors: int = subprocess.PIPE
) -> tuple[int, str]:
    """Exit code and stderr of a Python that prints to a descriptor."""
    variables = {**environment(tmp_path), "PYTHONUNBUFFERED": "" if buffered else "1"}
    called = [sys.executable, "-m", *command]
    done = subprocess.run(called, stdout=output, stderr=errors, text=True, cwd=tmp_path, env=variables, timeout=120)
    return done.returncode, done.stderr or ""


def closed(tmp_path: Path, *command: str, buffered: bool, errors: bool = False) -> tuple[int, str]:
    """`printed` to a pipe that nobody reads, with `errors` as well."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        return printed(
            tmp_path, *command, output=writes, buffered=buffered, errors=writes if errors else subprocess.PIPE
        )
    finally:
        os.close(writes)


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
def test_a_command_whose_output_nobody_reads_ends_quietly(buffered: bool, tmp_path: Path) -> None:
    sigpipe = 128 + 13  # as a shell says it of `yes | head -1`
    assert closed(tmp_path, "brain_tumor.train", "--help", buffered=buffered) == (sigpipe, "")
    assert closed(tmp_path, "brain_tumor", "--version", buffered=buffered) == (sigpipe, "")
    assert closed(tmp_path, "brain_tumor.train", "seeed=1", buffered=buffered, errors=True)[0] == sigpipe


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
def test_output_to_a_full_disk_is_one_line(buffered: bool, tmp_path: Path) -> None:
    for command in (["brain_tumor.train", "--help"], ["brain_tumor", "--version"]):
        with open("/dev/full", "w", encoding="utf-8") as output:
            code, err = printed(tmp_path, *command, output=output.fileno(), buffered=buffered)
        assert (code, err.count("\n"), "No space left on device" in err) == (2, 1, True)


@pytest.mark.slow
def test_a_run_is_finished_though_nobody_reads_what_it_prints_in_the_end(tmp_path: Path) -> None:
    code, err = closed(tmp_path, "brain_tumor.train", "debug=tiny", buffered=True)
    assert (code, "Traceback" in err) == (128 + 13, False)
    assert [run.info.status for run in runs_in(tmp_path)] == ["FINISHED"]
