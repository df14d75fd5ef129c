"""Pixels of many pictures or volumes in one array, stored as planes: one of a gray picture, three of a coloured one."""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

cv2 = lazy("cv2")


class Pixels(Protocol):
    """Pictures uint8 (U, S, S, 3), RGB 0..255, or volumes (U, D, H, W, C), read by row: an array, or as below."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class Planes:
    """Planes as the pictures that they are of; what is read by an index, a slice or an array of rows is a new array."""

    def __init__(self, planes: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
        """Planes (P, S, S), 0..255, may be mapped from disk; counts (U,), of each picture: 1 or 3, in all P."""
        self._planes = planes
        self._rows = np.arange(len(counts))
        self._ends = np.cumsum(counts)
        self._counts = counts

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._rows), *self._planes.shape[1:], 3)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        wanted = self._rows[rows]
        pictures = np.empty((*wanted.shape, *self.shape[1:]), np.uint8)
        for picture, row in zip(pictures.reshape(-1, *self.shape[1:]), wanted.ravel(), strict=True):
            self._read(int(row), picture)
        return pictures

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _read(self, row: int, picture: NDArray[np.uint8]) -> None:
        count = self._counts[row]
        own = self._planes[self._ends[row] - count : self._ends[row]]
        cv2.merge([*own] * (3 // count), dst=picture)  # several times as fast as NumPy's copy


class Volumes:
    """Planes as the volumes that they are of; what is read by an array of rows is a copy."""

    def __init__(self, planes: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
        """Planes (U * D * C, H, W), 0..255, may be mapped from disk, of volumes of `shape` (D, H, W, C)."""
        depth, height, width, channels = shape
        self._volumes = planes.reshape(-1, depth, channels, height, width)

    @property
    def shape(self) -> tuple[int, ...]:
        count, depth, channels, height, width = self._volumes.shape
        return count, depth, height, width, channels

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        return np.moveaxis(self._volumes[rows], -3, -1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


def to_planes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The planes (1 or 3, S, S) of a picture (S, S, 3)."""
    planes = np.moveaxis(picture, -1, 0)
    return planes[:1] if np.array_equal(planes[0], planes[1]) and np.array_equal(planes[0], planes[2]) else planes


def at_once(shape: tuple[int, ...], most: int) -> int:
    """How many images of `shape` a network is given at once, where it may be given `most` slices of 224 pixels."""
    return max(1, min(most, most * 224**2 // math.prod(shape[:-1]))) if len(shape) == 4 else most


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly over all of them, and so over the classes that a split is ordered by."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]
