"""Files between a browser's upload and the answer: in a folder of the page's own, each in a place of its own."""

import logging
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from brain_tumor.serving.review_page.process_folder import Own, own_folder

SECONDS = 120.0  # that an upload may lie there before anybody asks for it
EVERY = 10.0  # seconds between two looks at what is too old
AT_ONCE = 4  # uploads that come at the same time
PIECE = 2**20  # bytes of a file that are in memory as it is put in its place
NAME = re.compile("[0-9a-f]{32}")  # of an upload
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Uploads:
    """The folder, which holds nothing that has been read."""

    own: Own
    _coming: list[int] = field(default_factory=list)  # bytes of each upload that is on its way
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folder(self) -> Path:
        return self.own.path

    def reserve(self, size: int, most: int) -> bool:
        """Room for an upload of `size` bytes, until it is released; False where `most` bytes would be passed.

        So it is, too, where as many as may come at the same time are on their way.
        """
        with self._lock:
            if len(self._coming) >= AT_ONCE or self.size() + sum(self._coming) + size > most:
                return False
            self._coming.append(size)
            return True

    def release(self, size: int) -> None:
        """Give back what was reserved: the upload lies there, or does not come."""
        with self._lock:
            self._coming.remove(size)

    def add(self, content: BinaryIO) -> Path:
        """A new file under a name that the client has no part in; OSError where nothing can be stored."""
        self.own.again()
        path = self.folder / uuid.uuid4().hex
        with _created(path) as file:
            shutil.copyfileobj(content, file, PIECE)
        return path

    def holds(self, path: str) -> bool:
        """Whether a client may name this path: that of an upload, exactly as `add` gave it."""
        folder, _, name = path.rpartition(os.sep)
        return folder == str(self.folder) and NAME.fullmatch(name) is not None

    def take(self, path: str) -> bytes:
        """The content of an upload, which is removed; FileNotFoundError where there is none."""
        if not self.holds(path) or not self.own.there():
            raise FileNotFoundError(path)
        try:
            return Path(path).read_bytes()
        finally:
            Path(path).unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes that lie there."""
        return sum(_size(path) for path in self._lying())

    def sweep(self, seconds: float = SECONDS) -> None:
        """Remove what was uploaded longer than `seconds` ago and never asked for."""
        oldest = time.time() - seconds
        for path in self._lying():
            try:
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            except FileNotFoundError:  # it has just been read
                continue

    def _lying(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.own.there() else []


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has just been read
        return 0


@contextmanager
def uploads() -> Iterator[Uploads]:
    """A folder that only this user may enter, and that is gone at the end."""
    with own_folder() as own:
        yield Uploads(own)


@contextmanager
def repeating(*tasks: Callable[[], None], every: float = EVERY) -> Iterator[None]:
    """Call `tasks` now and then, in a thread, until the end; a failure is logged, and ends nothing."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every):
            for task in tasks:
                try:
                    task()
                except Exception:
                    _LOG.exception("cleaning up failed, and is tried again in %.0f seconds", every)

    thread = threading.Thread(target=run, name="sweeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
