"""Errors in the log without what was asked: an exception's text may quote a request, and so a patient's file."""

import logging
import sys
import traceback
from types import ModuleType, SimpleNamespace


def where(error: BaseException) -> str:
    """A traceback without texts: the kinds of exceptions, and where they were raised."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = f"{where(before)}\n\n" if before is not None else ""
    return f"{told}Traceback (most recent call last):\n{frames}{type(error).__qualname__}"


def textless(record: logging.LogRecord) -> bool:
    """A filter of log records, which passes all of them, their exceptions without texts."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = where(record.exc_info[1])  # which formatters take as it is
    return True


def hush(*modules: ModuleType) -> None:
    """Let modules that print what they catch print it without texts."""

    def print_exc() -> None:
        error = sys.exception()
        if error is not None:
            print(where(error), file=sys.stderr)

    for module in modules:
        vars(module)["traceback"] = SimpleNamespace(**{**vars(traceback), "print_exc": print_exc})
