"""Twins that no small shift brings to match, for one of them was stretched, or cropped into the head."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.components import components
from brain_tumor.data.twins.comparing import compared
from brain_tumor.data.twins.signature import Image
from brain_tumor.lazy import lazy

cv2 = lazy("cv2")

ALIGNED = 0.92  # least correlation of aligned twins: of known others the greatest is 0.89, of twins the least 0.94
_WORTH = 0.45  # correlation before it, below which alignment is not tried
_TRIES = 3  # pairs of a component that are tried, at either end; the twins measured are among the best 2 of one end
_COARSE = 48  # pixels a side of the first try, four times as fast
_HOPEFUL = 0.80  # correlation after it, below which there is no second; of twins the least that was measured is 0.85
_STEPS, _PRECISION, _BLUR = 20, 1e-3, 5  # of the search: iterations, gain at which it ends, pixels of its filter
_SCALE = 2.0  # by which an area may grow or shrink
_OVERLAP = 0.6  # least share of the frame that both pictures must fill


def realigned(
    pictures: NDArray[np.uint8], pairs: NDArray[np.int64], scores: NDArray[np.float64], threshold: float, workers: int
) -> NDArray[np.float64]:
    """`scores`, in which a pair that matches once it is aligned has its correlation then, ALIGNED..1.

    Tried are pairs below the threshold that would join what is not joined yet: of each component its best few, each
    with another component. So the cost grows as the number of images, however many neighbours each has.

    Args:
        pictures: uint8 (n, 2, SIDE, SIDE), of `signature.views`.
        pairs: int64 (p, 3), of `candidates.candidates`.
        scores: float (p,), correlations without alignment.
        threshold: of `scores`, from which a pair is joined without alignment.
        workers: threads.
    """
    tried = _open(pairs, scores, threshold, len(pictures))
    aligned = compared(pictures, pairs[tried], correlation, title="aligning pairs", workers=workers)
    raised = scores.copy()
    raised[tried[aligned >= ALIGNED]] = aligned[aligned >= ALIGNED]
    return raised


def correlation(first: Image, second: Image) -> float:
    """The correlation, -1..1, of two pictures (S, S) that an affine map has aligned; -1 where none does.

    The map has the greatest enhanced correlation coefficient (Evangelidis & Psarakis 2008, "Parametric image alignment
    using enhanced correlation coefficient maximization"), as OpenCV finds it.
    """
    small = (cv2.resize(each, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for each in (first, second))
    hope = _correlation(*small)
    return _correlation(np.ascontiguousarray(first), second) if hope >= _HOPEFUL else hope


def _correlation(first: Image, second: Image) -> float:
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _PRECISION)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, affine = cv2.findTransformECC(second, first, start, cv2.MOTION_AFFINE, criteria, None, _BLUR)
    except cv2.error:  # no way up from where it starts
        return -1.0
    if not 1 / _SCALE < np.linalg.det(affine[:, :2]) < _SCALE:
        return -1.0
    size = second.shape[::-1]
    moved = cv2.warpAffine(first, affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    inside = cv2.warpAffine(np.ones_like(first), affine, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
    if inside.mean() < _OVERLAP:
        return -1.0
    return float(np.corrcoef(moved[inside], second[inside])[0, 1])


def _open(pairs: NDArray[np.int64], scores: NDArray[np.float64], threshold: float, count: int) -> NDArray[np.int64]:
    """Rows of `pairs` that are worth a try, by falling score."""
    first, second = pairs[scores >= threshold, :2].T
    component = components(first, second, count)
    ends = np.sort(component[pairs[:, :2]], axis=1)
    rows = np.flatnonzero((scores >= _WORTH) & (scores < threshold) & (ends[:, 0] != ends[:, 1]))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    _, best = np.unique(ends[rows], axis=0, return_index=True)
    rows = rows[np.sort(best)]
    ranks = [pd.Series(end).groupby(end).cumcount().to_numpy() for end in ends[rows].T]
    return np.asarray(rows[np.minimum(*ranks) < _TRIES])
