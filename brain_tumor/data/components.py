"""Connected components of a graph: what belongs together because links connect it, however many stand between."""

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

scipy = lazy("scipy")


def components(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The connected component (count,) of `count` nodes, by links from `first` (l,) to `second` (l,)."""
    matrix = scipy.sparse.coo_matrix((np.ones(len(first)), (first, second)), (count, count))
    return np.asarray(scipy.sparse.csgraph.connected_components(matrix, directed=False)[1], np.int64)
