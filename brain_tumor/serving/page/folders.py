"""A folder of a process's own, which goes with it: at its end, or, where it was killed, when the next one starts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "brain-tumor-page-"


@contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder that only this user may enter; what killed processes have left behind is removed first."""
    _remove_left(Path(tempfile.gettempdir()))
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        lock = os.open(folder, os.O_RDONLY)
        _lock(lock, wait=True)
        if os.fstat(lock).st_nlink:  # else another process, as it started, took it for one that was left behind
            return folder, lock
        os.close(lock)


def _remove_left(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # a link, a file, another user's, or gone
            continue
        try:
            if os.fstat(lock).st_uid == os.getuid() and _lock(lock):
                shutil.rmtree(folder, ignore_errors=True)  # which follows no links either
        finally:
            os.close(lock)


def _lock(folder: int, *, wait: bool = False) -> bool:
    """Lock an open folder for as long as it is open; False where another process has."""
    import fcntl  # here, for there is none on Windows, where commands other than the page run

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
