"""No word of a request is in the log."""

import io
import logging
import traceback
from types import ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from brain_tumor.serving.review_page.logs import hush, textless

SECRET = "Mrs Jones"


def fail() -> None:
    try:
        TypeAdapter(int).validate_python(SECRET)
    except ValidationError as error:
        raise KeyError(SECRET) from error


def test_what_is_printed_says_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    module: Any = ModuleType("loud")
    exec("import traceback\ndef run(work):\n    try: work()\n    except Exception: traceback.print_exc()", vars(module))
    module.run(fail)
    assert SECRET in capsys.readouterr().err
    hush(module)
    module.run(fail)
    told = capsys.readouterr().err
    assert SECRET not in told
    assert all(part in told for part in ("ValidationError", "KeyError", "in fail"))
    assert module.traceback.format_exc is traceback.format_exc


def test_what_is_logged_does_so_too() -> None:
    logger, stream = logging.Logger("loud"), io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    logger.addFilter(textless)
    try:
        fail()
    except KeyError:
        logger.exception("failed")
    assert SECRET not in stream.getvalue()
    assert all(part in stream.getvalue() for part in ("failed", "ValidationError", "KeyError", "in fail"))
