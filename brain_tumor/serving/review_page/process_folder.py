"""A folder of a process's own, which goes with it: at its end, or, where it was killed, when the next one starts."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "brain-tumor-page-"


@dataclass(eq=False)
class Own:
    """A folder that only this user may enter, locked for as long as the process uses it."""

    path: Path
    _held: int  # the folder, open
    _making: threading.Lock = field(default_factory=threading.Lock)

    def there(self) -> bool:
        """Whether the folder is the one that was made, and not gone, or somebody else's under its name."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._held))

    def again(self) -> None:
        """Make the folder anew where it is gone, as cleaners of temporary folders do; OSError where that cannot be."""
        with self._making:
            if not self.there():
                new = _again(self.path)
                os.close(self._held)
                self._held = new

    def remove(self) -> None:
        """Remove the folder, and let go of it."""
        if self.there():
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


@contextmanager
def own_folder() -> Iterator[Own]:
    """A new folder that only this user may enter; what killed processes have left behind is removed first."""
    _remove_left(Path(tempfile.gettempdir()))
    own = Own(*_locked_folder())
    try:
        yield own
    finally:
        own.remove()


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        lock = os.open(folder, os.O_RDONLY)
        _lock(lock, wait=True)
        if os.fstat(lock).st_nlink:  # else another process, as it started, took it for one that was left behind
            return folder, lock
        os.close(lock)


def _again(folder: Path) -> int:
    while True:
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if os.fstat(lock).st_uid != os.getuid():
            os.close(lock)
            raise PermissionError(f"{folder} belongs to somebody else by now")
        os.fchmod(lock, 0o700)  # Gradio may have been first
        _lock(lock, wait=True)
        if os.fstat(lock).st_nlink:  # as above
            return lock
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
    import fcntl  # noqa: PLC0415 - there is none on Windows, where commands other than the page run

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
