"""The gray scale that all frames of a DICOM file, or all files of a series, are shown in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.pixels import spread
from brain_tumor.data.scans.dicom_frames import Frames
from brain_tumor.data.scans.dicom_gray import Grays, Table, Window, padded
from brain_tumor.data.scans.dicom_header import GRAY, Header
from brain_tumor.data.scans.levels import robust_range

FRAMES = 32  # of a file, at most, whose values are looked at
VALUES = 2**21  # of them


@dataclass(frozen=True, eq=False)
class Sample:
    """What a file has to say on its scale."""

    values: NDArray[np.float64]  # (N,) in the unit of the modality, of a part of its frames and pixels, without padding
    windows: tuple[Window, ...]  # of its frames; those that have none are left out
    inverted: bool  # MONOCHROME1: the smallest value is white


@dataclass(frozen=True)
class GrayScale:
    """One for all frames."""

    window: Window | None  # None: no frame has one, or what it shows is nothing
    ends: tuple[float, float]  # where there is no window: smallest and largest value shown, outliers left out
    missed: bool  # there is a window, which shows nothing

    def of(self, grays: Grays) -> Grays:
        """How a frame's values become gray levels in this scale; its own lookup table comes first, if it shows any."""
        own = grays.voi if grays.voi and _shows(grays.voi, self.ends) else None
        return replace(grays, voi=own, window=self.window)


def sampled(header: Header, decode: Frames, most: int = VALUES) -> Sample | None:
    """About `most` of a file's values, of frames that are evenly spaced; None where the pixels are no gray levels."""
    if header.shape.photometric not in GRAY:
        return None
    chosen = spread(np.arange(len(header.frames)), FRAMES)
    found = []
    for index in chosen:
        flat = decode(int(index))[0].reshape(-1)
        # An odd step walks through all columns, of which there is mostly an even number
        stored = flat[:: -(-flat.size * len(chosen) // most) | 1].astype(np.float64)
        with np.errstate(all="ignore"):
            values = header.frames[index].grays.values(stored)
        found.append(values[np.isfinite(values) & ~padded(stored, header.padding)])
    windows = tuple(each.grays.window for each in header.frames if each.grays.window)
    return Sample(np.concatenate(found), windows, header.shape.photometric == "MONOCHROME1")


def scale_of(samples: Sequence[Sample]) -> GrayScale:
    """The scale of all of them together.

    It is the window that their frames have. Scanners and archives write others for each slice, which turn an empty one
    into noise from black to white: of several, the median of centers and of widths. A window that shows the darkest and
    the brightest of the values alike is none. Without one, black and white are `robust_range` of all.
    """
    black, white = robust_range(np.concatenate([each.values for each in samples]), samples[0].inverted)
    ends = (min(black, white), max(black, white))
    window = _common([window for each in samples for window in each.windows])
    missed = window is not None and not _shows(window, ends)
    return GrayScale(None if missed else window, ends, missed)


def _common(windows: list[Window]) -> Window | None:
    if len(set(windows)) < 2:
        return windows[0] if windows else None
    center, width = (float(np.median([getattr(each, name) for each in windows])) for name in ("center", "width"))
    functions = {each.function for each in windows}
    return Window(center, width, functions.pop() if len(functions) == 1 else "LINEAR")


def _shows(shown: Window | Table, ends: tuple[float, float]) -> bool:
    """Whether the two ends are of different gray; true of values that are all one, of which nothing is known."""
    with np.errstate(all="ignore"):
        black, white = np.rint(np.clip(np.nan_to_num(shown.of(np.array(ends))), 0, 255))
    return bool(black != white) or ends[0] == ends[1]
