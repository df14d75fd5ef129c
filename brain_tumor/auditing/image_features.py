"""What is measured on every picture: contrast, and the trivial features of the shortcut floor."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.blank import span
from brain_tumor.data.cache import Contents
from brain_tumor.data.decode import fitted_size
from brain_tumor.progress import progress

THUMBNAIL = 16  # pixels a side
BLACK = 16  # gray levels of 255 below which a border counts as black, JPEG's noise included
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """One row per picture of `Contents`; the letterboxed square is what is measured, as a model would see it."""

    contrast: NDArray[np.float32]  # (U,): gray levels between the 1st and the 99th percentile, the padding aside
    statistics: NDArray[np.float32]  # (U, 5): mean, sd, 90th percentile, maximum, share of 0
    border: NDArray[np.float32]  # (U, 8): widths of the four black borders; mean, sd, maximum, share of 0 of the rim
    thumbnails: NDArray[np.uint8]  # (U, 16, 16): gray, area-averaged


def image_features(contents: Contents, workers: int) -> ImageFeatures:
    """Measure every picture, with progress; the rows of those that could not be decoded mean nothing."""
    sizes = contents.table[["width", "height"]].to_numpy()

    def one(row: int) -> tuple[float, list[float], list[float], NDArray[np.uint8]]:
        picture = Image.fromarray(contents.pixels[row]).convert("L")
        gray = np.asarray(picture)
        thumbnail = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return _contrast(gray, *sizes[row]), _statistics(gray), _border(gray), np.asarray(thumbnail)

    rows: list[Any] = []
    with ThreadPoolExecutor(workers) as pool, progress(len(sizes), "measuring") as bar:
        for first in range(0, len(sizes), _CHUNK):
            rows += pool.map(one, range(first, min(first + _CHUNK, len(sizes))))
            bar.update(len(rows) - first)
    contrast, statistics, border, thumbnails = zip(*rows, strict=True)
    return ImageFeatures(
        np.array(contrast, np.float32),
        np.array(statistics, np.float32),
        np.array(border, np.float32),
        np.stack(thumbnails),
    )


def _contrast(gray: NDArray[np.uint8], width: int, height: int) -> float:
    if not width:
        return 0.0
    inner = fitted_size(width, height, len(gray))
    left, top = (len(gray) - inner[0]) // 2, (len(gray) - inner[1]) // 2
    return span(gray[top : top + inner[1], left : left + inner[0]])


def _statistics(gray: NDArray[np.uint8]) -> list[float]:
    return [gray.mean(), gray.std(), np.percentile(gray, 90), gray.max(), (gray == 0).mean()]


def _border(gray: NDArray[np.uint8]) -> list[float]:
    bright = gray >= BLACK
    widths = [float(np.argmax(lines)) if lines.any() else len(gray) for lines in _lines(bright)]
    rim = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
    return [*(width / len(gray) for width in widths), rim.mean(), rim.std(), rim.max(), (rim == 0).mean()]


def _lines(bright: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Whether each row or column holds anything bright, from each side inwards: top, bottom, left, right."""
    rows, columns = (np.asarray(bright.any(axis=axis)) for axis in (1, 0))
    return [rows, rows[::-1], columns, columns[::-1]]
