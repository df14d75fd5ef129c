"""A slice of a head with a lesion and without, before a scanner takes it.

What is smooth (the head's displacement, and how deep a point lies) is computed at few points of the slice and spread
over the others; tissue and lesion only where there is no air.
"""

from typing import NamedTuple

import numpy as np

from brain_tumor.data.phantom import acquisition, anatomy, lesions
from brain_tumor.data.phantom.anatomy import Array
from brain_tumor.data.phantom.lesions import Mask

NODES = 33  # a side: 6 to 8 mm apart, where the displacement bends over some 45 mm


class Rendered(NamedTuple):
    """Ideal intensities (S, S), white matter 1."""

    healthy: Array
    diseased: Array
    mask: Mask  # of the lesion, see `lesions.apply`


def render(head: anatomy.Head, lesion: lesions.Lesion, pose: acquisition.Pose, size: int) -> Rendered:
    """The slice of a pose, `size` pixels a side, as the healthy head has it and with the lesion."""
    nodes = anatomy.to_template(head, acquisition.points_of(pose, size, NODES))
    depth = anatomy.template().depth.at(nodes)
    fine = enlarged(np.concatenate([nodes, depth[..., None]], axis=-1), size)
    seen = np.nonzero(anatomy.in_head(head, fine[..., :3], fine[..., 3]))
    points, deep = fine[seen][:, :3], fine[seen][:, 3]
    tissue = anatomy.tissue(head, points, deep)
    changed, inside = lesions.apply(lesion, points, tissue, deep)
    healthy, diseased = np.zeros((2, size, size), np.float32)
    mask = np.zeros((size, size), bool)
    healthy[seen], diseased[seen], mask[seen] = tissue, changed, inside
    return Rendered(healthy, diseased, mask)


def enlarged(values: Array, size: int) -> Array:
    """Values (n, n, C) at (size, size, C) places, bilinear, the first and last rows and columns onto each other."""
    places = np.linspace(0, len(values) - 1, size, dtype=np.float32)
    low = np.minimum(places.astype(np.intp), len(values) - 2)
    share = places - low.astype(np.float32)
    rows = values[low] + share[:, None, None] * (values[low + 1] - values[low])
    return np.asarray(rows[:, low] + share[:, None] * (rows[:, low + 1] - rows[:, low]))
