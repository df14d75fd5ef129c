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
class Volume:
    """Values on a grid; `origin` and `step` (mm) turn a point into a voxel."""

    values: Array  # (X, Y, Z)
    origin: NDArray[np.float32]  # (3,)
    step: float

    def at(self, points: Points) -> Array:
        """Linear interpolation at points (..., 3); the nearest edge outside."""
        top = np.array(self.values.shape, np.float32) - 1
        voxels = np.clip((points - self.origin) / np.float32(self.step), 0, top)
        corner = np.minimum(np.floor(voxels), top - 1)
        x, y, z = np.moveaxis(voxels - corner, -1, 0)
        # How far apart neighbours along each axis lie in memory, whatever the order in which NIfTI files hold them.
        right, ahead, up = (stride // self.values.itemsize for stride in self.values.strides)
        flat = self.values.ravel(order="K")
        first = corner.astype(np.intp) @ np.array([right, ahead, up])

        def on_edge(place: NDArray[np.intp]) -> Array:
            low = flat[place]
            return np.asarray(low + z * (flat[place + up] - low))

        def on_face(place: NDArray[np.intp]) -> Array:
            low = on_edge(place)
            return np.asarray(low + y * (on_edge(place + ahead) - low))

        low = on_face(first)
        return np.asarray(low + x * (on_face(first + right) - low))


@dataclass(frozen=True, eq=False)
class Template:
    """What is known of every point of the head."""

    t1: Volume  # white matter 1, 0 outside the brain
    white: Volume  # probability of white matter, 0..1
    depth: Volume  # mm inside the brain's smooth hull; negative outside, and from 20 mm on no longer exact

    def normal(self, point: Points) -> Points:
        """Unit vector (3,) out of the head at a point near the hull."""
        steps = np.eye(3, dtype=np.float32) * 3
        outward = self.depth.at(point - steps) - self.depth.at(point + steps)
        unit: Points = (outward / max(float(np.linalg.norm(outward)), 1e-6)).astype(np.float32)
        return unit


COARSE = 3  # voxels of the template, and mm: the hull is smooth, so a third of the resolution does
BRIDGED = 24.0  # mm, the radius of the ball that the hull is closed by


@lru_cache(maxsize=1)
def template() -> Template:
    """The ICBM 152 2009a template that nilearn ships (Fonov et al. 2011), at 1 mm; no network."""
    image = nilearn.datasets.load_mni152_template(resolution=1)
    t1 = np.asarray(image.dataobj, dtype=np.float32)
    white = np.asarray(nilearn.datasets.load_mni152_wm_template(resolution=1).dataobj, dtype=np.float32)
    brain = np.asarray(nilearn.datasets.load_mni152_brain_mask(resolution=1).dataobj) > 0
    t1 *= brain / np.median(t1[::2, ::2, ::2][white[::2, ::2, ::2] > 0.9])
    affine = np.asarray(image.affine, dtype=np.float32)
    origin, step = affine[:3, 3], float(affine[0, 0])
    depth = Volume(_depth(brain[::COARSE, ::COARSE, ::COARSE], COARSE * step), origin, COARSE * step)
    return Template(Volume(t1, origin, step), Volume(white, origin, step), depth)


def _depth(brain: NDArray[np.bool_], step: float) -> Array:
    """Depth (X, Y, Z), mm, in the hull of a brain on a grid of `step` mm.

    The hull bridges sulci, fissures and the base of the brain: it is the brain closed by a ball. What is grown by the
    ball has its edge a radius outside the hull, so that the distance to it, less the radius, is the depth.
    """
    margin = int(BRIDGED / step) + 2
    grown = scipy.ndimage.distance_transform_edt(~np.pad(brain, margin)) < BRIDGED / step
    depth = scipy.ndimage.distance_transform_edt(grown).astype(np.float32) - np.float32(BRIDGED / step)
    inner = slice(margin, -margin)
    return np.asarray(scipy.ndimage.gaussian_filter(depth, 1)[inner, inner, inner] * np.float32(step))


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
    warp = tuple(scipy.ndimage.spline_filter(rng.normal(0, 3.2, grid)).astype(np.float32) for _ in range(3))
    count = int(rng.integers(6, 14))
    places = rng.uniform([-60, -90, -30], [60, 60, 70], (count, 3))
    return Head(
        warp=warp,
        skull=float(rng.uniform(5, 8)),
        scalp=float(rng.uniform(4, 8)),
        fat=float(FAT * rng.uniform(0.7, 1.25)),
        grey=float(rng.uniform(0.8, 1.25)),
        sinus=float(rng.uniform(0.85, 1.1)),
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


def in_head(head: Head, points: Points, depth: Array) -> NDArray[np.bool_]:
    """Which template points (..., 3) of known depth (...) are not air."""
    return (depth > -(2 + head.skull + head.scalp)) | (_below(points) & (_from_neck(points) < NECK + head.scalp))


def tissue(head: Head, points: Points, depth: Array) -> Array:
    """Intensity (white matter 1) at template points (..., 3) of known depth (...)."""
    brain = template().t1.at(points)
    outside = -depth
    bone_end = 2 + head.skull
    shells = [
        (outside > bone_end + head.scalp, 0.0),
        (outside > bone_end, head.fat),
        ((outside > 2 + 0.35 * head.skull) & (outside < 2 + 0.65 * head.skull), MARROW),
        (outside > 2, BONE),
    ]
    around = np.select([where for where, _ in shells], [value for _, value in shells], CSF).astype(np.float32)
    # The template ends below the brain: a neck of muscle and fat takes the place of skull and scalp there.
    neck = _from_neck(points)
    fleshy = np.select([neck < NECK, neck < NECK + head.scalp], [MUSCLE, head.fat], 0.0)
    around = np.where(_below(points) & (outside > 2), fleshy, around)
    values = np.where(brain > 0.15, np.maximum(brain, 0.05) ** head.grey, around).astype(np.float32)
    # Superior sagittal sinus: along the midline, between the hull and the bone.
    x, z = points[..., 0], points[..., 2]
    values[(np.abs(x) < 4.5) & (np.abs(outside) < 2.5) & (z > 5)] = head.sinus
    for *centre, radius in head.vessels:
        # Few points are near in x, and only of those it is asked whether they are near at all.
        close = np.nonzero(np.abs(x - centre[0]) < radius)
        near = np.linalg.norm(points[close] - np.array(centre, np.float32), axis=-1) < radius
        values[close] = np.where(near & (depth[close] > 0), head.sinus, values[close])
    return values


NECK = 46.0  # mm, its radius


def _below(points: Points) -> NDArray[np.bool_]:
    return np.asarray(points[..., 2] < -52)


def _from_neck(points: Points) -> Array:
    """mm from the neck's axis."""
    return np.asarray(np.hypot(points[..., 0], points[..., 1] + 38))
