"""Every image of a source, read once, before anything is divided: what it is called, what it is, and its pixels."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data import class_folders, image_files, kaggle
from brain_tumor.data.cache import Contents, Decoder, cache_folder, decoded, hash_files, pictures
from brain_tumor.data.classes import ClassList, name_classes
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.data.volumes.decoding import volumes
from brain_tumor.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Listing:
    """What a source holds, corrupt files included.

    Columns of `table`, one row per image: `path` (posix, below its root; with several roots `site/path`), `label`,
    `part` ("" where the folders do not say), `group` ("" where the source does not know), `site`, `mask` ("" without
    one), `sha256` (hex, of the file; "" where it cannot be read), `digest` (hex, of the pixels; "" where it cannot be
    decoded), `width` and `height` (pixels; 0 where it cannot be decoded), `mode` (Pillow's), `volume` (what its
    file says of a volume), `error` ("" or why not).
    """

    table: pd.DataFrame
    files: tuple[Path, ...]  # of each row
    contents: Contents  # the pictures, by `sha256`
    classes: ClassList


def source_folders(data: DataConfig) -> dict[str, Path]:
    """The folder of each site of the source: given (one or several), downloaded (kaggle) or generated (phantom).

    Raises:
        InputError: a folder is not there, cannot be written, or is not named as the source needs it.
    """
    if data.source is Source.folder:
        return class_folders.site_folders(data.root)
    if data.source is Source.kaggle:
        return {data.handle or "": kaggle.download(data.handle)}
    if data.phantom is None:
        raise InputError("data.source=phantom needs the block data.phantom: choose it with data=phantom")
    if data.patients is not None:
        raise InputError(
            f"data.patients={data.patients} is not read with data=phantom, whose subjects are known: leave it out"
        )
    if data.relabel is not None:
        raise InputError(
            f"data.relabel={data.relabel} is not read with data=phantom, whose labels are known: leave it out"
        )

    return {"phantom": ensure_phantom(data.phantom, cache_folder(data.cache), data.workers)}


def decoder_of(data: DataConfig, shape: tuple[int, ...]) -> Decoder:
    """How the files of a source become pixels of `shape`: (S, S, 3) of slices, (D, H, W, C) of whole volumes."""
    return pictures(shape[0]) if data.volume_shape is None else volumes(shape, data.spacing)


def read_images(
    data: DataConfig, roots: Mapping[str, Path], shape: tuple[int, ...], known: ClassList | None = None
) -> Listing:
    """List, hash and decode the images under `roots` (site -> folder, see `source_folders`), with progress.

    `known`: the classes of the model that shall answer, beside which no others are possible.

    Raises:
        InputError: a layout or a class is unknown, or the cache cannot be written. A file that cannot be read or
            decoded is no error: its row says why.
    """
    if data.source is Source.phantom:
        images, names = _list_phantom(roots["phantom"], data, known)
    else:
        images, names = class_folders.list_images(roots, data, known)
        images = images.assign(group="" if data.volume_shape is None else patients_by_folder(images), mask="")
    files = [roots[site] / path for site, path in zip(images["site"], images["path"], strict=True)]
    if len(roots) > 1:
        images["path"] = images["site"] + "/" + images["path"]
    images["sha256"], errors = hash_files(files, data.workers)
    distinct = {sha: file for sha, file in zip(images["sha256"], files, strict=True) if sha}
    contents = decoded(distinct, decoder_of(data, shape), cache_folder(data.cache), data.workers)
    about = contents.table.set_index("sha256").reindex(images["sha256"])
    for column, absent in (("digest", ""), ("width", 0), ("height", 0), ("mode", ""), ("volume", "")):
        images[column] = about[column].fillna(absent).to_numpy()
    images["error"] = about["error"].fillna("").to_numpy() + pd.Series(errors, dtype=object)
    return Listing(images, tuple(files), contents, names)


def locate(table: pd.DataFrame, root: Path, workers: int, *, whole: bool = False) -> list[Path | None]:
    """The file of each row (`path`, `sha256`) of a logged split, under `root`; None where it is not there any more.

    It is the one of that path if its content is still the same, otherwise any of that content.

    Raises:
        InputError: a folder under `root` cannot be read.
    """
    places = [root / path for path in table["path"]]
    there, _ = hash_files(places, workers)
    found = dict(zip(there, places, strict=True))
    if set(table["sha256"]) - found.keys() and root.is_dir():
        others = image_files.image_files(root, whole=whole)
        shas, _ = hash_files(others, workers)
        found = dict(zip(shas, others, strict=True)) | found
    rows = zip(table["sha256"], there, places, strict=True)
    return [place if sha == now else found.get(sha) for sha, now, place in rows]


def from_site(path: str, site: str) -> str:
    """`site/path`, as several roots list an image, of a path below what they have in common."""
    _, found, rest = f"/{path}".partition(f"/{site}/")
    return f"{site}/{rest}" if found else path


def listed_paths(table: pd.DataFrame) -> list[str]:
    """The paths by which a source lists a split's images: below their root, or with several roots `site/path`."""
    if table["site"].nunique() < 2:
        return table["path"].tolist()
    return [from_site(path, site) for path, site in zip(table["path"], table["site"], strict=True)]


def read_phantom(root: Path) -> pd.DataFrame:
    """The phantom's own table: columns path, label, part, group, site, mask."""
    table = pd.read_csv(root / "table.csv", dtype=str, keep_default_na=False)
    return table[["path", "label", "part", "group", "site", "mask"]]


def patients_by_folder(images: pd.DataFrame) -> "pd.Series[str]":
    """Whose a volume is by its place: the folder in that of its class, whatever the part; or else the file itself."""
    below = [path.split("/")[bool(part) :] for path, part in zip(images["path"], images["part"], strict=True)]
    nested = pd.Series([len(each) > 2 for each in below], index=images.index)
    folders = pd.Series(["/".join(each[:2]) for each in below], index=images.index)
    names = folders[nested].str.partition("/")[2]
    classes = images.loc[nested, "label"].groupby(names).nunique()
    if (classes > 1).any():
        logger.warning(
            "%d folders of patients have their name under two classes (%s …) and count as different people: if they "
            "are one, say so with data.patients",
            *(int((classes > 1).sum()), classes.index[classes > 1][0]),
        )
    return images["site"] + "/" + folders.where(nested, images["path"])


def _list_phantom(root: Path, data: DataConfig, known: ClassList | None) -> tuple[pd.DataFrame, ClassList]:
    table = read_phantom(root)
    naming = name_classes(sorted(table["label"].unique()), data, known)
    labels = table["label"].map(naming.label_of)
    return table.assign(label=labels)[labels.notna()].reset_index(drop=True), naming.classes
