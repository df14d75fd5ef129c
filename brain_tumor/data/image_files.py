"""What is an image in a folder of images, and what is left out of it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.scans.first_bytes import kind_of_file
from brain_tumor.data.scans.opening import read_volume
from brain_tumor.errors import InputError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
PICTURES = "pictures, which are no volumes: data=folder reads them"
SCANS = "DICOM files or volumes, which training does not read: convert their slices to PNG"
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_SCAN_EXTENSIONS = frozenset({".dcm", ".dicom", ".ima", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"})


def image_files(folder: Path) -> list[Path]:
    """Files under `folder`, at any depth and through links, that are images as for `list_images`.

    Raises:
        InputError: a folder cannot be read.
    """
    try:
        return sorted(path for path in files_in(folder) if not no_image(path))
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def unreadable(path: Path, *, whole: bool = False) -> str:
    """Why a file gives no picture, or with `whole` no volume; empty where it gives one."""
    try:
        if whole:
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


def no_volume(path: Path) -> str:
    """Why a file is not listed as a volume, by its extension; empty where it is."""
    name = path.name.lower()
    if _is_hidden(name):
        return "hidden"
    if name.endswith(VOLUMES):
        return ""
    return PICTURES if path.suffix.lower() in EXTENSIONS else path.suffix.lower() or "without an extension"


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
