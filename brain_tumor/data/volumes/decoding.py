"""From a volume, or its mask, to an array (D, H, W) of the size that a network takes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.cache import Decoder, Facts, content_digest
from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import read_volume
from brain_tumor.data.volumes.fitting import (
    Grid,
    Placed,
    Shape,
    Spacing,
    grid_around,
    head_of,
    resampled,
    standardised,
)

VERSION = 1  # raise it whenever the voxels of any file change


def volumes(shape: tuple[int, ...], spacing: Sequence[float] | None) -> Decoder:
    """Of files of volumes, each fitted to `shape` (D, H, W, 1), see `fitting`.

    `Facts.affine` is that of the fitted grid, as JSON: where a mask of the same volume has to be taken.
    """
    depth, height, width, _ = shape
    around = None if spacing is None else (spacing[0], spacing[1], spacing[2])

    def read(path: Path) -> tuple[str, NDArray[np.uint8], Facts]:
        sha = content_digest(path) if path.exists() else ""
        try:
            grays, facts = _fitted(path, (depth, height, width), around)
        except CorruptImageError as error:
            return sha, np.zeros((depth, height, width), np.uint8), Facts("", error=str(error))
        return sha, grays, facts

    recipe = json.dumps(["volumes", VERSION, shape, spacing])
    return Decoder(tuple(shape), recipe, "volume", read)


def _fitted(path: Path, shape: Shape, spacing: Spacing | None) -> tuple[NDArray[np.uint8], Facts]:
    volume, mode = placed(path)
    head = head_of(volume)
    grid = grid_around(head, shape, spacing)
    grays = standardised(resampled(volume, grid), resampled(head, grid, order=0) > 0.5)
    values = np.ascontiguousarray(volume.values)
    digest = hashlib.sha256(repr((values.shape, values.dtype)).encode() + values.tobytes()).hexdigest()
    width, height = volume.values.shape[:2]
    return grays, Facts(digest, width, height, mode, affine=json.dumps(grid.affine.tolist()))


def placed(path: Path) -> tuple[Placed, str]:
    """The volume in a file, with its place in mm, and the kind of the file. Raises CorruptImageError."""
    found = read_volume(path)
    affine = np.eye(4)
    affine[: len(found.affine), : found.affine.shape[1]] = found.affine
    affine[:3] *= found.mm or 1.0
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (sizes > 0).all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise CorruptImageError("its header has an impossible orientation")
    return Placed(-found.values.astype(np.float32) if found.negative else found.values, affine), found.kind


def read_mask(path: Path, affine: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """bool (D, H, W): where a volume's mask is not 0, on the grid that the volume was fitted to (`Facts.affine`)."""
    mask, _ = placed(path)
    depth, height, width = shape
    grid = Grid((depth, height, width), np.array(json.loads(affine)))
    return np.asarray(resampled(Placed(mask.values != 0, mask.affine), grid) >= 0.5)
