"""A SQLite store that was moved or copied with its files: it addresses them from the root, and so where they were.

What is done about it is one pass over the database. MLflow has no setting that would look for the files of a run
elsewhere, and after the pass its own page finds them as well.
"""

import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path
from brain_tumor.sqlite_file import WAIT, rows

# Where the database names a file: table, column, and the column with the id that stands in the address, if one does.
ADDRESSES = (
    ("runs", "artifact_uri", "run_uuid"),
    ("logged_models", "artifact_location", "model_id"),
    ("model_versions", "storage_location", ""),
    ("model_versions", "source", ""),
    ("experiments", "artifact_location", ""),
)


def local(address: str) -> Path | None:
    """The path that an address of artifacts means; None where they lie elsewhere than in this machine's folders."""
    if address.startswith("file:"):
        return Path(url2pathname(urlparse(address).path))
    return Path(address) if address.startswith("/") else None


def check(database: Path, experiment_id: str, location: str, named: str) -> None:
    """Say that the files of an experiment's runs, at `location`, are looked for elsewhere than beside the database.

    Raises InputError, which names the store as `named`, if they are looked for where nothing is.
    """
    there, here = local(location), database.parent / "artifacts"
    if there is None or there == here:
        return
    if there.is_dir():
        if here.is_dir() and not here.samefile(there):
            _say(there, here)
    elif rows(database, "SELECT 1 FROM runs WHERE experiment_id = ? LIMIT 1", int(experiment_id)):
        now = shlex.quote(f"tracking.artifacts={here if here.is_dir() else 'DIR'}")
        raise InputError(
            f"{named}: the files of its runs are looked for in {there}, which is not there; if the store was moved, "
            f"add once where they are now: {now}"
        )


@lru_cache(maxsize=1)  # once a process, which opens its store more than once
def _say(there: Path, here: Path) -> None:
    print(
        f"the files of this store's runs lie in {there}, and new ones will; if it was copied with its files, "
        f"{shlex.quote(f'tracking.artifacts={here}')}, once, has it use its own",
        file=sys.stderr,
    )


def readdress(database: Path, given: str) -> None:
    """Have a store look in the folder `given` for all files that lie there, and put new ones there.

    What is not there stays addressed as it is, if it is there. Raises InputError if no run's files are in the folder.
    """
    folder = existing_path(given).absolute()
    try:
        changed = _readdress(database, folder)
    except sqlite3.Error as error:
        raise InputError(f"tracking.artifacts={given}: sqlite:///{database} cannot be changed: {error}") from error
    except LookupError as error:
        raise InputError(
            f"tracking.artifacts={given} holds the files of no run of sqlite:///{database}: give the folder that they "
            f"were moved to{error.args[0]}"
        ) from error
    if changed:
        print(f"tracking.artifacts: {changed} addresses of sqlite:///{database} now lead to {folder}", file=sys.stderr)


def _readdress(database: Path, folder: Path) -> int:
    """Do it in one transaction; returns how many addresses changed. Raises LookupError with an example of a run."""
    with closing(sqlite3.connect(database, timeout=WAIT, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        roots = {root for place, name in _named(store) if (root := _root(place, name, folder)) is not None}
        if not roots:
            raise LookupError(next((f", {name} say, from {place}" for place, name in _named(store)), ""))
        changed = sum(_rewrite(store, table, column, roots, folder) for table, column, _ in ADDRESSES)
        store.execute("COMMIT")
    return changed


def _named(store: sqlite3.Connection) -> Iterator[tuple[Path, str]]:
    """Place and id of every run and every model."""
    for table, column, name in ADDRESSES:
        for address, known in store.execute(f"SELECT {column}, {name} FROM {table}") if name else ():
            place = local(address or "")
            if place is not None and known in place.parts:
                yield place, known


def _root(place: Path, name: str, folder: Path) -> Path | None:
    """What stands in `place` before that end of it which `folder` holds, with `name` in it; None if it does not."""
    parts = place.parts
    for start in range(1, parts.index(name) + 1):
        if folder.joinpath(*parts[start:]).exists():
            return Path(*parts[:start])
    return None


def _rewrite(store: sqlite3.Connection, table: str, column: str, roots: set[Path], folder: Path) -> int:
    """Change a column's addresses below `roots` to `folder`; returns how many were."""
    changed = 0
    for (address,) in store.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():
        place = local(address or "")
        above = [root for root in roots if place is not None and place.is_relative_to(root)]
        if place is None or not above:
            continue
        now = folder / place.relative_to(max(above, key=lambda root: len(root.parts)))
        stays = table != "experiments" and place.exists() and not now.exists()
        new = now.as_uri() if address.startswith("file:") else str(now)
        if not stays and new != address:
            changed += store.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, address)).rowcount
    return changed
