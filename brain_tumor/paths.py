"""Paths as users type them, and the files there."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def existing_path(text: str) -> Path:
    """The path as typed where it exists, otherwise with a leading `~` expanded."""
    path = Path(text)
    if os.path.lexists(path) or not text.startswith("~"):
        return path
    return Path(os.path.expanduser(text))


def nearest_folder(path: Path) -> Path:
    """What is there of a path: itself, or what it would be made in."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, errors: str = "strict") -> Iterator[IO[str]]:
    """A text file (UTF-8) that takes its place at `path` once it is written whole, with a new file's permissions."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors=errors, newline="") as file:
            yield file
        os.chmod(name, 0o666 & ~_UMASK)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()  # once, since it can be read by changing it alone, which other threads would notice


def printable(name: str) -> str:
    """A file's name without what would move the cursor, ring or colour."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in name)
