"""A data set from Kaggle, through kagglehub: its cache, its progress bar, its credentials."""

import re
from pathlib import Path

from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy

kagglehub = lazy("kagglehub")

_PINNED = re.compile(r"[\w-]+/[\w-]+/versions/\d+")


def download(handle: str | None) -> Path:
    """The folder of the data set, downloaded unless kagglehub has it already.

    Args:
        handle: `owner/dataset/versions/N`. The version is required: sets change under one name.

    Raises:
        InputError: the handle names no version, or the download failed.
    """
    handle = _pinned(handle)
    try:
        return Path(kagglehub.dataset_download(handle))
    # kagglehub raises errors of requests, of the archive formats and its own, with no common base
    except Exception as error:
        page = page_of(handle)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot download {handle} from Kaggle ({reason[:300]}): download it elsewhere from {page} "
            "and use data=folder data.root=DIR, or train on synthetic images with data=phantom"
        ) from error


def downloaded(handle: str | None) -> Path | None:
    """The folder of a data set that kagglehub has already, or None; InputError for a handle without a version."""
    found = kagglehub.cache.Cache().load_from_cache(kagglehub.handle.parse_dataset_handle(_pinned(handle)))
    return None if found is None else Path(found)


def page_of(handle: str) -> str:
    """Where a person finds a data set."""
    return "https://www.kaggle.com/datasets/" + handle.split("/versions/")[0]


def _pinned(handle: str | None) -> str:
    if not handle or not _PINNED.fullmatch(handle):
        raise InputError(f"data.handle={handle} must name a version: owner/dataset/versions/1")
    return handle
