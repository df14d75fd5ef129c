"""From the configuration to a data set: the split, and every image's pixels."""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.config.train import DataConfig, OnCorrupt, ProtocolConfig, Source
from brain_tumor.data.cache import Contents, Decoder, cache_folder, decoded
from brain_tumor.data.classes import ClassList
from brain_tumor.data.grouping import with_groups
from brain_tumor.data.image_table import from_site, locate, read_images, read_phantom, source_folders
from brain_tumor.data.masks import PackedMasks, find_masks, read_mask
from brain_tumor.data.pixels import Pixels
from brain_tumor.data.protocol import KNOWN, divide, divide_known, leak, require_whole_groups
from brain_tumor.data.relabel import corrected
from brain_tumor.data.split import Split, carve, rows_digest
from brain_tumor.data.volumes import decoding
from brain_tumor.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A split and its pixels. A `row` is always a position in `split.table`."""

    split: Split
    pixels: Pixels  # (U, S, S, 3) RGB 0..255, or (U, D, H, W, C), mapped from disk: one per distinct content
    pixel_rows: NDArray[np.int64]  # (len(split),): where in `pixels` each row's picture is
    mask_paths: tuple[str, ...] | None  # per row, absolute or below split.root, "" where none is known; None: no masks
    volumes: tuple[str, ...] = ()  # what is said of each row's volume, see `volumes.decoding`

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each image: (S, S, 3) of slices, (D, H, W, C) of whole volumes."""
        return tuple(self.pixels.shape[1:])

    @property
    def image_size(self) -> int:
        """Pixels a side of slices."""
        return int(self.pixels.shape[1])

    def rows(self, part: str) -> NDArray[np.int64]:
        """The rows of a part, in the table's order."""
        return self.split.part(part).index.to_numpy(np.int64)

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """int32 (len(rows),): the class of each row, as its position in `split.classes`."""
        names = self.split.table["label"].to_numpy()[rows]
        return np.array([self.split.classes.index(name) for name in names], np.int32)

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (len(rows), *shape), 0..255, read into memory."""
        return np.asarray(self.pixels[self.pixel_rows[rows]])

    def mask_of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """bool (len(rows), *shape[:-1]): the lesion, fitted as its image; False where none is known; None: no masks."""
        if self.mask_paths is None:
            return None
        masks = np.zeros((len(rows), *self.shape[:-1]), np.bool_)
        for mask, row in zip(masks, rows, strict=True):
            if self.mask_paths[row]:
                mask[:] = self._mask(row)
        return masks

    def _mask(self, row: int) -> NDArray[np.bool_]:
        assert self.mask_paths is not None
        path = self.split.root / self.mask_paths[row]
        if len(self.shape) == 3:
            return read_mask(path, self.image_size)
        return decoding.read_mask(path, self.volumes[row], self.shape[:-1])

    def shows_lesion(self, part: str) -> bool:
        """Whether any image of a part has a mask that shows a lesion; a black one shows none."""
        masks = self.mask_paths or ("",) * len(self.split)
        return any(self._mask(row).any() for row in self.rows(part) if masks[row])

    def lesions(self, rows: NDArray[np.int64]) -> PackedMasks:
        """What is known of the lesions of `rows`: their masks, but black ones, and that the healthy class has none."""
        healthy = self.split.classes.healthy
        known = np.array([name == healthy for name in self.split.table["label"].to_numpy()[rows]], np.bool_)
        bits = np.zeros((len(rows), -(-(self.image_size**2) // 8)), np.uint8)
        for index, row in enumerate(rows):
            masks = self.mask_of(np.array([row]))
            if masks is not None and masks.any():
                bits[index], known[index] = np.packbits(masks), True
        return PackedMasks(bits, known, self.image_size)


def load(data: DataConfig, *, shape: tuple[int, ...], protocol: ProtocolConfig) -> Dataset:
    """The data set that the configuration names, divided by `protocol` (see `protocol.divide`).

    With `data.subset` the split holds that share of the training part; the other parts are as without it.

    Raises:
        InputError: the images cannot be found, read, decoded (see `data.on_corrupt`) or divided.
    """
    dataset = _load(data, shape, protocol, None)
    require_whole_groups(dataset.split, protocol.name)
    _report(dataset.split)
    return dataset


load_shared = lru_cache(maxsize=16)(load)  # for runs in one process: its folds or sites; pixels stay on disk


def load_known(data: DataConfig, *, shape: tuple[int, ...], protocol: ProtocolConfig) -> Dataset:
    """The images around a model that was trained elsewhere, divided by `protocol.divide_known`."""
    dataset = _load(data, shape, protocol, None, adopted=True)
    _report(dataset.split)
    return dataset


def load_whole(data: DataConfig, *, shape: tuple[int, ...], known: ClassList) -> Dataset:
    """All images of the source as one test part, whatever folders they stand in: another site, say.

    Their classes are those of a model, which `known` lists; some may have no image.
    """
    dataset = _load(data, shape, None, known)
    _report(dataset.split)
    return dataset


def common_folder(data: DataConfig) -> Path:
    """The folder that holds all of the source's images."""
    return Path(os.path.commonpath(list(source_folders(data).values())))


def find_by_content(
    split: Split,
    root: Path,
    *,
    decoder: Decoder,
    masks: str | None = None,
    cache: str | None = None,
    workers: int = 2,
) -> Dataset:
    """The very images of a logged split, by the SHA-256 of their files, wherever under `root` they stand now.

    Returns:
        Dataset whose split has `root` and the paths found there; its digest is that of `split`. Its masks are those
        of the folder `masks`, see `find_masks`; a phantom brings its own.

    Raises:
        InputError: `root` is no folder, some images are not there, or the masks do not fit them.
    """
    if not root.is_dir():
        raise InputError(f"the images are no longer in {root}: say where they are with data.root=DIR")
    table = split.table
    located = locate(table, root, workers, whole=len(decoder.shape) == 4)
    places = [place for place in located if place is not None]
    if len(places) < len(table):
        lost = table[[place is None for place in located]]
        raise InputError(
            f"{len(lost)} of the split's {len(table)} images are not under {root} ({_some(lost['path'])}): "
            "give the folder that holds the very same files with data.root=DIR"
        )
    contents = decoded(dict(zip(table["sha256"], places, strict=True)), decoder, cache_folder(cache), workers)
    logged = table["path"].tolist()
    if table["site"].nunique() > 1:  # where masks may stand by site/path
        logged = [from_site(path, site) for path, site in zip(logged, table["site"], strict=True)]
    table["path"] = [place.relative_to(root).as_posix() for place in places]
    return _with_masks(split.moved(table, root), contents, masks, logged, workers)


def _load(
    data: DataConfig,
    shape: tuple[int, ...],
    protocol: ProtocolConfig | None,
    known: ClassList | None,
    *,
    adopted: bool = False,
) -> Dataset:
    roots = source_folders(data)
    listing = read_images(data, roots, shape, known)
    contents = listing.contents
    images = listing.table.assign(file=[str(file) for file in listing.files])
    images = _without_corrupt(images, ", ".join(map(str, roots.values())), data.on_corrupt)
    whole = data.volume_shape is not None and data.source is not Source.phantom
    with_groups(images, patients=data.patients, cache=data.cache, workers=data.workers, whole=whole)
    listed = rows_digest(images[["sha256", "label", "group"]])
    images["corrected"] = corrected(images, data.relabel, listing.classes)
    _warn_of_conflicts(images)
    if whole:
        _warn_of_unplaced(images)
    if protocol is None:
        images["part"] = "test"
    elif adopted:
        images = divide_known(images, protocol, data)
    else:
        images = divide(images, protocol, data, listing.classes)
        if data.subset is not None:
            images = _reduced(images, data.subset, data.split_seed)
    images["label"] = images["corrected"]  # after the division: each image stays in the part that it had
    root = Path(os.path.commonpath(list(roots.values())))
    listed_paths = images["path"].tolist()
    images["path"] = [Path(file).relative_to(root).as_posix() for file in images["file"]]
    synthetic = data.source is Source.phantom
    split = Split(
        images, root=root, source=data.source.value, synthetic=synthetic, listed=listed, classes=listing.classes
    )
    return _with_masks(split, contents, data.masks, listed_paths, data.workers)


def _with_masks(split: Split, contents: Contents, masks: str | None, also: list[str], workers: int) -> Dataset:
    shas = split.table["sha256"]
    found = _phantom_masks(split)
    if masks is not None:
        if split.synthetic:
            raise InputError(f"data.masks={masks} is not read with data=phantom, which brings its own: leave it out")
        sizes = contents.table.set_index("sha256").loc[shas, ["width", "height"]].itertuples(index=False, name=None)
        paths = split.table["path"].tolist()
        said = contents.table["volume"].to_numpy(str)[_pixel_rows(shas, contents)].tolist()
        whole = said if len(contents.pixels.shape) == 5 else None
        found = find_masks(masks, paths, list(sizes), also=also, shas=shas.tolist(), workers=workers, volumes=whole)
        known = pd.Series([path != "" for path in found]).groupby(split.table["site"].to_numpy()).any()
        for site in known.index[~known]:
            example = also[split.table["site"].tolist().index(site)]
            logger.warning("data.masks=%s has no mask of the site %s (looked for that of %s)", masks, site, example)
    rows = _pixel_rows(shas, contents)
    volumes = tuple(contents.table["volume"].to_numpy(str)[rows]) if len(contents.pixels.shape) == 5 else ()
    return Dataset(split, contents.pixels, rows, found, volumes)


def _phantom_masks(split: Split) -> tuple[str, ...] | None:
    if split.source != Source.phantom or not (split.root / "table.csv").is_file():
        return None
    phantom = read_phantom(split.root)
    masks = dict(zip(phantom["path"], phantom["mask"], strict=True))
    return tuple(masks.get(path, "") for path in split.table["path"])


def _without_corrupt(images: pd.DataFrame, where: str, on_corrupt: OnCorrupt) -> pd.DataFrame:
    corrupt = images[images["error"] != ""]
    if corrupt.empty:
        return images
    named = [f"{path} ({error})" for path, error in zip(corrupt["path"], corrupt["error"], strict=True)]
    what = f"{len(corrupt)} of {len(images)} images in {where} cannot be decoded: {_some(named)}"
    if on_corrupt is OnCorrupt.error:
        raise InputError(f"{what}; repair or remove them, or leave them out with data.on_corrupt=skip")
    logger.warning("%s; left out (data.on_corrupt=skip)", what)
    rest = images[images["error"] == ""].reset_index(drop=True)
    left = set(zip(rest["part"], rest["label"], strict=True))
    for part, label in sorted(set(zip(images["part"], images["label"], strict=True)) - left):
        which = f"{label}, {part} part" if part else label
        raise InputError(f"{where}: none of the images of {which} can be decoded: repair or replace them")
    return rest


def _reduced(images: pd.DataFrame, subset: float, seed: int) -> pd.DataFrame:
    """The images without the training rows that `subset` leaves out."""
    shares = [subset]
    while shares[-1] < 1 / 20:  # `carve` takes no less at once
        shares[-1:] = [1 / 20, shares[-1] * 20]
    rows = images.index[images["part"] == "train"]
    try:
        for share in shares:
            rows = rows[carve(images.loc[rows], share, key="data.subset", seed=seed)]
    except InputError as error:
        raise InputError(f"data.subset={subset} is too small a share of these training images ({error})") from error
    kept = images["part"].ne("train") | images.index.isin(rows)
    return images[kept].reset_index(drop=True)


def _warn_of_conflicts(images: pd.DataFrame) -> None:
    labels = images.groupby("twin")["corrected"].nunique()
    if (labels > 1).any():
        paths = images.loc[images["twin"].isin(labels.index[labels > 1]), "path"]
        logger.warning(
            "slices that stand under two classes: %d (%s); the audit lists them", (labels > 1).sum(), _some(paths)
        )


def _warn_of_unplaced(images: pd.DataFrame) -> None:
    lost = images.loc[[not json.loads(said)["placed"] for said in images["volume"]], "path"]
    if len(lost):
        logger.warning(
            "volumes whose file does not say which side is which, taken as stored: %d (%s)", len(lost), _some(lost)
        )


def _pixel_rows(shas: "pd.Series[str]", contents: Contents) -> NDArray[np.int64]:
    return np.asarray(pd.Index(contents.table["sha256"]).get_indexer(shas.tolist()), np.int64)


def _report(split: Split) -> None:
    counts = ", ".join(f"{part} {sum(classes.values())}" for part, classes in split.counts.items())
    kind = "synthetic images" if split.synthetic else "images"
    logger.info("%d %s in %s (%s), split %s", len(split), kind, split.root, counts, split.digest[:12])
    logger.info("classes: %s", split.classes)
    if "val" in split.counts and (absent := split.absent("val")):
        logger.warning("the val part has no image of %s: they have no say in what is selected", ", ".join(absent))
    for part in KNOWN:
        found = leak(split, part)
        if found:
            logger.warning("%s: scores on them flatter every model", found)


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:3]) + (", ..." if len(every) > 3 else "")
