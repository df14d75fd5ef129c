"""What belongs together because links connect it, however many there are between."""

import numpy as np
from numpy.typing import NDArray


def components(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The connected component (count,) of `count` nodes, by links from `first` (l,) to `second` (l,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    matrix = coo_matrix((np.ones(len(first)), (first, second)), (count, count))
    return np.asarray(connected_components(matrix, directed=False)[1], np.int64)
