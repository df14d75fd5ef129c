"""Output that cannot be written: to nobody who reads it any more (`… | head -1`), or to a full disk (`… > file`)."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

EXIT = 128 + signal.SIGPIPE  # as a shell says it of a program that ends so
_lost: list[int] = []  # the exit code, once stdout has been given up


@contextmanager
def quiet() -> Iterator[None]:
    """End the process with EXIT, without a word, if stdout has lost its reader, and with a line if its disk is full."""
    _lost.clear()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not is_of_output(error):
            raise
        give_up(error)
    if _lost:
        sys.exit(_lost[0])


def is_of_output(error: OSError) -> bool:
    """Whether an error comes of printing: files have a name."""
    return error.errno in (errno.EPIPE, errno.ENOSPC, errno.EFBIG) and error.filename is None


def give_up(error: OSError) -> None:
    """Let go of stdout, and of a stderr that goes there: what is printed from here on, or held back, is dropped."""
    _drop(sys.stdout)
    try:
        ending = error.__context__
        said = isinstance(ending, SystemExit) and ending.code  # with a line of its own
        if not isinstance(error, BrokenPipeError) and not said:
            print(f"error: what is printed cannot be written: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)
    _lost.append(EXIT if isinstance(error, BrokenPipeError) else 2)


def _drop(stream: TextIO) -> None:
    with suppress(OSError, ValueError):  # a test's, which is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
