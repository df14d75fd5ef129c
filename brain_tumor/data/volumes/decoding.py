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
from brain_tumor.data.scans.volume import Volume
from brain_tumor.data.volumes.fitting import (
    Grid,
    Placed,
    Spacing,
    grid_around,
    head_of,
    resampled,
    standardised,
)
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

VERSION = 4  # raise it whenever the voxels of any file change
SAMPLED = 2**20  # values of a volume by which its statistics are taken
LEVELS = 16  # different whole numbers, at most, of a mask: it may tell core, oedema and others apart
APART = 1.0  # mm between the corners of a volume and of its mask beyond which they lie in different places


def volumes(shape: tuple[int, ...], spacing: Sequence[float] | None) -> Decoder:
    """Of files of volumes, and folders of DICOM series, each fitted to `shape` (D, H, W, 1), see `fitted`."""

    def read(path: Path) -> tuple[str, NDArray[np.uint8], Facts]:
        sha = ""
        try:
            sha = content_digest(path)
            return sha, *fitted(read_volume(path), shape, spacing)
        except (CorruptImageError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            return sha, np.zeros(shape[:3], np.uint8), Facts("", error=reason or str(error))

    recipe = json.dumps(["volumes", VERSION, shape, spacing])
    return Decoder(tuple(shape), recipe, "volume", read)


def fitted(found: Volume, shape: tuple[int, ...], spacing: Sequence[float] | None) -> tuple[NDArray[np.uint8], Facts]:
    """The planes (D, H, W) of a volume fitted to `shape` (D, H, W, 1), see `fitting`, and what is known of it.

    `Facts.volume` is JSON: `grid`, the affine (4, 4) of the fitted grid, on which a mask of the same volume has to be
    taken; what a mask is compared with, its `affine`, and whether it is `placed`, that is says where the patient's
    sides are; `remarks`; and what a shortcut may be: `shape`, `spacing` (mm), `axes` and `dtype` of the file's values,
    the shares of them that are `zeros` and `air`, and `statistics` (mean, deviation, 1st, 50th, 90th and 99th
    percentile).

    Raises:
        CorruptImageError: it lies as nothing can, is a single slice, shows no head, or is a mask.
    """
    volume = placed(found)
    if 1 in found.values.shape:
        raise CorruptImageError("it is a single slice and no whole volume: give the file of all slices")
    some = _sample(volume.values)
    if (count := _levels(some)) == 1:
        raise CorruptImageError("there is nothing to see: all its values are the same")
    if count <= LEVELS:
        raise CorruptImageError(
            f"it has {count} different values, as a mask has: keep masks out of data.root, and give them as data.masks"
        )
    head = head_of(volume)
    depth, height, width, _ = shape
    around: Spacing | None = None if spacing is None else (spacing[0], spacing[1], spacing[2])
    grid = grid_around(head, (depth, height, width), around)
    grays = standardised(resampled(volume, grid), resampled(head, grid) > 0.5)
    columns, rows = found.values.shape[:2]
    said = {
        "grid": grid.affine.tolist(),
        "affine": volume.affine.tolist(),
        "placed": not found.unplaced,
        "remarks": list(found.said),
        "shape": list(found.values.shape),
        "spacing": [round(float(each), 4) for each in np.linalg.norm(volume.affine[:3, :3], axis=0)],
        "axes": "".join(nibabel.aff2axcodes(volume.affine)),
        "dtype": found.values.dtype.str[1:],
        "zeros": float((some == 0).mean()),
        "air": float(1 - head.values.mean()),
        "statistics": [float(each) for each in (some.mean(), some.std(), *np.percentile(some, (1, 50, 90, 99)))],
    }
    return grays, Facts(_digest(volume), columns, rows, found.kind, volume=json.dumps(said))


def _digest(volume: Placed) -> str:
    """SHA-256 (hex) of the values, whatever the order of their axes and the type of number in which a file has them."""
    turned = nibabel.apply_orientation(volume.values, nibabel.io_orientation(volume.affine))
    digest = hashlib.sha256(repr(turned.shape).encode())
    for plane in turned:  # which may be read from the disk one by one
        digest.update(np.ascontiguousarray(plane, np.float32).tobytes())
    return digest.hexdigest()


def placed(found: Volume) -> Placed:
    """A volume's values, 0 where its file means 0, with their place in mm. Raises CorruptImageError."""
    affine = np.eye(4)
    affine[: len(found.affine), : found.affine.shape[1]] = found.affine
    affine[:3] *= found.mm or 1.0
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (sizes > 0).all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise CorruptImageError("its header has an impossible orientation")
    if found.zero == 0 and not found.negative:
        return Placed(found.values, affine)
    values = found.values.astype(np.float32) - np.float32(found.zero)
    return Placed(-values if found.negative else values, affine)


def read_mask(path: Path, said: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """bool (D, H, W): where a volume's mask is not 0, on the grid that the volume was fitted to (`Facts.volume`)."""
    depth, height, width = shape
    grid = Grid((depth, height, width), np.array(json.loads(said)["grid"]))
    return np.asarray(resampled(_lesion(read_volume(path)), grid) >= 0.5)


def mask_complaint(path: Path, said: str, digest: str) -> tuple[str, float]:
    """What is wrong with the mask of a volume, of which `said` and the `digest` of its file are known; and its share.

    "" if nothing is. The share is that of the voxels that are not 0.
    """
    remedy = "repair it, or remove it to go without"
    try:
        found = read_volume(path)
        lesion = _lesion(found)
        levels = _levels(_sample(placed(found).values))
    except CorruptImageError as error:
        return f"cannot be read ({error}): {remedy}", 0.0
    if content_digest(path) == digest:
        return "is its own volume and no mask: give the folder of masks, which is not that of the volumes", 0.0
    if levels > LEVELS:
        return f"has {levels:,} different values, so it is no mask: save 0 and one number for each tissue", 0.0
    volume = json.loads(said) if said else {}
    if volume and volume["placed"] != (not found.unplaced):
        return f"and its volume do not both say where the patient's sides are: {remedy}", 0.0
    if volume and list(lesion.values.shape) == volume["shape"]:
        far = np.array([*lesion.values.shape, 1]) - [1, 1, 1, 0]
        ends = [np.linalg.norm((lesion.affine - np.array(volume["affine"]))[:3] @ end) for end in (far, [0, 0, 0, 1])]
        if max(ends) > APART:
            return f"has the voxels of its volume, and says that they lie elsewhere: {remedy}", 0.0
    if volume and lesion.values.any() and not _meets(lesion, np.array(volume["affine"]), volume["shape"]):
        return f"marks nothing that lies in its volume: {remedy}", 0.0
    return "", float(lesion.values.mean())


def _meets(lesion: Placed, affine: NDArray[np.float64], shape: Sequence[int]) -> bool:
    """Whether any marked voxel lies in a volume of this affine and shape."""
    places = np.argwhere(lesion.values) @ lesion.affine[:3, :3].T + lesion.affine[:3, 3]
    voxels = (places - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    return bool(((voxels > -0.5) & (voxels < np.array(shape) - 0.5)).all(axis=1).any())


def _lesion(found: Volume) -> Placed:
    volume = placed(found)
    least = 0.5 if np.issubdtype(found.values.dtype, np.integer) else 1e-6
    return Placed(np.abs(volume.values) > least, volume.affine)


def _sample(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = values.ravel(order="K")
    some = flat[:: -(-flat.size // SAMPLED) | 1].astype(np.float64)  # an odd step walks through all columns
    return np.nan_to_num(some, nan=0.0, posinf=0.0, neginf=0.0)


def _levels(values: NDArray[np.float64]) -> int:
    """How many different values there are; one more than LEVELS where some are no whole numbers."""
    found = np.unique(values)
    return len(found) if (found == np.rint(found)).all() else max(len(found), LEVELS + 1)
