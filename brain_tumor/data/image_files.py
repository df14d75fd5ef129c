"""What is an image in a folder of images, and what is left out of it."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.scans.first_bytes import kind_of_file
from brain_tumor.data.scans.opening import read_volume
from brain_tumor.data.scans.series_volume import check_series
from brain_tumor.errors import InputError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
PICTURES = "pictures, which are no volumes: data=folder reads them"
SCANS = "DICOM files or volumes: convert their slices to PNG, or train on whole volumes by data=volumes"
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_DICOM = frozenset({".dcm", ".dicom", ".ima"})
_SCAN_EXTENSIONS = _DICOM | frozenset({".nii", ".nrrd", ".nhdr", ".mha", ".mhd"})


def image_files(folder: Path, *, whole: bool = False) -> list[Path]:
    """Files under `folder`, at any depth and through links, that are images, or `whole` volumes, as for `list_images`.

    Raises:
        InputError: a folder cannot be read.
    """
    try:
        return sorted((volumes_in if whole else images_in)(folder, Counter()))
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def unreadable(path: Path, *, whole: bool = False) -> str:
    """Why a file gives no picture, or with `whole` no volume; empty where it gives one.

    Of a folder with a series of DICOM files one slice is read.
    """
    try:
        if whole and path.is_dir():
            check_series(path)
        elif whole:
            read_volume(path)
        else:
            open_picture(path.read_bytes())
    except OSError as error:
        return error.strerror or str(error)
    except CorruptImageError as error:
        return str(error)
    return ""


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, hidden ones left out."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _is_hidden(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))  # the latter is what macOS leaves in archives


def files_in(folder: Path) -> Iterator[Path]:
    """All files at any depth, in the order of their names; links are followed, once."""
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(here, name) for name in names)


def no_image(path: Path) -> str:
    """Why a file is not listed; empty where it is: by its extension, or without one, or with a number, by its bytes."""
    extension = path.suffix.lower()
    if _is_hidden(path.name):
        return "hidden"
    if extension in EXTENSIONS:
        return ""
    kind = None
    if not extension or extension[1:].isdigit():
        with suppress(OSError):
            kind = kind_of_file(path) if path.is_file() else None  # a pipe may never end
    if kind == "picture":
        return ""
    scan = kind is not None or extension in _SCAN_EXTENSIONS or path.name.lower().endswith(".nii.gz")
    return SCANS if scan else extension or "without an extension"


def is_volume(path: Path) -> bool:
    """Whether a listed path is that of a whole volume, and not of a picture."""
    return path.is_dir() or path.name.lower().endswith(VOLUMES)


def images_in(folder: Path, ignored: "Counter[str]") -> list[Path]:
    """The images under a folder; why others are left out is counted."""
    found = []
    for path in files_in(folder):
        if reason := no_image(path):
            ignored[reason] += 1
        else:
            found.append(path)
    return found


def volumes_in(folder: Path, ignored: "Counter[str]") -> list[Path]:
    """The volumes under a folder: files by their extension, and folders with DICOM files; why others are left out."""
    found: dict[Path, None] = {}
    for path in files_in(folder):
        name = path.name.lower()
        if _is_hidden(path.name):
            ignored["hidden"] += 1
        elif name == "dicomdir":  # an index of series
            ignored["DICOMDIR"] += 1
        elif name.endswith(VOLUMES):
            found[path] = None
        elif path.suffix.lower() in EXTENSIONS:
            ignored[PICTURES] += 1
        elif _is_dicom(path):
            if path.parent == folder:
                raise InputError(f"{folder} holds DICOM files of its own: give each series a folder in it")
            found[path.parent] = None
        else:
            ignored[path.suffix.lower() or "without an extension"] += 1
    return list(found)


def _is_dicom(path: Path) -> bool:
    extension = path.suffix.lower()
    if extension in _DICOM:
        return True
    with suppress(OSError):
        return (not extension or extension[1:].isdigit()) and path.is_file() and kind_of_file(path) == "dicom"
    return False


def relative_path(path: Path, root: Path) -> str:
    """Posix path below `root`; InputError for a name that is not UTF-8."""
    text = path.relative_to(root).as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the file name {os.fsencode(path)!r} is not UTF-8: rename the file") from None
    return text


def _raise(error: OSError) -> None:
    raise error
