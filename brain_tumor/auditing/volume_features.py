"""The trivial features of whole volumes, and the shortcuts that they may be.

Healthy heads and tumours often come from other collections, with another scanner, field of view or preprocessing: then
a file's header tells the class, or how much of it is background, and no tumour has to be looked at.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.auditing.floor import Shortcut, forest, logistic, majority, nothing, shortcut_floor, tree
from brain_tumor.data.cache import Contents
from brain_tumor.data.dataset import Dataset

THUMBNAIL = 8  # voxels a side
CLEAR = 0.05  # by which a floor exceeds the most frequent class, at 95 % confidence, before a training warns of it


@dataclass(frozen=True, eq=False)
class VolumeFeatures:
    """One row per volume of `Contents`."""

    header: NDArray[np.float32]  # (U, F): voxels and mm along the file's axes, which way they run, type of the values
    background: NDArray[np.float32]  # (U, 2): shares of the voxels that are 0, and that are no head
    statistics: NDArray[np.float32]  # (U, 6): of the file's values, mean, deviation and four percentiles
    thumbnails: NDArray[np.uint8]  # (U, 8, 8, 8): of the fitted grays, the nearest voxels


def volume_features(contents: Contents) -> VolumeFeatures:
    """Of every volume; the rows of those that could not be decoded mean nothing."""
    facts = _tabulated(contents.table["volume"].tolist())
    d, h, w = (np.linspace(0, side - 1, THUMBNAIL).round().astype(int) for side in contents.pixels.shape[1:4])
    small = [
        np.asarray(contents.pixels[row])[d[:, None, None], h[:, None], w][..., 0] for row in range(len(facts["header"]))
    ]
    thumbnails = np.array(small, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, THUMBNAIL)
    return VolumeFeatures(**facts, thumbnails=thumbnails)


def _tabulated(facts: list[str]) -> dict[str, NDArray[np.float32]]:
    empty: dict[str, Any] = {
        "shape": [0] * 3,
        "spacing": [0] * 3,
        "axes": "",
        "dtype": "",
        "zeros": 0,
        "air": 0,
        "statistics": [0] * 6,
    }
    rows: list[dict[str, Any]] = [json.loads(each) if each else empty for each in facts]
    codes = pd.get_dummies(pd.DataFrame([(each["axes"], each["dtype"]) for each in rows], columns=["axes", "dtype"]))
    numbers = np.array([[*each["shape"], *each["spacing"]] for each in rows], np.float32).reshape(-1, 6)
    return {
        "header": np.column_stack([numbers, codes.to_numpy(np.float32).reshape(len(rows), -1)]),
        "background": np.array([[each["zeros"], each["air"]] for each in rows], np.float32).reshape(-1, 2),
        "statistics": np.array([each["statistics"] for each in rows], np.float32).reshape(-1, 6),
    }


def _header(images: pd.DataFrame, measures: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(measures.header[rows])


def _background(images: pd.DataFrame, measures: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(measures.background[rows])


def _statistics(images: pd.DataFrame, measures: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(measures.statistics[rows])


def _thumbnail(images: pd.DataFrame, measures: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(measures.thumbnails[rows].reshape(len(rows), -1), np.float32)


KNOWN_BY_FILE = (
    Shortcut("majority", "the most frequent class", nothing, majority),
    Shortcut("header", "the file's header alone (voxels, mm, axes, type of values)", _header, tree),
    Shortcut("background", "shares of zeros and of air alone, random forest", _background, forest),
)
VOLUME_SHORTCUTS = (
    *KNOWN_BY_FILE,
    Shortcut("statistics", "six statistics of all values, random forest", _statistics, forest),
    Shortcut("thumbnail_logistic", "8 x 8 x 8 thumbnail, logistic regression", _thumbnail, logistic),
    Shortcut("thumbnail_forest", "8 x 8 x 8 thumbnail, random forest", _thumbnail, forest),
)


def file_floor(dataset: Dataset, *, seed: int, workers: int) -> str:
    """In a line, that the files tell the classes apart whatever they show; "" where they do not, or nobody can tell.

    By the training and validation parts alone, over folds that keep patients whole.
    """
    rows = np.concatenate([dataset.rows(part) for part in ("train", "val")])
    images = dataset.split.table.iloc[rows].reset_index(drop=True).assign(part="")
    measures = VolumeFeatures(
        **_tabulated([dataset.volumes[row] for row in rows]), thumbnails=np.zeros((len(rows), 0), np.uint8)
    )
    floor = shortcut_floor(images, measures, np.arange(len(rows)), seed=seed, workers=workers, shortcuts=KNOWN_BY_FILE)
    if floor.empty:
        return ""
    usual = float(floor.loc[floor["shortcut"] == "majority", "accuracy"].iloc[0])
    best = floor.sort_values("accuracy").iloc[-1]
    if not best["low"] > usual + CLEAR:
        return ""
    return (
        f"the files tell the class of {best['accuracy']:.0%} of the volumes without a look at the head "
        f"({best['title']}; the most frequent class alone: {usual:.0%}): a network may learn that in place of tumours; "
        "see brain_tumor.audit with the same data"
    )
