"""From the stored values of a DICOM frame to gray levels."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.scans.levels import Reals, levels, stretched


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table; values before its first entry get that one, values after its last get the last."""

    first: int  # the value that gets the first entry
    entries: NDArray[np.uint16]  # as they are stored: a file may have one for each of its frames
    scale: tuple[int, float] | None = None  # the largest possible entry, and what it becomes

    def of(self, values: Reals) -> Reals:
        place = np.clip(np.nan_to_num(values - self.first), 0, len(self.entries) - 1)
        found = self.entries[place.astype(np.intp)].astype(np.float64)
        return found if self.scale is None else found / self.scale[0] * self.scale[1]

    def digest(self) -> bytes:
        """The same for tables that do the same."""
        return hashlib.sha256(repr((self.first, self.scale)).encode() + self.entries.tobytes()).digest()


@dataclass(frozen=True)
class Window:
    """PS3.3, C.11.2.1.2 and C.11.2.1.3."""

    center: float
    width: float
    function: str  # LINEAR, LINEAR_EXACT or SIGMOID; others count as LINEAR

    def of(self, values: Reals) -> Reals:
        """Gray levels 0..255, not rounded."""
        if self.function == "SIGMOID":
            return 255 / (1 + np.exp(-4 * (values - self.center) / self.width))
        exact = self.function == "LINEAR_EXACT"
        center, width = (self.center, self.width) if exact else (self.center - 0.5, self.width - 1)
        if width <= 0:
            return np.where(values > center, 255.0, 0.0)
        return ((values - center) / width + 0.5) * 255


@dataclass(frozen=True, eq=False)
class Grays:
    """How stored values of a frame become gray levels (PS3.3, C.11.1 and C.11.2)."""

    slope: float
    intercept: float
    modality: Table | None  # in place of slope and intercept
    window: Window | None
    voi: Table | None  # to 0..255; in place of the window

    def values(self, stored: Reals) -> Reals:
        """In the unit of the modality."""
        return self.modality.of(stored) if self.modality else stored * self.slope + self.intercept


def gray_levels(
    stored: NDArray[Any],
    grays: Grays,
    scale: tuple[float, float],
    padding: tuple[float, float] | None,
    inverted: bool,
) -> NDArray[np.uint8]:
    """Gray levels (rows, columns) of a frame's stored values.

    Args:
        stored: (rows, columns).
        grays: how they become gray levels.
        scale: the values of black and white where the frame has no window.
        padding: stored values from … to that are no picture and become black.
        inverted: the smallest value is white (MONOCHROME1).
    """

    def shown(values: Reals) -> Reals:
        rescaled = grays.values(values)
        if grays.voi:
            level = grays.voi.of(rescaled)
        elif grays.window:
            level = grays.window.of(rescaled)
        else:
            level = stretched(rescaled, *scale)
        level = np.clip(np.nan_to_num(level, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)
        return np.where(padded(values, padding), 0, 255 - level if inverted else level)

    return levels(stored, shown)


def padded(values: Reals, padding: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Which stored values are no picture."""
    if padding is None:
        return np.zeros(values.shape, bool)
    return (padding[0] <= values) & (values <= padding[1])
