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
    if not handle or not _PINNED.fullmatch(handle):
        raise InputError(f"data.handle={handle} must name a version: owner/dataset/versions/1")

    try:
        return Path(kagglehub.dataset_download(handle))
    # kagglehub raises errors of requests, of the archive formats and its own, with no common base
    except Exception as error:
        page = "https://www.kaggle.com/datasets/" + handle.split("/versions/")[0]
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot download {handle} from Kaggle ({reason[:300]}): download it elsewhere from {page} "
            "and use data=folder data.root=DIR, or train on synthetic images with data=phantom"
        ) from error
