"""A SQLite file, looked at before a library has a hand in it: some make their tables in whatever they are given."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

WAIT = 120  # seconds for other processes to be done writing


def tables(file: Path) -> set[str]:
    """The tables of a file; none of one that is not there, or is empty. Raises sqlite3.Error if it is no database."""
    return {name for (name,) in rows(file, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def rows(file: Path, query: str, *values: object) -> list[Any]:
    """What a query finds; nothing in a file that is not there, or is empty. Raises sqlite3.Error."""
    if not file.exists() or not file.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT)) as database:
        return database.execute(query, values).fetchall()
