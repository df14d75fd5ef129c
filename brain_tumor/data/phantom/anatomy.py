"""A head to cut slices from: the MNI152 template with simulated meninges, skull and scalp around it.

All coordinates are millimetres in MNI space (x to the right, y to the front, z up).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

nilearn = lazy("nilearn")
scipy = lazy("scipy")

Array = NDArray[np.float32]
Points = NDArray[np.float32]  # (..., 3), mm

# Intensities of a T1-weighted slice after contrast medium; white matter is 1.
CSF, BONE, MARROW, FAT, MUSCLE = 0.22, 0.06, 0.30, 0.95, 0.42


@dataclass(frozen=True, eq=False)
class Template:
    """Volumes on one grid; `origin` and `step` (mm) turn a point into a voxel."""

    t1: Array  # (X, Y, Z), white matter 1, 0 outside the brain
    white: Array  # probability of white matter, 0..1
    depth: Array  # mm inside the brain's smooth hull; negative outside
    origin: NDArray[np.float32]
    step: float

    def sample(self, volume: Array, points: Points) -> Array:
        """Linear interpolation of a volume at points (..., 3); the nearest edge outside."""
        voxels = (points - self.origin) / self.step
        flat = voxels.reshape(-1, 3).T
        values: Array = scipy.ndimage.map_coordinates(volume, flat, order=1, mode="nearest", output=np.float32)
        return values.reshape(points.shape[:-1])

    def normal(self, point: Points) -> Points:
        """Unit vector (3,) out of the head at a point near the hull."""
        steps = np.eye(3, dtype=np.float32) * 3
        ahead, behind = self.sample(self.depth, point + steps), self.sample(self.depth, point - steps)
        outward = behind - ahead
        unit: Points = (outward / max(float(np.linalg.norm(outward)), 1e-6)).astype(np.float32)
        return unit


@lru_cache(maxsize=1)
def template() -> Template:
    """The ICBM 152 2009a template that nilearn ships (Fonov et al. 2011), at 1 mm; no network."""
    image = nilearn.datasets.load_mni152_template(resolution=1)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    white = np.asarray(nilearn.datasets.load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32)
    brain = np.asarray(nilearn.datasets.load_mni152_brain_mask(resolution=1).dataobj) > 0
    t1 = np.where(brain, t1 / np.median(t1[white > 0.9]), 0).astype(np.float32)
    # The hull bridges sulci, fissures and the base of the brain: a closing by a ball of 24 mm, by way of distances.
    # It is smooth, so half the resolution does, in an eighth of the time.
    coarse = np.pad(brain[::2, ::2, ::2], 16)
    grown = scipy.ndimage.distance_transform_edt(~coarse) < 12
    hull = scipy.ndimage.gaussian_filter((scipy.ndimage.distance_transform_edt(grown) > 12).astype(np.float32), 2) > 0.5
    depth = 2 * (scipy.ndimage.distance_transform_edt(hull) - scipy.ndimage.distance_transform_edt(~hull))
    depth = scipy.ndimage.gaussian_filter(depth.astype(np.float32), 1)[16:-16, 16:-16, 16:-16]
    fine = scipy.ndimage.zoom(depth, np.array(t1.shape) / np.array(depth.shape), order=1)
    affine = np.asarray(image.affine, dtype=np.float32)
    return Template(t1, white, fine.astype(np.float32), affine[:3, 3], float(affine[0, 0]))


@dataclass(frozen=True, eq=False)
class Head:
    """One synthetic person: how their head differs from the template."""

    warp: tuple[Array, ...]  # spline coefficients of the displacement along x, y and z on a coarse grid
    skull: float  # mm
    scalp: float  # mm
    fat: float  # intensity
    grey: float  # exponent that changes the contrast of grey against white matter
    sinus: float  # intensity of the venous sinuses, which take up contrast medium in everybody
    vessels: Array  # (V, 4): centre (mm) and radius (mm) of small bright vessels


LOW, HIGH = np.array([-98, -134, -72], np.float32), np.array([98, 98, 116], np.float32)  # the template's box, mm


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a person: a smooth displacement of some millimetres, and the tissues around the brain."""
    grid = (5, 6, 5)
    warp = tuple(scipy.ndimage.spline_filter(rng.normal(0, 4.5, grid)).astype(np.float32) for _ in range(3))
    count = int(rng.integers(6, 14))
    places = rng.uniform([-60, -90, -30], [60, 60, 70], (count, 3))
    return Head(
        warp=warp,
        skull=float(rng.uniform(5, 8)),
        scalp=float(rng.uniform(4, 8)),
        fat=float(FAT * rng.uniform(0.7, 1.25)),
        grey=float(rng.uniform(0.8, 1.25)),
        sinus=float(rng.uniform(0.9, 1.45)),
        vessels=np.column_stack([places, rng.uniform(0.9, 2.0, count)]).astype(np.float32),
    )


def to_template(head: Head, points: Points) -> Points:
    """Where points (..., 3) of a person's head lie in the template."""
    shape = np.array(head.warp[0].shape, np.float32)
    nodes = ((points - LOW) / (HIGH - LOW) * (shape - 1)).reshape(-1, 3).T
    moved = [
        scipy.ndimage.map_coordinates(axis, nodes, order=3, mode="nearest", prefilter=False, output=np.float32)
        for axis in head.warp
    ]
    displaced: Points = points + np.stack(moved, axis=-1).reshape(points.shape).astype(np.float32)
    return displaced


def tissue(head: Head, points: Points) -> tuple[Array, Array]:
    """Intensity (white matter 1) and depth inside the hull (mm) at template points (..., 3)."""
    atlas = template()
    depth = atlas.sample(atlas.depth, points)
    brain = atlas.sample(atlas.t1, points)
    outside = -depth
    bone_end = 2 + head.skull
    shells = [
        (outside > bone_end + head.scalp, 0.0),
        (outside > bone_end, head.fat),
        ((outside > 2 + 0.35 * head.skull) & (outside < 2 + 0.65 * head.skull), MARROW),
        (outside > 2, BONE),
    ]
    around = np.select([where for where, _ in shells], [value for _, value in shells], CSF).astype(np.float32)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    # The template ends below the brain: a neck of muscle and fat takes the place of skull and scalp there.
    neck = np.hypot(x, y + 38)
    below = np.select([neck < 46, neck < 46 + head.scalp], [MUSCLE, head.fat], 0.0)
    around = np.where((z < -52) & (outside > 2), below, around)
    values = np.where(brain > 0.15, np.maximum(brain, 0.05) ** head.grey, around)
    # Superior sagittal sinus: along the midline, between the hull and the bone.
    in_sinus = (np.abs(x) < 4.5) & (outside > -2.5) & (outside < 2.5) & (z > 5)
    values = np.where(in_sinus, head.sinus, values)
    for *centre, radius in head.vessels:
        near = np.linalg.norm(points - np.array(centre, np.float32), axis=-1) < radius
        values = np.where(near & (depth > 0), head.sinus, values)
    return values.astype(np.float32), depth
