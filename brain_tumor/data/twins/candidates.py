"""Pairs that may be twins: the nearest neighbours of small descriptors, found without comparing all with all."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.twins.signature import ORIENTATIONS
from brain_tumor.lazy import lazy
from brain_tumor.progress import progress

cv2 = lazy("cv2")
faiss = lazy("faiss")
sklearn = lazy("sklearn")

_SMALL = 32  # pixels a side of what is described
_DIMENSIONS = 64  # of a descriptor: principal components
_NEIGHBOURS = 24  # of each image, over both views and all orientations
_SAMPLE = 20_000  # pictures that the components and the cells are learnt from
_CHUNK = 1024  # images at a time: bounds the memory
_LEAST = 0.75  # cosine below which a pair is no candidate; of twins the least that was measured is 0.83
_PROBES = 32  # cells that a query looks into


def candidates(pictures: NDArray[np.uint8], *, threads: int) -> NDArray[np.int64]:
    """The pairs worth a closer look.

    An inverted file (Sivic & Zisserman 2003, "Video Google"; faiss) of about 4 sqrt(n) cells, of which a query looks
    into 32: the cost grows as n to the 1.5. Up to a few thousand pictures all cells are searched.

    Args:
        pictures: uint8 (n, 2, SIDE, SIDE), of `signature.views`.
        threads: of faiss, whose answers do not depend on them.

    Returns:
        int64 (p, 3), a row a pair: two indices, and the position in ORIENTATIONS of the turn that takes the first
        picture to the second.
    """
    count = len(pictures)
    if count < 2:
        return np.zeros((0, 3), np.int64)
    faiss.omp_set_num_threads(threads)
    basis = _basis(pictures)
    found = []
    with progress(2 * len(ORIENTATIONS) * count, "looking for twins") as bar:
        for view in range(2):
            index = _index(_described(pictures[:, view], "same", basis))
            for number, orientation in enumerate(ORIENTATIONS):
                for start in range(0, count, _CHUNK):
                    queries = _described(pictures[start : start + _CHUNK, view], orientation, basis)
                    cosines, neighbours = index.search(queries, min(_NEIGHBOURS + 1, count))
                    found.append(_rows(start, number, cosines, neighbours))
                    bar.update(len(queries))
    return _best(np.concatenate(found), count)


def _basis(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (D,) and principal components (D, d) of small pictures of both views, turned every way."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(pictures), min(len(pictures), _SAMPLE // 16), replace=False))
    small = [_shrunk(pictures[chosen, view], name) for view in range(2) for name in ORIENTATIONS]
    sample = np.concatenate(small)
    found = sklearn.decomposition.PCA(min(_DIMENSIONS, *sample.shape), svd_solver="covariance_eigh").fit(sample)
    return found.mean_.astype(np.float32), found.components_.T.astype(np.float32)


def _shrunk(pictures: NDArray[np.uint8], orientation: str) -> NDArray[np.float32]:
    """(n, SIDE, SIDE) -> float32 (n, D), turned."""
    turn = ORIENTATIONS[orientation]
    small = [cv2.resize(turn(each), (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).ravel() for each in pictures]
    return np.stack(small).astype(np.float32) - 128


def _described(
    pictures: NDArray[np.uint8], orientation: str, basis: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Unit vectors (n, d)."""
    mean, components = basis
    parts = []
    for start in range(0, len(pictures), _CHUNK):
        projected = (_shrunk(pictures[start : start + _CHUNK], orientation) - mean) @ components
        parts.append(projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6))
    return np.concatenate(parts)


def _index(vectors: NDArray[np.float32]) -> Any:
    size = vectors.shape[1]
    cells = int(4 * len(vectors) ** 0.5)
    if cells <= 4 * _PROBES:  # a short list is searched as a whole
        flat: Any = faiss.IndexFlatIP(size)
        flat.add(vectors)
        return flat
    index: Any = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = 0
    index.cp.min_points_per_centroid = 1
    index.train(vectors)
    index.add(vectors)
    index.nprobe = _PROBES
    return index


def _rows(start: int, orientation: int, cosines: NDArray[np.float32], neighbours: NDArray[np.int64]) -> NDArray[Any]:
    """Queries from `start` on with their neighbours, as rows (cosine, query, neighbour, orientation)."""
    query = np.repeat(np.arange(start, start + len(cosines)), cosines.shape[1])
    rows = np.column_stack([cosines.ravel(), query, neighbours.ravel(), np.full(query.size, orientation)])
    return np.asarray(rows[(cosines.ravel() > _LEAST) & (neighbours.ravel() >= 0) & (query != neighbours.ravel())])


def _best(rows: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Of each pair its best turn, and of each picture its best pairs."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], -rows[:, 0]))]
    query, match = rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64)
    pair = np.minimum(query, match) * count + np.maximum(query, match)
    _, first = np.unique(pair, return_index=True)
    first.sort()  # by falling cosine
    query, match = query[first], match[first]
    kept = np.zeros(len(first), np.bool_)
    for one in (query, match):
        order = np.argsort(one, kind="stable")
        rank = np.arange(len(one)) - np.searchsorted(one[order], one[order])
        kept[order[rank < _NEIGHBOURS]] = True
    return np.column_stack([query, match, rows[first, 3].astype(np.int64)])[kept]
