"""Pictures and maps as they are shown: nothing of them is ever a file."""

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import letterbox
from brain_tumor.evaluation.explanation.region import COLOUR, marked, outline

SIDE = 512  # pixels of a shown picture's longer side, at most
LINE = 2  # pixels, of SIDE, that an outline is wide


def shown(picture: Image.Image, least: int) -> Image.Image:
    """A picture in the square in which the model sees it, in its own resolution between `least` and SIDE pixels."""
    side = max(least, min(SIDE, max(picture.size)))
    return letterbox(picture, side, Image.Resampling.BILINEAR)


def heat(values: NDArray[np.float32]) -> Image.Image:
    """A map (S, S) in [0, 1] as an RGBA layer, the more opaque the more it says."""
    coloured = matplotlib.colormaps["inferno"](values, bytes=True)
    coloured[..., 3] = np.rint(255 * np.clip(values, 0, 1))
    return Image.fromarray(coloured)


def gray(values: NDArray[np.uint8]) -> Image.Image:
    """A slice (rows, columns) as a picture."""
    return Image.fromarray(np.ascontiguousarray(values)).convert("RGB")


def contour(values: NDArray[np.float32]) -> Image.Image:
    """The outline of what a lesion map (h, w) marks, as an RGBA layer of SIDE pixels a side."""
    line = outline(marked(values[None], SIDE), LINE)[0]
    return Image.fromarray(np.where(line[..., None], np.array((*COLOUR, 255), np.uint8), np.uint8(0)))
