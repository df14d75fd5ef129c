"""The images of a split that a run logged, wherever they are now."""

import logging
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data.cache import pictures
from brain_tumor.data.dataset import Dataset, common_folder, find_by_content
from brain_tumor.data.image_files import is_volume
from brain_tumor.data.image_table import decoder_of
from brain_tumor.data.split import Split
from brain_tumor.data.volumes.decoding import volumes
from brain_tumor.errors import InputError
from brain_tumor.paths import existing_path

logger = logging.getLogger(__name__)


def load_logged(
    split: Split,
    data: DataConfig,
    *,
    root: str | tuple[str, ...] | None,
    shape: tuple[int, ...],
    masks: str | None = None,
) -> Dataset:
    """The very images of `split`, found by content.

    Looked for in `root` if given, else where they were; a phantom or Kaggle set that is gone from there is
    generated or downloaded again, as `data` (the configuration logged with the split) says. Lesion masks are those of
    the folder `masks`, by default the one in `data`, which may be gone. Raises InputError if any image is missing, or
    masks do not fit the images.
    """
    if isinstance(root, tuple):
        raise InputError(f"data.root names {len(root)} folders: give the one that holds the logged images")
    if root is not None:
        place: Path = existing_path(root)
        if not place.is_dir():
            raise InputError(f"data.root={root} is no folder: give the one that holds the logged images")
    elif split.root.is_dir() or data.source is Source.folder:
        place = split.root
    else:
        place = common_folder(data)
    if masks is None and data.masks is not None:
        if existing_path(data.masks).is_dir():
            masks = data.masks
        else:
            logger.warning("the masks are no longer in %s: no map is scored without data.masks=DIR", data.masks)
    return find_by_content(
        split, place, decoder=decoder_of(data, shape), masks=masks, cache=data.cache, workers=data.workers
    )


def load_pictures(split: Split, shas: Collection[str], side: int) -> dict[str, NDArray[np.uint8]]:
    """Some images of `split`, by SHA-256, uint8 (side, side, 3) RGB 0..255, found as they were logged.

    Of whole volumes, uint8 (D, side, side, 1).

    Raises InputError if one of them is no longer there, wherever under the split's root.
    """
    table = split.table
    chosen = table[table["sha256"].isin(set(shas))].drop_duplicates("sha256")
    if chosen.empty:
        return {}
    part = split.moved(chosen, split.root)
    whole = is_volume(split.root / chosen["path"].iloc[0])
    decoder = volumes((side // 4, side, side, 1), None) if whole else pictures(side)
    with tempfile.TemporaryDirectory() as cache:
        dataset = find_by_content(part, split.root, decoder=decoder, cache=cache)
        return dict(zip(chosen["sha256"], dataset.images(np.arange(len(part))), strict=True))
