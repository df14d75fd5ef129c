"""Answers on disk: a journal that grows file by file and outlives a stop, and the table that it becomes."""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path, replacing
from brain_tumor.serving.files import Read
from brain_tumor.serving.predictor import ScanPrediction
from brain_tumor.serving.reply import counts, placed, said

SUFFIXES = (".csv", ".jsonl")
_PLACED = ("file", "plane", "position_mm")
Records = Callable[[], Iterator[dict[str, Any]]]  # what it was begun with, then all records; from the first, each time
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Journal:
    """What was answered so far, an object a line, below a line that says by what."""

    out: Path  # what it becomes
    path: Path
    done: frozenset[str]  # names of files that have an answer

    def append(self, file: Read, found: ScanPrediction | None) -> None:
        """Add a file; a stop loses no finished one. Raises OSError, with the journal's path."""
        try:
            with open(self.path, "ab") as journal:
                journal.write(_line(_record(file, found)))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """What it was begun with; then all records, in the order in which they were added, each with what answered."""
        with open(self.path, "rb") as file:
            begun = json.loads(next(file))
            yield begun
            by = {key: begun[key] for key in ("model", "views") if begun.get(key) is not None}
            for line in file:
                yield {**json.loads(line), **by}

    def finish(self) -> None:
        """Write `out` from it, complete or not at all, and remove it."""
        write = _write_csv if self.out.suffix.lower() == ".csv" else _write_jsonl
        with replacing(self.out, errors="surrogateescape") as file:
            write(file, self.records)
        self.path.unlink()


def check_out(out: str, *, overwrite: bool) -> Path:
    """The file that `out` names; InputError unless it can be written and may be."""
    path = existing_path(out).absolute()
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"out={out}: name a file that ends in {' or '.join(SUFFIXES)}")
    if path.exists() and not overwrite:
        raise InputError(f"out={out} is there already: name another file, or replace it with overwrite=true")
    if path.is_dir():
        raise InputError(f"out={out} is a folder: name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"out={out} cannot be written: {error.strerror or error}") from error
    return path


@contextmanager
def journal_of(out: Path, begun_with: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of `out`, held for this process: a new one, or one that a stopped command has left.

    Raises InputError if what is there was begun with another `begun_with`, or another process is at it.
    """
    path = out.with_name(f"{out.name}.part")
    if path.is_symlink():
        raise InputError(f"{path} is a link, which is not followed: remove it, or name another out")
    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{path} is being written by another process: wait for it, or name another out") from error
    except OSError as error:
        raise InputError(f"{lock.lock_file} cannot be written: {error.strerror or error}") from error
    try:
        yield _open(out, path, begun_with)
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _open(out: Path, path: Path, begun_with: Mapping[str, Any]) -> Journal:
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]  # the rest is a record that was cut off
    if not whole:
        path.write_bytes(_line(begun_with))
        return Journal(out, path, frozenset())
    try:
        first, *records = map(json.loads, whole.splitlines())
        done = frozenset(str(record["path"]) for record in records)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no journal of answers: remove it, or name another out") from error
    differing = [key for key, value in begun_with.items() if first.get(key) != value]
    if differing:
        raise InputError(
            f"{path} was begun with another {', '.join(differing)}: give the same to go on with it, remove it, or name "
            "another out"
        )
    os.truncate(path, len(whole))
    return Journal(out, path, done)


def _record(file: Read, found: ScanPrediction | None) -> dict[str, Any]:
    if found is None:
        return {"path": file.name, "error": file.error}
    volume = {} if found.volume is None else {"volume": counts(found.volume)}
    slices = [said(each) for each in found.slices]
    if found.volume is not None:
        slices = [each | placed(place) for each, place in zip(slices, file.places, strict=True)]
    about = {"path": file.name, "kind": file.kind, "plane": file.plane, "remarks": file.remarks}
    return {**about, "slices": slices, **volume}


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def _write_jsonl(file: IO[str], records: Records) -> None:
    for each in islice(records(), 1, None):
        file.write(json.dumps(each, ensure_ascii=False) + "\n")


def _write_csv(file: IO[str], records: Records) -> None:
    writer = csv.DictWriter(file, _columns(records()), restval="", lineterminator="\n")
    writer.writeheader()
    for each in islice(records(), 1, None):
        writer.writerows(_rows(each))


def _columns(records: Iterator[dict[str, Any]]) -> list[str]:
    """Those that the model has, by the first file that has an answer, and those of volumes where there is one."""
    begun = next(records)
    names: list[str] = []
    levels: list[str] = []
    volumes = False
    for each in records:
        if each.get("slices") and not names:
            names, levels = list(each["slices"][0]["probabilities"]), list(each["slices"][0]["sets"])
        if "volume" in each:
            volumes = True
            levels += [level for level in each["volume"].get("sets", ()) if level not in levels]
    columns = ["path", "slice", *(_PLACED if volumes else []), "class", *(f"probability_{name}" for name in names)]
    columns += [*(f"set_{float(level) * 100:g}" for level in sorted(levels, key=float)), "not_sure", "not_brain_mri"]
    shares = ["brain_slices", *(f"share_{name}" for name in names)] if volumes else []
    columns += shares
    if begun.get("lesion_map"):
        columns += ["lesion_area", "lesion_area_mm2", "lesion_peak"]
    if begun.get("without_lesion"):
        columns += ["without_lesion_class", *(f"without_lesion_probability_{name}" for name in names)]
        columns += [f"without_lesion_{name}" for name in shares]
    return [*columns, "remarks", "model", *(["views"] if begun.get("views") else []), "error"]


def _rows(each: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    path = each["path"]
    if path.startswith(_FORMULA):
        path = f"./{path}"  # the same file, and no formula to a spreadsheet
    by = {key: each[key] for key in ("model", "views") if key in each}
    if "error" in each:
        yield {"path": path, **by, "error": each["error"]}
        return
    several = len(each["slices"]) > 1
    about = {"path": path, "remarks": "; ".join(each.get("remarks", ())), **by}
    for index, found in enumerate(each["slices"]):
        row = {**about, "slice": index if several else "", **_said(found)}
        row |= {f"lesion_{key}": "" if value is None else repr(value) for key, value in found.get("lesion", {}).items()}
        if bare := found.get("without_lesion"):
            row |= {f"without_lesion_{key}": value for key, value in _said(bare).items()}
        row |= {key: "" if found.get(key) is None else found[key] for key in _PLACED if several}
        yield row | {key: _flag(found[key]) for key in ("not_sure", "not_brain_mri")}
    if "volume" in each:
        counted = each["volume"]
        row = {**about, "slice": "volume", **_said(counted), **_shares(counted)}
        row |= {key: _flag(counted.get(key)) for key in ("not_sure", "not_brain_mri")}
        bare = counted.get("without_lesion", {})
        yield row | {f"without_lesion_{key}": value for key, value in (_said(bare) | _shares(bare)).items()}


def _said(found: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a class, its probabilities and sets; none of a volume without an answer."""
    if found.get("class") is None:
        return {}
    row = {"class": found["class"]}
    row |= {f"probability_{name}": repr(value) for name, value in found["probabilities"].items()}
    return row | {f"set_{float(level) * 100:g}": "; ".join(names) for level, names in found.get("sets", {}).items()}


def _shares(counted: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of what the slices of a volume say; none where that was not asked."""
    if not counted:
        return {}
    return {"brain_slices": counted["brain_slices"]} | {
        f"share_{name}": repr(value) for name, value in counted["shares"].items()
    }


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()
