"""Lesions as they grow and look after contrast medium, evaluated point by point in template space."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.phantom.anatomy import Array, Points, template
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lesion:
    """One tumour of one person."""

    kind: str  # glioma, meningioma, pituitary
    centre: Points  # (3,), mm
    radius: float  # mm, of its solid part
    stretch: Points  # (3,): factors along x, y, z
    bumps: Array  # spline coefficients (6, 6, 6) of its outline's irregularity
    irregular: float  # how far the outline leaves the ellipsoid, as a share of the radius
    enhancement: float  # intensity of what takes up contrast medium; white matter is 1
    side: float  # falx meningioma: the side of the midline it lies on, else 0
    core: float  # glioma: the necrotic core's share of the radius; pituitary: the cyst's, 0 for none


def _shape(rng: np.random.Generator, spread: float) -> tuple[Points, Array]:
    stretch = rng.uniform(1 - spread, 1 + spread, 3).astype(np.float32)
    return stretch, scipy.ndimage.spline_filter(rng.normal(0, 1, (6, 6, 6))).astype(np.float32)


def draw_glioma(rng: np.random.Generator) -> Lesion:
    """Inside the white matter of a hemisphere."""
    atlas = template()
    radius = float(rng.uniform(13, 22))
    while True:
        centre = rng.uniform([-55, -85, -15], [55, 55, 55]).astype(np.float32)
        deep = float(atlas.depth.at(centre)) > 0.75 * radius + 3
        if deep and float(atlas.white.at(centre)) > 0.5 and abs(centre[0]) > 12:
            break
    stretch, bumps = _shape(rng, 0.2)
    return Lesion(
        "glioma", centre, radius, stretch, bumps, 0.24, float(rng.uniform(1.25, 1.65)), 0, float(rng.uniform(0.5, 0.75))
    )


def draw_meningioma(rng: np.random.Generator) -> Lesion:
    """On the dura: three in four at the brain's surface, the others at the falx."""
    atlas = template()
    radius = float(rng.uniform(14, 23))
    stretch, bumps = _shape(rng, 0.1)
    side = float(rng.choice([-1, 1])) if rng.random() < 0.25 else 0.0
    while True:
        if side:  # its flat base lies on the midline
            centre = np.array([side * 1.0, rng.uniform(-60, 60), rng.uniform(25, 60)], np.float32)
            if float(atlas.depth.at(centre)) > 8:
                break
            continue
        direction = rng.normal(size=3)
        direction[2] = abs(direction[2]) - 0.3 * np.linalg.norm(direction)
        direction /= np.linalg.norm(direction)
        ray = np.arange(30, 110, 0.5)[:, None] * direction + np.array([0, -18, 8])
        inside = atlas.depth.at(ray.astype(np.float32)) > 0
        surface = ray[int(np.flatnonzero(inside)[-1])].astype(np.float32)
        # The centre lies a little inside the hull, which cuts the ball: that is the broad base.
        centre = surface - atlas.normal(surface) * np.float32(radius * rng.uniform(0.25, 0.55))
        if surface[2] > -25:
            break
    return Lesion("meningioma", centre, radius, stretch, bumps, 0.06, float(rng.uniform(1.3, 1.65)), side, 0)


def draw_pituitary(rng: np.random.Generator) -> Lesion:
    """In the sella, midline, below the optic chiasm; larger ones reach up."""
    radius = float(rng.uniform(8.5, 14))
    centre = np.array([rng.normal(0, 1.2), rng.normal(4, 1.5), -33 + 0.5 * radius + rng.normal(0, 1)], np.float32)
    stretch, bumps = _shape(rng, 0.12)
    cyst = float(rng.uniform(0.3, 0.5)) if rng.random() < 0.3 else 0.0
    return Lesion("pituitary", centre, radius, stretch, bumps, 0.05, float(rng.uniform(1.2, 1.55)), 0, cyst)


DRAW: Mapping[str, Callable[[np.random.Generator], Lesion]] = MappingProxyType(
    {"glioma": draw_glioma, "meningioma": draw_meningioma, "pituitary": draw_pituitary}
)


BUMP = 2.5  # deviations of the outline at most
REACH = {"glioma": 2.2, "meningioma": 1.3, "pituitary": 1.0}  # oedema, dural tail: in radii of the outline


def apply(lesion: Lesion, points: Points, values: Array, depth: Array) -> tuple[Array, Mask]:
    """Draw a lesion into the intensities at template points (..., 3); returns them and the lesion's mask.

    The mask is the solid tumour with its core, without oedema and dural tail.
    """
    offset = (points - lesion.centre) / (lesion.stretch * np.float32(lesion.radius))
    distance = np.sqrt(np.square(offset).sum(axis=-1))
    near = np.nonzero(distance < REACH[lesion.kind] * (1 + BUMP * lesion.irregular))
    drawn, mask = values.copy(), np.zeros(values.shape, bool)
    nodes = (offset[near] * np.float32(1.2) + np.float32(2.5)).T
    bumps = scipy.ndimage.map_coordinates(
        lesion.bumps, nodes, order=3, mode="nearest", prefilter=False, output=np.float32
    )
    bumps = np.clip(bumps, -BUMP, BUMP)
    relative = distance[near] / np.maximum(1 + lesion.irregular * bumps, 0.4)
    drawn[near], mask[near] = _drawn(lesion, points[near], values[near], depth[near], relative, bumps)
    return drawn, mask


def _drawn(
    lesion: Lesion, points: Points, values: Array, depth: Array, relative: Array, bumps: Array
) -> tuple[Array, Mask]:
    """As `apply`, at points (n, 3) `relative` (n,) radii of the outline from its centre; `bumps` (n,) shape it."""
    texture = 1 + (0.10 if lesion.kind == "glioma" else 0.03) * bumps
    bright = (lesion.enhancement * texture).astype(np.float32)
    if lesion.kind == "glioma":
        within = depth > 1.0
        oedema = (relative < REACH["glioma"]) & within & (values > 0.55)
        fade = np.clip((REACH["glioma"] - relative) / 0.6, 0, 1) * 0.45
        values = np.where(oedema, values * (1 - fade), values)
        mask = (relative < 1) & within
        values = np.where(mask, bright, values)
        values = np.where(mask & (relative < lesion.core), 0.32 + 0.08 * bumps, values)
    elif lesion.kind == "meningioma":
        beyond = points[..., 0] * lesion.side > 0 if lesion.side else depth > -1.5
        cleft = (relative < 1.09) & beyond & (depth > 0)  # the rim of CSF that shows a mass outside the brain
        values = np.where(cleft, 0.3, values)
        mask = (relative < 1) & beyond
        values = np.where(mask, bright, values)
        # The dural tail: thin and short, and none on the falx, where a sagittal slice would show it as a disk.
        tail = (np.abs(depth) < 1.2) & (relative < REACH["meningioma"]) & ~mask & (lesion.side == 0)
        values = np.where(tail, 0.75 * bright, values)
    else:
        mask = relative < 1
        values = np.where(mask, bright, values)
        values = np.where(mask & (relative < lesion.core), 0.4, values)
    return values.astype(np.float32), mask
