"""Folders of images: their layout, and what is an image in them."""

import logging
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path

import pandas as pd

from brain_tumor.config.train import DataConfig
from brain_tumor.data.classes import ClassList, name_classes, renamed_folders, renaming, standard_name
from brain_tumor.data.image_files import (
    EXTENSIONS,
    SCANS,
    VOLUMES,
    images_in,
    relative_path,
    subfolders,
    unreadable,
    volumes_in,
)
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

logger = logging.getLogger(__name__)

LAYOUTS = "Training/ and Testing/, or train/, val/ and test/, or the class folders themselves"

# Compared in lower case and without anything but letters.
PART_SPELLINGS: Mapping[str, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation"}),
    "test": frozenset({"test", "testing"}),
}
_PARTS = frozenset().union(*PART_SPELLINGS.values())


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


def list_images(
    roots: Mapping[str, Path],
    data: DataConfig,
    known: ClassList | None = None,
    remark: Callable[..., None] = logger.log,
) -> tuple[pd.DataFrame, ClassList]:
    """Every image under the roots (site -> folder), and the classes that their folders are.

    An image is told by its extension; of files without one, or with a number for it, the first bytes are read. What is
    left out is counted by its reason in the log.

    Args:
        roots: each holds parts, or class folders.
        data: its `classes`, `healthy` and `rename` say which folder is which class, see `classes.name_classes`.
        known: the classes of the model that shall answer.
        remark: is told, as a logger is, of what is left out.

    Returns:
        The classes, and columns `path` (posix, below its root), `label`, `part` ("" where a root holds class folders
        and no parts), `site`; of each site sorted by path.

    Raises:
        InputError: a folder cannot be read or its layout is unknown, or one of a class holds no image.
    """
    tables = [_listed(root, data, remark).assign(site=site) for site, root in roots.items()]
    table = pd.concat(tables, ignore_index=True)
    order = table.assign(place=table["part"].map(["", *PART_SPELLINGS].index)).sort_values("place", kind="stable")
    try:
        naming = name_classes(order["folder"], data, known)
    except InputError as error:
        raise InputError(f"{', '.join(map(str, roots.values()))}: {error}") from error
    _refuse_two_of_one(table, naming.label_of, data, roots)
    labels = table["folder"].map(naming.label_of)
    out = table.loc[labels.isna() & ~table["path"].str.endswith("/"), "folder"].value_counts()
    if len(out):
        counts = ", ".join(f"{count} of {name!r}" for name, count in out.items())
        remark(logging.WARNING, "data.classes leaves out %d image(s): %s", int(out.sum()), counts)
    table = table.assign(label=labels)[labels.notna()].reset_index(drop=True)
    _refuse_empty(table, roots, EXTENSIONS if data.volume_shape is None else VOLUMES)
    return table[["path", "label", "part", "site"]], naming.classes


def check_layout(
    roots: tuple[tuple[str, Path], ...], data: DataConfig, known: ClassList | None = None, *, readable: bool
) -> tuple[pd.DataFrame, ClassList]:
    """Find out, without reading all of it, whether the `roots` (site, folder) hold what `list_images` lists.

    Raises:
        InputError: as `list_images`; with `readable` also where no image of a class, in a part, can be decoded.
    """
    places = dict(roots)
    table, classes = list_images(places, data, known, lambda level, text, *values: None)
    for (part, label), rows in table.groupby(["part", "label"], sort=False) if readable else ():
        files = [places[site] / path for site, path in zip(rows["site"], rows["path"], strict=True)]
        reasons = map(partial(unreadable, whole=data.volume_shape is not None), files)
        first = next(reasons)
        if first and all(reasons):
            which = f"{label}, {part} part" if part else label
            raise InputError(
                f"none of the images of {which} can be decoded ({files[0]}: {first}): repair or replace them"
            )
    return table, classes


def _listed(root: Path, data: DataConfig, remark: Callable[..., None]) -> pd.DataFrame:
    """Columns path, folder (the name of the class's), part; a folder without an image has a row, itself."""
    try:
        folders = subfolders(root)
        parts = _parts(folders, root)
        others = ", ".join(name for name in folders if name not in parts.values()) if parts else ""
        if others:
            remark(logging.WARNING, "%s: folders that are no part are left out: %s", root, others)
        rows: list[tuple[str, str, str]] = []
        for part, name in (parts or {"": "."}).items():
            found, ignored = _rows(root, root / name, part, data)
            rows += found
            if ignored:
                reasons = ", ".join(f"{count} {reason}" for reason, count in ignored.most_common())
                level = logging.WARNING if SCANS in ignored else logging.INFO
                text = "%s: %d file(s) that are no images are ignored (%s)"
                remark(level, text, root / name, ignored.total(), reasons)
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    return pd.DataFrame(rows, columns=["path", "folder", "part"]).sort_values("path", ignore_index=True)


def _rows(root: Path, folder: Path, part: str, data: DataConfig) -> tuple[list[tuple[str, str, str]], "Counter[str]"]:
    names = subfolders(folder)
    if not names:
        raise InputError(f"{folder} holds no folder; expected {LAYOUTS}, each called as its class")
    rows: list[tuple[str, str, str]] = []
    ignored: Counter[str] = Counter()
    list_in = images_in if data.volume_shape is None else volumes_in
    for name in names:
        if data.classes is None:
            _refuse_set(folder / name)
        images = list_in(folder / name, ignored)
        places = [relative_path(path, root) for path in images] or [f"{relative_path(folder / name, root)}/"]
        rows += [(place, name, part) for place in places]
    return rows, ignored


def _parts(folders: list[str], parent: Path) -> dict[str, str]:
    """The folder of each part that `parent` holds, in the order of PART_SPELLINGS."""
    found: dict[str, str] = {}
    for part, known in PART_SPELLINGS.items():
        names = [name for name in folders if _bare(name) in known]
        if len(names) > 1:
            both = " and ".join(map(repr, names))
            raise InputError(f"{parent} holds {both}, which are one part ({part}): merge them into one folder")
        if names:
            found[part] = names[0]
    return found


def _refuse_set(folder: Path) -> None:
    """A folder of parts or of classes is no class, but a data set of its own."""
    if standard_name(folder.name):
        return
    inner = [name for name in subfolders(folder) if standard_name(name) or _bare(name) in _PARTS]
    if inner:
        raise InputError(
            f"{folder} holds {', '.join(map(repr, inner[:4]))} and so is no class but a data set: give "
            f"data.root={folder}, several of them as 'data.root=[A,B]', or, if it is one class, all classes as "
            "'data.classes=[A,B]'"
        )


def _refuse_two_of_one(
    table: pd.DataFrame, label_of: Mapping[str, str | None], data: DataConfig, roots: Mapping[str, Path]
) -> None:
    """Two folders of one class are probably a mistake, unless `data.rename` makes them one."""
    renamed = renamed_folders(label_of, data.rename)
    meant = {label_of[name] for name in renamed}
    for (site, part), rows in table.groupby(["site", "part"]):
        names: dict[str, str] = {}
        for name in rows["folder"].unique():
            label = label_of[name]
            if label is None or label in meant:
                continue
            if label in names:
                where = f"{roots[str(site)]}" + (f", {part} part," if part else "")
                raise InputError(
                    f"{where} holds {names[label]!r} and {name!r}, which are one class ({label}): merge them into "
                    f"one folder, or say that they are one with {renaming(name, new=label)}"
                )
            names[label] = name


def _refuse_empty(table: pd.DataFrame, roots: Mapping[str, Path], extensions: Collection[str]) -> None:
    for row in table[table["path"].str.endswith("/")].itertuples():
        kinds = " ".join(sorted(extensions))
        place = roots[str(row.site)] / str(row.path)
        raise InputError(f"{place} holds no image ({kinds}): add images of that class, or move the folder elsewhere")


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
