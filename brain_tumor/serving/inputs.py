"""Which files a command is to answer for."""

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

# Taken in folders, beside files without a suffix, which DICOM files often are; what a file is, its content says.
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom", ".ima", ".nii", ".gz"}
)

MAPS_MARK = ".maps"  # a file in a folder of maps that a command has written; they are no input
MAPS, SPECIAL = "maps of earlier answers", "special files"


@dataclass(frozen=True)
class Files:
    """What was found."""

    base: Path  # a folder
    names: tuple[str, ...]  # of the files below it, posix, sorted
    skipped: Counter[str]  # suffix, MAPS or SPECIAL -> how many files of a folder were left out for it


def find_files(text: str) -> Files:
    """The files that `input` names: one, all of a folder and below it, or those that a glob (`**` too) matches.

    Hidden files and folders, and maps that were written beside answers, are left out of folders. Raises InputError if
    there are none.
    """
    path = existing_path(text)
    if path.is_dir():
        return _in_folder(path, text)
    if os.path.lexists(path):
        if not path.is_file():
            raise InputError(f"input={text} is no file and no folder")
        return Files(path.parent, (path.name,), Counter())
    found = [Path(each) for each in glob.glob(os.path.expanduser(text), recursive=True) if os.path.isfile(each)]
    if not found:
        raise InputError(f"input={text}: there is no such file, and no file that this matches")
    base = Path(os.path.commonpath([each.parent for each in found])) if len(found) > 1 else found[0].parent
    return Files(base, tuple(sorted(each.relative_to(base).as_posix() for each in found)), Counter())


def _in_folder(folder: Path, text: str) -> Files:
    names, skipped = [], Counter[str]()

    def fail(error: OSError) -> None:
        raise InputError(f"input={text}: {error.filename} cannot be listed: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        if MAPS_MARK in files:
            skipped[MAPS] += len(files) - 1
            folders.clear()
            continue
        folders[:] = [each for each in folders if not each.startswith(".")]
        for name in files:
            path = Path(place, name)
            if name.startswith("."):
                continue
            if not path.is_file() and path.exists():
                skipped[SPECIAL] += 1  # a pipe or a device, which may never end; a broken link is refused with its name
            elif path.suffix and path.suffix.lower() not in SUFFIXES:
                skipped[path.suffix.lower()] += 1
            else:
                names.append(path.relative_to(folder).as_posix())
    if not names:
        raise InputError(f"input={text} holds no picture, DICOM file or NIfTI volume{_but(skipped)}")
    return Files(folder, tuple(sorted(names)), skipped)


def _but(skipped: Counter[str]) -> str:
    return f" ({sum(skipped.values())} other files: {', '.join(sorted(skipped))})" if skipped else ""
