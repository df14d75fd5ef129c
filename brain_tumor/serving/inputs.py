"""Which files a command is to answer for."""

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from brain_tumor.data.image_files import EXTENSIONS
from brain_tumor.data.scans.first_bytes import kind_of_file, values_of
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

# Taken in folders whatever is in them, so that a broken one is named; of other files the first bytes say what they are.
SUFFIXES = EXTENSIONS | {".dcm", ".dicom", ".ima", ".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd"}

MAPS_MARK = ".maps"  # a file in a folder of maps that a command has written; they are no input
MAPS, SPECIAL, HIDDEN = "maps of earlier answers", "special files", "hidden"
TWICE, NAMELESS = "folders that links lead to a second time", "without a suffix"


@dataclass(frozen=True)
class Files:
    """What was found."""

    base: Path  # a folder
    names: tuple[str, ...]  # of the files below it, posix, sorted
    skipped: Counter[str]  # why -> how many files of a folder were left out; of no known kind: their suffix


def find_files(text: str) -> Files:
    """The files that `input` names: one, all of a folder and below it, or those that a glob (`**` too) matches.

    Of a folder those are left out, and counted, that are hidden or no scan by their first bytes, and the maps that were
    written beside answers. A file that holds the values of a header beside it (.nhdr, .mhd) is a part of that. Links to
    folders are followed, to each folder once. Raises InputError if there are none.
    """
    path = existing_path(text)
    if path.is_dir():
        return _in_folder(path, text)
    if os.path.lexists(path):
        if not path.is_file():
            raise InputError(f"input={text} is no file and no folder")
        return Files(path.parent, (path.name,), Counter())
    found = [Path(each) for each in glob.glob(os.path.expanduser(text), recursive=True) if os.path.isfile(each)]
    values = {values_of(each) for each in found}
    found = [each for each in found if each not in values]
    if not found:
        raise InputError(f"input={text}: there is no such file, and no file that this matches")
    base = Path(os.path.commonpath([each.parent for each in found])) if len(found) > 1 else found[0].parent
    return Files(base, tuple(sorted(each.relative_to(base).as_posix() for each in found)), Counter())


def _in_folder(folder: Path, text: str) -> Files:
    names, skipped = [], Counter[str]()
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        raise InputError(f"input={text}: {error.filename} cannot be listed: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            skipped[TWICE] += 1
            folders.clear()
            continue
        seen.add(real)
        if MAPS_MARK in files:
            skipped[MAPS] += len(files) - 1
            folders.clear()
            continue
        # Links last, so that what lies here is called by its own name
        shown = [each for each in folders if not each.startswith(".")]
        skipped.update([HIDDEN] * (len(folders) - len(shown)))
        folders[:] = sorted(shown, key=lambda each: (os.path.islink(os.path.join(place, each)), each))
        paths = list(map(Path(place).joinpath, files))
        values = {values_of(path) for path in paths}
        for path in (each for each in paths if each not in values):
            if why := _left_out(path):
                skipped[why] += 1
            else:
                names.append(path.relative_to(folder).as_posix())
    if not names:
        raise InputError(f"input={text} holds no picture, DICOM file or volume{_but(skipped)}")
    return Files(folder, tuple(sorted(names)), skipped)


def _left_out(path: Path) -> str:
    """Why a file of a folder is no input; empty where it is."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return HIDDEN
    if not path.is_file():
        # A pipe or a device, which may never end; a broken link is refused with its name
        return SPECIAL if path.exists() else ""
    try:
        known = suffix in SUFFIXES or kind_of_file(path) is not None
    except OSError:  # refused with its name, too
        known = True
    return "" if known else suffix or NAMELESS


def _but(skipped: Counter[str]) -> str:
    return f" ({sum(skipped.values())} other files: {', '.join(sorted(skipped))})" if skipped else ""
