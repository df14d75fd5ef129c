"""Tables that a user hands in as CSV, by whatever spreadsheet they were written."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd

from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

SEPARATORS = (",", ";", "\t")  # of which Excel takes the one that goes with the language of the machine
_SEP = re.compile(r'\ufeff?"?sep=(.)"?[ ;,\t]*', re.IGNORECASE)  # a first line that says so, to Excel
_WORKBOOK = b"PK\x03\x04"


def read_columns(key: str, file: str, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the CSV that `key=file` names, as text without blanks around it; other columns are not read.

    The separator is that with which the first line, or the one below `sep=…`, names the columns, in any case. UTF-8 or
    UTF-16, with or without a byte order mark, with the line ends of any system.

    Raises:
        InputError: it cannot be read, lacks a column or has it twice, or a row has more fields than there are columns.
    """
    what = f"{key}={file}"
    text = _text(file, what)
    first, _, rest = text.partition("\n")
    if said := _SEP.fullmatch(first):
        text = rest
    head = next((line for line in text.split("\n") if line.strip()), "")
    by_separator = {each: _names(head, each) for each in ((said[1],) if said else SEPARATORS)}
    whole = [each for each, names in by_separator.items() if set(columns) <= set(names)]
    if not whole:
        raise InputError(f"{what} lacks {_lacks(max(by_separator.values(), key=len), columns)}")
    names = by_separator[whole[0]]
    if twice := [name for name in columns if names.count(name) > 1]:
        raise InputError(f"{what} has the column {twice[0]} twice")
    rows = _rows(text, whole[0], len(names), what, 1 if said else 0)
    places = [names.index(name) for name in columns]
    return pd.DataFrame([[row[place] for place in places] for row in rows[1:]], columns=list(columns), dtype=str)


def _text(file: str, what: str) -> str:
    """What a file says, its lines ended by \\n."""
    try:
        content = existing_path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}") from error
    if content.startswith(_WORKBOOK):
        raise InputError(f"{what} is a workbook, not CSV: save it as CSV (UTF-8)")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{what}, line {line}: is not UTF-8: save it as CSV (UTF-8)") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _names(line: str, separator: str) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:  # longer than a field may be
        return []
    return [name.strip().lower() for name in rows[0]] if rows else []


def _lacks(names: Sequence[str], columns: Sequence[str]) -> str:
    absent = [name for name in columns if name not in names]
    near = {name: get_close_matches(name, [each for each in names if each not in columns], n=1) for name in absent}
    meant = "".join(f"; rename {found[0]} to {name}" for name, found in near.items() if found)
    there = ", ".join(repr(name)[:40] for name in names[:8] if name) or "nothing"
    return f"the column(s) {', '.join(absent)}: its first line has {there}{meant}"


def _rows(text: str, separator: str, columns: int, what: str, before: int) -> list[list[str]]:
    """The rows that hold anything, the header among them, each with `columns` fields."""
    found = []
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields[columns:]):
                raise InputError(
                    f"{what}, line {reader.line_num + before}: {len(fields)} fields for {columns} columns: put a value "
                    "that holds the separator in double quotes"
                )
            if any(fields):
                found.append((fields + [""] * columns)[:columns])
    except csv.Error as error:
        raise InputError(f"{what}, line {reader.line_num + before}: cannot be read as CSV: {error}") from error
    return found
