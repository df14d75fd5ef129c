"""Whole volumes as pictures: the three planes through a point, side by side, as radiologists look at them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

cv2 = lazy("cv2")

Points = NDArray[np.int64]  # (N, 3): a voxel (d, h, w) of each volume


def peaks(maps: NDArray[np.float32]) -> Points:
    """The voxel at which each map (N, D, H, W) is greatest, the first of equals; of one that is 0 the middle."""
    flat = maps.reshape(len(maps), -1)
    found = np.stack(np.unravel_index(flat.argmax(axis=1), maps.shape[1:]), axis=-1)
    return np.where(flat.max(axis=1, initial=0)[:, None] > 0, found, middles(maps))


def middles(volumes: NDArray[Any]) -> Points:
    """The voxel in the middle of each volume (N, D, H, W, …)."""
    return np.tile(np.array(volumes.shape[1:4]) // 2, (len(volumes), 1))


def three_planes(volumes: NDArray[Any], points: Points) -> NDArray[Any]:
    """The axial, the coronal and the sagittal plane through each volume's point, as one picture.

    Args:
        volumes: (N, D, H, W) of maps or masks, or (N, D, H, W, C) uint8, of which the first channel is shown: slices
            from the feet to the head, the front above and the patient's right on the left.
        points: of each.

    Returns:
        (N, H, 2 W + H), of the same dtype, of volumes with channels (N, H, 2 W + H, 3). Planes that slices are cut in
        are stretched to H rows, the head above.
    """
    gray = volumes[..., 0] if volumes.ndim == 5 else volumes
    height, width = gray.shape[2:]
    found = np.empty((len(gray), height, 2 * width + height), gray.dtype)
    for picture, values, (d, h, w) in zip(found, gray, points, strict=True):
        coronal, sagittal = values[::-1, h, :], values[::-1, :, w]
        picture[:, :width] = values[d]
        picture[:, width : 2 * width] = _stretched(coronal, width, height)
        picture[:, 2 * width :] = _stretched(sagittal, height, height)
    return np.repeat(found[..., None], 3, axis=-1) if volumes.ndim == 5 else found


def _stretched(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    mask = plane.dtype == np.bool_
    way = cv2.INTER_NEAREST if mask else cv2.INTER_LINEAR
    values = np.ascontiguousarray(plane.astype(np.uint8) if mask else plane)
    resized: NDArray[Any] = cv2.resize(values, (width, height), interpolation=way)
    return resized.astype(plane.dtype)


def cuts(images: NDArray[np.uint8], maps: NDArray[np.float32] | None = None) -> Points | None:
    """Where volumes are cut to be drawn: at each map's peak, without maps in the middle; None of slices."""
    if images.ndim == 4:
        return None
    return middles(images) if maps is None else peaks(maps)


def drawn(values: NDArray[Any], points: Points | None) -> NDArray[Any]:
    """Images, maps or masks as they are drawn, see `cuts`: those of slices as they are."""
    return values if points is None else three_planes(values, points)
