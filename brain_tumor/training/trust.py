"""The monitor `val/trust`: the share of the val part that is answered rightly, and not so without a known lesion.

An image whose lesion is known counts only if its answer no longer stays once the lesion is painted over, as the removal
test paints (`evaluation.explanation.removal`); any other counts as in the accuracy.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.explanation.removal import paint_over, widened
from brain_tumor.evaluation.lesion_scores import trust
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.prediction import predict
from brain_tumor.progress import progress

Patch = tuple[NDArray[np.int64], NDArray[np.uint8]]  # (K,) pixels of an image, row by row, and their (K, C) grays
PART = "val"


@dataclass(frozen=True, eq=False)
class Painted:
    """The images of the val part whose lesion is known, without it: patches, which take little memory."""

    dataset: Dataset
    places: NDArray[np.int64]  # (n,) in the part
    patches: tuple[Patch, ...]  # n

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what is painted."""
        digest = hashlib.sha256(self.places.tobytes())
        for pixels, colours in self.patches:
            digest.update(pixels.tobytes() + colours.tobytes())
        return digest.hexdigest()

    def paint(self, images: NDArray[np.uint8], taken: slice) -> NDArray[np.uint8]:
        """A batch of the images, and which of them it holds, without their lesions."""
        painted = images.copy()
        for image, (pixels, colours) in zip(painted, self.patches[taken], strict=True):
            image.reshape(-1, image.shape[-1])[pixels] = colours
        return painted

    def measure(self, model: Any, evaluation: Evaluation) -> float:
        """The trust in a model, whose answers to the part `evaluation` holds."""
        rows = self.dataset.pixel_rows[self.dataset.rows(PART)[self.places]]
        without = predict(model, self.dataset.pixels, rows, change=self.paint).argmax(axis=1)
        stays = np.zeros(len(evaluation.rows), np.bool_)
        stays[self.places] = without == evaluation.labels[self.places]
        return float(trust(evaluation.correct, stays).mean())


def paint_lesions(dataset: Dataset) -> Painted:
    """Paint the known lesions of the val part over, once for all epochs; it shows one (`known_lesions`)."""
    rows, found, patches = dataset.rows(PART), [], []
    masked = [place for place, row in enumerate(rows) if dataset.mask_paths and dataset.mask_paths[row]]
    with progress(len(masked), "painting lesions over") as bar:
        for place in masked:
            masks = dataset.mask_of(rows[[place]])
            if masks is not None and masks.any():
                pixels = np.flatnonzero(widened(masks)[0])
                painted = paint_over(dataset.images(rows[[place]]), masks)[0].reshape(-1, dataset.shape[-1])
                patches.append((pixels, painted[pixels]))
                found.append(place)
            bar.update(1)
    return Painted(dataset, np.array(found, np.int64), tuple(patches))
