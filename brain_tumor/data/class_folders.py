"""A folder of images: its layout, and the usual spellings of the class names."""

import logging
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path

import pandas as pd

from brain_tumor import CLASSES
from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.scans.first_bytes import kind_of_file
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

logger = logging.getLogger(__name__)

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
SCANS = "DICOM files or volumes, which training does not read: convert their slices to PNG"
_SCAN_EXTENSIONS = frozenset({".dcm", ".dicom", ".ima", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"})
LAYOUTS = "Training/ and Testing/, or train/, val/ and test/, or the class folders themselves"

# Compared in lower case and without anything but letters: "No Tumor", "no_tumor" and "no-tumour" are one.
PART_SPELLINGS: Mapping[str, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation"}),
    "test": frozenset({"test", "testing"}),
}
CLASS_SPELLINGS: Mapping[str, frozenset[str]] = {
    "glioma": frozenset({"glioma", "gliomas", "gliomatumor", "gliomatumors"}),
    "meningioma": frozenset({"meningioma", "meningiomas", "meningiomatumor", "meningiomatumors"}),
    "notumor": frozenset({"notumor", "notumors", "no", "none", "normal", "healthy"}),
    "pituitary": frozenset({"pituitary", "pituitarytumor", "pituitarytumors", "pituitaryadenoma"}),
}


def site_folders(roots: str | Sequence[str] | None) -> dict[str, Path]:
    """The folder of each site that `data.root` names, one or a list, in its order.

    A site is called as its folder; where two are called alike, with the folder above before it, `hospital/scans`.

    Raises:
        InputError: none is given, one is not there, is no folder, or is named twice.
    """
    if roots is None or isinstance(roots, str):
        root = image_folder(roots)
        return {root.name: root}
    paths = [image_folder(root) for root in roots] or [image_folder(None)]
    twice = [place for place, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if twice:
        raise InputError(f"data.root names {twice[0]} twice: name every folder once")
    for outer, inner in permutations(paths, 2):
        if inner.resolve().is_relative_to(outer.resolve()):
            raise InputError(f"data.root: {inner} lies in {outer}, which has its images already: name only one of them")
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths, strict=True))


def image_folder(root: str | None) -> Path:
    """The folder that `root` names: literally if that exists, else with `~` as the home folder.

    Raises:
        InputError: not given, not there, or no folder.
    """
    if not root:
        raise InputError("data=folder needs the folder of images: add data.root=DIR")
    path = existing_path(root).absolute()
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise InputError(f"data.root={root} does not exist (looked for {path})") from None
    except OSError as error:
        raise InputError(f"data.root={root} cannot be read: {error.strerror}") from error
    if not is_folder:
        raise InputError(f"data.root={root} is a file: give the folder that holds {LAYOUTS}")
    if any(place.name.startswith("phantom-") and (place / "table.csv").is_file() for place in (path, path.parent)):
        raise InputError(f"data.root={root} is the synthetic phantom, which must not pass for real: use data=phantom")
    return path


def list_images(root: Path) -> pd.DataFrame:
    """Every image under `root`, sorted by path: columns `path` (posix, relative), `label`, `part`.

    `part` is "" throughout where `root` holds class folders and no parts. An image is told by its extension; of files
    without one, or with a number for it, the first bytes are read. What is left out is counted by its reason in the
    log.

    Raises:
        InputError: a folder cannot be read or its layout is unknown, or a part lacks a class or its images.
    """
    return _listed(root, logger.log)


def check_layout(roots: Iterable[Path], *, readable: bool) -> None:
    """Find out, without reading all of it, whether the `roots` of a data set hold what `list_images` lists.

    Raises:
        InputError: as `list_images`; with `readable` also where no image of a class, in a part, can be decoded.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    for root in roots:
        for image in _listed(root, lambda level, text, *values: None).itertuples():
            found.setdefault((str(image.part), str(image.label)), []).append(root / str(image.path))
    for (part, label), files in found.items() if readable else ():
        reasons = map(_unreadable, files)
        first = next(reasons)
        if first and all(reasons):
            which = f"{label}, {part} part" if part else label
            raise InputError(
                f"none of the images of {which} can be decoded ({files[0]}: {first}): repair or replace them"
            )


def image_files(folder: Path) -> list[Path]:
    """Files under `folder`, at any depth and through links, that are images as for `list_images`.

    Raises:
        InputError: a folder cannot be read.
    """
    try:
        return sorted(path for path in _files(folder) if not _no_image(path))
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error


def _listed(root: Path, remark: Callable[..., None]) -> pd.DataFrame:
    """The table of `list_images`; `remark` is told, as a logger is, of what is left out."""
    try:
        folders = _subfolders(root)
        parts = _named(folders, PART_SPELLINGS, root, "part")
        others = ", ".join(name for name in folders if name not in parts.values()) if parts else ""
        if others:
            remark(logging.WARNING, "%s: folders that are no part are left out: %s", root, others)
        rows: list[tuple[str, str, str]] = []
        for part, name in (parts or {"": "."}).items():
            found, ignored = _rows(root, root / name, part)
            rows += found
            if ignored:
                reasons = ", ".join(f"{count} {reason}" for reason, count in ignored.most_common())
                level = logging.WARNING if SCANS in ignored else logging.INFO
                text = "%s: %d file(s) that are no images are ignored (%s)"
                remark(level, text, root / name, ignored.total(), reasons)
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    return pd.DataFrame(rows, columns=["path", "label", "part"]).sort_values("path", ignore_index=True)


def _unreadable(path: Path) -> str:
    """Why a file gives no picture; empty where it gives one."""
    try:
        open_picture(path.read_bytes())
    except OSError as error:
        return error.strerror or str(error)
    except CorruptImageError as error:
        return str(error)
    return ""


def _rows(root: Path, folder: Path, part: str) -> tuple[list[tuple[str, str, str]], "Counter[str]"]:
    folders = _subfolders(folder)
    classes = _named(folders, CLASS_SPELLINGS, folder, "class")
    unknown = [name for name in folders if name not in classes.values()]
    if not classes:
        found = ", ".join(map(repr, folders[:5])) or "no folder"
        raise InputError(f"{folder} holds {found}; expected {LAYOUTS} ({', '.join(CLASSES)})")
    if unknown:
        raise InputError(
            f"{folder} holds {unknown[0]!r}, which is none of the classes {', '.join(CLASSES)}: "
            "rename the folder or move it elsewhere"
        )
    absent = [label for label in CLASSES if label not in classes]
    if absent:
        raise InputError(f"{folder} lacks the class folder(s) {', '.join(absent)}: all four classes are needed")
    rows: list[tuple[str, str, str]] = []
    ignored: Counter[str] = Counter()
    for label in CLASSES:
        images = []
        for path in _files(folder / classes[label]):
            if reason := _no_image(path):
                ignored[reason] += 1
            else:
                images.append(path)
        if not images:
            kinds = " ".join(sorted(EXTENSIONS))
            raise InputError(f"{folder / classes[label]} holds no image ({kinds}): add images of that class")
        rows += [(_relative(path, root), label, part) for path in images]
    return rows, ignored


def _named(folders: list[str], spellings: Mapping[str, frozenset[str]], parent: Path, what: str) -> dict[str, str]:
    """The folder of each part or class that `parent` holds, in the order of `spellings`."""
    found: dict[str, str] = {}
    for key, known in spellings.items():
        names = [name for name in folders if _bare(name) in known]
        if len(names) > 1:
            both = " and ".join(map(repr, names))
            raise InputError(f"{parent} holds {both}, which are one {what} ({key}): merge them into one folder")
        if names:
            found[key] = names[0]
    return found


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower()).replace("tumour", "tumor")


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _is_hidden(entry.name))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))  # the latter is what macOS leaves in archives


def _files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(here, name) for name in names)


def _no_image(path: Path) -> str:
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


def _relative(path: Path, root: Path) -> str:
    text = path.relative_to(root).as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the file name {os.fsencode(path)!r} is not UTF-8: rename the file") from None
    return text


def _raise(error: OSError) -> None:
    raise error
