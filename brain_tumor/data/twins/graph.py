"""The graph of twins: images that show one and the same slice, whatever was done to its pixels."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.cache import Contents, decoded, pictures
from brain_tumor.data.components import components
from brain_tumor.data.split import write_text
from brain_tumor.data.twins.alignment import realigned
from brain_tumor.data.twins.candidates import candidates
from brain_tumor.data.twins.comparing import compared
from brain_tumor.data.twins.signature import ORIENTATIONS, SIDE, inverse, kind_of, views
from brain_tumor.lazy import lazy
from brain_tumor.progress import progress

cv2 = lazy("cv2")

logger = logging.getLogger(__name__)

THRESHOLD = 0.87  # least score of twins: different slices of a patient score up to 0.86 (tests/data/test_twins.py)
SIZE = 224  # pixels a side that images are decoded to
VERSION = 4  # part of the cache's key: to be raised with whatever changes what is found
_SHIFT = 3  # of SIDE pixels, by which twins may be shifted
_COLUMNS = {"a": str, "b": str, "transform": str, "score": float}


@dataclass(frozen=True, eq=False)
class TwinGraph:
    """Pairs of images, by the SHA-256 (hex) of their files, and what they are to each other."""

    # All pairs that were compared: a < b; transform: "identical", or of ORIENTATIONS the one that takes a to b; score.
    candidates: pd.DataFrame

    @property
    def edges(self) -> pd.DataFrame:
        """The twins: a < b, `kind` ("identical" | "same" | "mirrored" | "turned"), `score` (THRESHOLD..1)."""
        found = self.candidates[self.candidates["score"] >= THRESHOLD]
        return found.assign(kind=found["transform"].map(kind_of))[["a", "b", "kind", "score"]].reset_index(drop=True)

    def groups(self, shas: Sequence[str]) -> list[str]:
        """An id for each image, equal for those that are connected by twins: "t" and the least SHA-256's first 12."""
        edges = self.edges
        names = pd.Index(sorted({*shas, *edges["a"], *edges["b"]}))
        first, second = (names.get_indexer(pd.Index(edges[end])) for end in ("a", "b"))
        component = components(first, second, len(names))
        least = pd.Series(names).groupby(component).min()
        return [f"t{least[component[place]][:12]}" for place in names.get_indexer(pd.Index(shas))]


def find_twins(files: Mapping[str, Path], *, cache: Path, workers: int) -> TwinGraph:
    """Find which of `files` (SHA-256 -> one file of that content) show the same slice.

    Images are normalised by local contrast, in the whole frame and in the head alone; nearest neighbours of small
    descriptors in all eight orientations are candidates, and the correlation of the two pictures, shifted by up to
    3 % of the side, confirms them. A pair below THRESHOLD that correlates by `alignment.ALIGNED` or more once it is
    aligned is one too, and has that score. What is found is kept in `cache`, by content.

    Args:
        files: as `cache.decoded` takes them; an image that cannot be decoded, or is blank, has no twin.
        cache: folder of decoded images.
        workers: threads.
    """
    shas = sorted(files)
    key = hashlib.sha256("\n".join([f"twins {VERSION}", *shas]).encode()).hexdigest()[:24]
    place = cache / "twins" / f"{key}.csv"
    known = _read(place)
    if known is None:
        known = _find(decoded(files, pictures(SIZE), cache, workers), workers)
        _write(place, known)
    return TwinGraph(known)


def _find(contents: Contents, workers: int) -> pd.DataFrame:
    table = contents.table
    readable = np.flatnonzero((table["error"] == "").to_numpy())
    _, first = np.unique(table["digest"].to_numpy()[readable], return_index=True)
    distinct = readable[np.sort(first)]  # one image of each picture: the pixel-identical ones join it below
    rows, pictures = _pictures(contents, distinct, workers)
    pairs = candidates(pictures, threads=workers)
    scores = compared(pictures, pairs, _correlation, title="comparing pairs", workers=workers)
    scores = realigned(pictures, pairs, scores, THRESHOLD, workers)
    shas = table["sha256"].to_numpy()
    named = np.array([(name, inverse(name)) for name in ORIENTATIONS])
    swapped = pairs[:, 0] > pairs[:, 1]  # rows are in the order of the SHA-256
    found = pd.DataFrame(
        {
            "a": shas[rows[pairs[:, :2].min(axis=1)]],
            "b": shas[rows[pairs[:, :2].max(axis=1)]],
            "transform": named[pairs[:, 2], swapped.astype(int)],
            "score": scores.round(4),
        }
    )
    alike = table.loc[readable, ["sha256", "digest"]].merge(table.loc[distinct, ["sha256", "digest"]], on="digest")
    alike = alike[alike["sha256_x"] != alike["sha256_y"]]
    identical = pd.DataFrame(np.sort(alike[["sha256_x", "sha256_y"]].to_numpy(str), axis=1), columns=["a", "b"])
    identical = identical.assign(transform="identical", score=1.0)
    return pd.concat([identical, found]).sort_values(["a", "b"], kind="stable", ignore_index=True)


def _pictures(contents: Contents, rows: NDArray[np.int64], workers: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The rows that show something, and their pictures uint8 (n, 2, SIDE, SIDE)."""
    pictures = np.zeros((len(rows), 2, SIDE, SIDE), np.uint8)

    def see(number: int) -> bool:
        found = views(np.asarray(contents.pixels[rows[number]]))
        if found is not None:
            pictures[number] = found
        return found is not None

    with ThreadPoolExecutor(workers) as pool, progress(len(rows), "normalising contrast") as bar:
        shown = np.zeros(len(rows), np.bool_)
        for number, each in enumerate(pool.map(see, range(len(rows)), chunksize=64)):
            shown[number] = each
            bar.update(1)
    return rows[shown], pictures[shown]


def _correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The greatest normalised cross-correlation over shifts by up to _SHIFT pixels."""
    inner = np.ascontiguousarray(first[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    return float(cv2.matchTemplate(second, inner, cv2.TM_CCOEFF_NORMED).max())


def _read(place: Path) -> pd.DataFrame | None:
    try:
        table = pd.read_csv(place, dtype=_COLUMNS)
    except (OSError, ValueError):
        return None
    return table if list(table.columns) == list(_COLUMNS) and not table.isna().any(axis=None) else None


def _write(place: Path, table: pd.DataFrame) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, table.to_csv(index=False))
    except OSError as error:
        logger.warning("cannot keep the twins in %s (%s): they will be looked for again", place.parent, error.strerror)
