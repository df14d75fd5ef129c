"""How a slice is taken: plane and pose, coil sensitivity, noise, window."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.phantom.anatomy import Array, Points
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

FIELD = 225.0  # mm that a slice's side shows
# For each plane the in-plane axes (right and down in the picture) and the normal.
PLANES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "axial": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}
MIDDLE = np.array([0, -18, 8], np.float32)  # mm, about the middle of the head


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a slice lies and how the head is turned in it."""

    origin: Points  # (3,), mm: the middle of the picture
    right: Points  # (3,), unit vector
    down: Points  # (3,), unit vector
    scale: float


def draw_pose(rng: np.random.Generator, plane: str, through: Points) -> Pose:
    """A slice of a plane through a point (3,), with the head turned, moved and scaled a little."""
    right, down, normal = (np.array(axis, np.float32) for axis in PLANES[plane])
    tilt = rng.normal(0, 0.06, 2)
    right = right + np.float32(tilt[0]) * normal
    down = down + np.float32(tilt[1]) * normal
    angle = rng.normal(0, 0.12)
    turned = np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right
    right, down = (axis / np.linalg.norm(axis) for axis in turned)
    # In the plane the picture is centred on the head, wherever the point is.
    in_plane = np.array([right, down])
    origin = through + (in_plane.T @ (in_plane @ (MIDDLE - through)))
    origin = origin + rng.normal(0, 5) * right + rng.normal(0, 5) * down
    scale = float(rng.uniform(0.9, 1.12))
    return Pose(origin.astype(np.float32), right.astype(np.float32), down.astype(np.float32), scale)


def points_of(pose: Pose, size: int, count: int | None = None) -> Points:
    """(size, size, 3): where in the head, in mm, each pixel's centre lies.

    With `count` only so many of them (count, count, 3), evenly from the first pixel's centre to the last one's.
    """
    edge = 0.5 - 0.5 / size
    along = np.linspace(-edge, edge, count or size, dtype=np.float32) * np.float32(FIELD / pose.scale)
    points: Points = pose.origin + along[None, :, None] * pose.right + along[:, None, None] * pose.down
    return points.astype(np.float32)


def acquire(rng: np.random.Generator, values: Array) -> NDArray[np.uint8]:
    """Turn ideal intensities (S, S), white matter 1, into an 8-bit picture (S, S).

    Smooth coil sensitivity, a little blur, Rician noise (Gudbjartsson & Patz 1995), window and gamma.
    """
    size = len(values)
    spread = _spread(size)
    field = spread @ rng.normal(0, 0.13, (4, 4)).astype(np.float32) @ spread.T
    values = scipy.ndimage.gaussian_filter(values, rng.uniform(0.35, 0.9) * size / 160) * np.exp(field)
    sigma = np.float32(rng.uniform(0.015, 0.06))
    noise = sigma * rng.standard_normal((2, size, size), np.float32)
    noisy = np.hypot(values + noise[0], noise[1])
    top = rng.uniform(1.35, 1.8)
    shown = np.clip(noisy / np.float32(top), 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    picture: NDArray[np.uint8] = np.round(255 * shown).astype(np.uint8)
    return picture


@lru_cache(maxsize=4)
def _spread(size: int) -> Array:
    """(size, 4): what the cubic spline through each of four values, the others 0, is at a side's pixels."""
    spline: Array = scipy.ndimage.zoom(np.eye(4), (size / 4, 1), order=3)[:size].astype(np.float32)
    return spline
