"""Views of an image: moved a little, mirrored or not; what a model says of it may be the mean over several."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.evaluation.prediction import Answers, Runtime, answering
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

Pixels = NDArray[Any]

REACH = 8  # pixels that a view is moved by at most: half a cell of a layer at a 16th of the image's side


class View(NamedTuple):
    """An image moved by (down, right) pixels, what comes in being black, and then mirrored left to right or not."""

    down: int
    right: int
    mirrored: bool

    def of(self, images: Pixels) -> Pixels:
        """The view of images (N, H, W, …), or of volumes (N, D, H, W, C)."""
        rows = 2 if images.ndim == 5 else 1
        moved = _moved(images, self.down, self.right, rows)
        return np.ascontiguousarray(np.flip(moved, rows + 1)) if self.mirrored else moved

    def back(self, maps: Pixels) -> Pixels:
        """What was made of the view, (N, H, W) or (N, D, H, W), where it belongs in the image."""
        return _moved(maps[..., ::-1] if self.mirrored else maps, -self.down, -self.right, maps.ndim - 2)


def views(count: int) -> list[View]:
    """The first `count` of a fixed, even sequence (Halton's) of moves within a cell; the first is the image itself."""
    points = scipy.stats.qmc.Halton(3, scramble=False).random(count)
    moves = np.rint((np.mod(points[:, :2] + 0.5, 1) - 0.5) * 2 * REACH).astype(int)
    mirrored = points[:, 2] >= 0.5
    return [View(int(down), int(right), bool(flip)) for (down, right), flip in zip(moves, mirrored, strict=True)]


def in_pairs(count: int) -> list[View]:
    """The image, its mirror image, and then others moved by `views`, each with its mirror image: `count` in all."""
    moves = views(-(-count // 2))
    return [View(down, right, flip) for down, right, _ in moves for flip in (False, True)][:count]


def viewed(model: Any, count: int) -> Any:
    """A classifier (`observing`, or a Runtime) that answers by the mean probability of `count` views of each image.

    They are those of `in_pairs`. Logits go with that mean; features and lesion map are those of the image itself, and
    so are the distances and marks by them. With one view it is `model`.
    """
    if count == 1:
        return model
    run: Runtime = answering(model)

    def mean(images: NDArray[np.uint8]) -> Answers:
        own, *others = (run(view.of(images)) for view in in_pairs(count))
        probabilities = np.mean([own.probabilities, *(each.probabilities for each in others)], axis=0)
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        return own._replace(probabilities=probabilities, logits=logits)

    return mean


def said(count: int) -> str:
    """In a line, what an answer by several views is; "" of one by the image alone."""
    if count == 1:
        return ""
    which = "itself, mirrored" + (", moved" if count > 2 else "")
    return (
        f"each answer is the mean over {count} views of the image ({which}); its calibration, sets and thresholds are "
        "the model's own, fitted to images as they are"
    )


def _moved(images: Pixels, down: int, right: int, rows: int) -> Pixels:
    """Images moved along the axes `rows` and the next."""
    height, width = images.shape[rows : rows + 2]
    pad = [(0, 0)] * images.ndim
    pad[rows : rows + 2] = [(abs(down), abs(down)), (abs(right), abs(right))]
    top, left = abs(down) - down, abs(right) - right
    kept = (*[slice(None)] * rows, slice(top, top + height), slice(left, left + width))
    return np.asarray(np.pad(images, pad)[kept])
