"""From a volume, or its mask, to an array (D, H, W) of the size that a network takes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

SAMPLED = 2**20  # values of a volume by which its statistics are taken
VERSION = 2  # raise it whenever the voxels of any file change


def volumes(shape: tuple[int, ...], spacing: Sequence[float] | None) -> Decoder:
    """Of files of volumes, each fitted to `shape` (D, H, W, 1), see `fitting`.

    `Facts.volume` is JSON: `grid`, the affine (4, 4) of the fitted grid, on which a mask of the same volume has to be
    taken; and what a shortcut may be: `shape`, `spacing` (mm), `axes` and `dtype` of the file's values, the shares of
    them that are `zeros` and `air`, and `statistics` (mean, deviation, 1st, 50th, 90th and 99th percentile).
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
    said = {"grid": grid.affine.tolist(), **_said(volume, head)}
    return grays, Facts(digest, width, height, mode, volume=json.dumps(said))


def _said(volume: Placed, head: Placed) -> dict[str, Any]:
    flat = volume.values.ravel(order="K")
    some = flat[:: -(-flat.size // SAMPLED) | 1].astype(np.float64)  # an odd step walks through all columns
    values = np.nan_to_num(some, nan=0.0, posinf=0.0, neginf=0.0)
    numbers = [values.mean(), values.std(), *np.percentile(values, (1, 50, 90, 99))]
    return {
        "shape": list(volume.values.shape),
        "spacing": [round(float(each), 4) for each in np.linalg.norm(volume.affine[:3, :3], axis=0)],
        "axes": "".join(nibabel.aff2axcodes(volume.affine)),
        "dtype": volume.values.dtype.str[1:],
        "zeros": float((values == 0).mean()),
        "air": float(1 - head.values.mean()),
        "statistics": [float(each) for each in numbers],
    }


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


def read_mask(path: Path, said: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """bool (D, H, W): where a volume's mask is not 0, on the grid that the volume was fitted to (`Facts.volume`)."""
    mask, _ = placed(path)
    depth, height, width = shape
    grid = Grid((depth, height, width), np.array(json.loads(said)["grid"]))
    return np.asarray(resampled(Placed(mask.values != 0, mask.affine), grid) >= 0.5)
