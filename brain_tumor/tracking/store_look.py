"""What is in a store, seen without making or upgrading anything there."""

import sqlite3
from pathlib import Path

from brain_tumor import sqlite_file
from brain_tumor.command_line import shown
from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.tracking import store_checks
from brain_tumor.tracking.store import addressed


def look(config: TrackingConfig) -> str:
    """The store that `open_store` would open, in words; InputError where it cannot be reached, read or written."""
    uri, named, database = addressed(config, make=False)
    if database is None:
        return f"{shown(uri)}: it answers"
    if not database.exists():
        return f"{database}: is made by the first run"
    store_checks.check_content(database, named)
    try:
        counts = {table: _count(database, table) for table in ("runs", "registered_models", "model_versions")}
    except sqlite3.Error as error:
        raise InputError(f"{named} cannot be read ({error}): put back a sound one, or name another") from error
    runs, models, versions = counts.values()
    return f"{database}: {runs:,} runs; {models:,} registered models, {versions:,} versions of them"


def _count(database: Path, table: str) -> int:
    if table not in sqlite_file.tables(database):
        return 0
    return int(sqlite_file.rows(database, f"SELECT COUNT(*) FROM {table}")[0][0])
