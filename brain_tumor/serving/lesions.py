"""What a model's lesion map marks in a slice: how much of the picture that is, and the slice with that painted over."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import fitted_size
from brain_tumor.data.scans.scan import Extent
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.explanation.maps import Maps, upsample
from brain_tumor.evaluation.explanation.region import marked
from brain_tumor.evaluation.explanation.removal import paint_over, widened


@dataclass(frozen=True)
class Lesion:
    """What is marked, measured in the square in which the model sees the slice, of which its picture is a part."""

    map: Maps = field(repr=False, compare=False)  # (h, w), 0..1, of the whole square
    area: float  # share of the picture that is marked, 0..1
    area_mm2: float | None  # None: the file does not say how large a pixel is
    peak: float  # the map's greatest value in the picture: at least LESION_FROM where anything is marked

    def __str__(self) -> str:
        if not self.area:
            return f"nothing (its peak is {self.peak:.2f}, and {LESION_FROM} is needed)"
        share = f"{100 * self.area:.1f} %" if self.area >= 0.0005 else "less than 0.1 %"
        return f"{share} of the image" + (f" ({self.area_mm2:,.0f} mm²)" if self.area_mm2 is not None else "")


def lesion_of(values: Maps, side: int, extent: Extent) -> Lesion:
    """What a map (h, w) marks of a picture that was fitted into a square of `side` pixels."""
    width, height = fitted_size(extent.width, extent.height, side)
    left, top = (side - width) // 2, (side - height) // 2  # as `letterbox` pastes it
    inside = upsample(values[None], (side, side))[0, top : top + height, left : left + width]
    area = float((inside >= LESION_FROM).mean())
    picture_mm2 = extent.width * extent.height * extent.pixel_mm**2 if extent.pixel_mm else None
    return Lesion(values, area, None if picture_mm2 is None else area * picture_mm2, float(inside.max()))


def painted(pixels: NDArray[np.uint8], lesions: Sequence[Lesion]) -> NDArray[np.uint8]:
    """Slices (N, S, S, 3) with what is marked in each painted over, and a cell of the map around it.

    So much of a lesion may lie beyond what its map marks, and the paint would continue it. As in the removal test a
    little more is painted.
    """
    maps = np.stack([each.map for each in lesions])
    cell = pixels.shape[1] // maps.shape[1]
    return paint_over(pixels, widened(marked(maps, pixels.shape[1]), cell))
