"""Where an audit's report goes."""

import tempfile
from pathlib import Path

from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path


def check_place(report: str | None) -> Path | None:
    """Where the report goes: a folder that is not there yet or is empty, below one that can be written.

    Raises:
        InputError: it is none, or cannot be written.
    """
    if report is None:
        return None
    place = existing_path(report).absolute()
    try:
        if place.exists() and not (place.is_dir() and not any(place.iterdir())):
            raise InputError(f"report={report} is there already: name a new folder, or remove it first")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent):  # known now, and not after an hour of looking
            pass
    except OSError as error:
        raise InputError(f"report={report} cannot be written: {error.strerror}") from error
    return place
