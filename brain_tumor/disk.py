"""What is wrong with a disk, a folder or a file that could not be written, in one line."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

ELSEWHERE = "work in a folder that can be written, or change its permissions"
_HINTS = {
    errno.ENOSPC: "free some space, then go on",
    errno.EDQUOT: "free some of your quota, then go on",
    errno.EFBIG: "files may not become that large here (ulimit -f): raise the limit, then go on",
    errno.EACCES: ELSEWHERE,
    errno.EPERM: ELSEWHERE,
    errno.EROFS: ELSEWHERE,
    errno.ENOTDIR: "a file stands where a folder is needed: move it away, or work in another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it away, or work in another folder",
    errno.EISDIR: "a folder stands where a file is needed: move it away, or name another",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "close other programs, or raise the limit (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.EIO: "look after the disk, and its limits (ulimit -f)",
}
# What SQLite says, which has no number by the time that it is caught (https://sqlite.org/rescode.html)
_SAID = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}
FULL = 2**20  # bytes that are free on a disk that is as good as full


def refusal(error: BaseException) -> str:
    """The line on an error that comes of a disk, a folder or a file; empty for any other error."""
    for each in _causes(error):
        if isinstance(each, OSError) and each.errno in _HINTS:
            named = each.filename if each.filename2 is None else each.filename2  # of a copy, what it goes to
            place = (_full() if each.errno == errno.ENOSPC else "") or (_somewhere() if named is None else str(named))
            return _line(place, each.strerror or os.strerror(each.errno), _HINTS[each.errno])
        if isinstance(each, FileNotFoundError) and each.filename is None:
            return _nowhere(each)
        number = next((number for said, number in _SAID.items() if said in str(each)), 0)
        if number and type(each).__module__.partition(".")[0] != "brain_tumor":
            return _line(_full() or "the database", os.strerror(number), _HINTS[number])
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it as far as libraries say: what our own code has handled is handled."""
    each: BaseException | None = error
    while each is not None:
        yield each
        library = type(each).__module__ not in ("builtins", "brain_tumor.errors")
        each = each.__cause__ or (each.__context__ if library else None)


def _line(place: str, reason: str, hint: str) -> str:
    return f"{f'{place}: ' if place else ''}{reason}: {hint}"


def _nowhere(error: FileNotFoundError) -> str:
    """Of an error that names no file: there is no folder for temporary files, or the current one is gone."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder is not there any more: change to another"
    said = error.strerror or ""
    return f"{said}: free some space, or set TMPDIR to a folder that can be written" if "temporary" in said else ""


def _somewhere() -> str:
    return f"{Path.cwd()}, {tempfile.gettempdir()} or a folder that was named"


def _full() -> str:
    """The folders whose disks are full, of those that a command writes to."""
    found = []
    for place in (Path(), Path(tempfile.gettempdir()), Path.home()):
        try:
            if shutil.disk_usage(place).free < FULL:
                found.append(str(place.absolute()))
        except OSError:
            continue
    return " and ".join(dict.fromkeys(found))
