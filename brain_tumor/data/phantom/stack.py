"""A phantom head as a whole volume: slices of one pose, one after the other, as a scanner stores them."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.phantom import acquisition, anatomy, lesions
from brain_tumor.data.phantom.anatomy import Array
from brain_tumor.data.phantom.lesions import Mask
from brain_tumor.data.phantom.rendering import render
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

THICKNESS = (4.0, 7.0)  # mm between slices
REACH = {"axial": (-66.0, 96.0), "coronal": (-104.0, 88.0), "sagittal": (-84.0, 84.0)}  # mm along the normal: a head
BRIGHT = 1000.0  # stored value of white matter, about


class Stack(NamedTuple):
    """A volume as a file holds it."""

    values: NDArray[np.int16]  # (X, Y, Z), of axes as they were taken
    mask: Mask | None  # (X, Y, Z): the lesion; None: a healthy head
    affine: NDArray[np.float64]  # (4, 4) from voxels to mm, RAS+


def draw_stack(
    rng: np.random.Generator, head: anatomy.Head, lesion: lesions.Lesion, size: int, *, drawn: bool
) -> Stack:
    """A head's volume, `size` voxels a side within its slices: plane, pose, spacing and the way of its axes drawn.

    `drawn`: with the lesion; otherwise the head is healthy.
    """
    plane = str(rng.choice(list(acquisition.PLANES), p=[0.6, 0.2, 0.2]))
    middle = acquisition.draw_pose(rng, plane, acquisition.MIDDLE)
    along = np.array(acquisition.PLANES[plane][2], np.float32)
    normal = np.cross(middle.right, middle.down)
    normal *= np.sign(normal @ along)
    step = float(rng.uniform(*THICKNESS))
    place = float(acquisition.MIDDLE @ along)
    offsets = np.arange(REACH[plane][0], REACH[plane][1], step) - place
    slices = [
        render(head, lesion, replace(middle, origin=(middle.origin + offset * normal).astype(np.float32)), size)
        for offset in offsets
    ]
    taken = _acquired(rng, np.stack([each.diseased if drawn else each.healthy for each in slices]))
    mask = np.stack([each.mask for each in slices]) if drawn else None
    pixel = acquisition.FIELD / middle.scale / size
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([pixel * middle.right, pixel * middle.down, step * normal])
    corner = -(size - 1) / 2 * pixel * (middle.right + middle.down)
    affine[:3, 3] = middle.origin + corner + offsets[0] * normal
    flips = rng.integers(0, 2, 3).astype(bool)
    return _flipped(Stack(_in_file(taken), None if mask is None else _in_file(mask), affine), flips)


def _acquired(rng: np.random.Generator, values: Array) -> NDArray[np.int16]:
    """What a scanner stores of ideal intensities (D, S, S): smooth coil sensitivity, a little blur, Rician noise."""
    field = scipy.ndimage.zoom(rng.normal(0, 0.13, (4, 4, 4)), np.array(values.shape) / 4, order=3)
    width = rng.uniform(0.35, 0.9) * values.shape[-1] / 160
    blurred = scipy.ndimage.gaussian_filter(values, (0, width, width)) * np.exp(field).astype(np.float32)
    sigma = np.float32(rng.uniform(0.015, 0.06))
    noise = sigma * rng.standard_normal((2, *values.shape), np.float32)
    noisy = np.hypot(blurred + noise[0], noise[1])
    return np.asarray(np.rint(BRIGHT * rng.uniform(0.5, 2) * noisy), np.int16)


def _in_file(slices: NDArray[Any]) -> NDArray[Any]:
    """Slices (D, down, right) with the axes of a file: right, down, then from slice to slice."""
    return np.ascontiguousarray(np.transpose(slices, (2, 1, 0)))


def _flipped(stack: Stack, flips: NDArray[np.bool_]) -> Stack:
    """The same volume with some of its axes run through the other way."""
    axes = tuple(int(axis) for axis in np.flatnonzero(flips))
    turned = np.eye(4)
    for axis in axes:
        turned[axis, axis], turned[axis, 3] = -1, stack.values.shape[axis] - 1
    mask = None if stack.mask is None else np.flip(stack.mask, axes)
    return Stack(np.flip(stack.values, axes), mask, stack.affine @ turned)
