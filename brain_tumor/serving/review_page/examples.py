"""What there is to try the page with: SYNTHETIC slices, and a volume, drawn when the page starts."""

import dataclasses
import gzip
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.phantom import acquisition, anatomy, lesions
from brain_tumor.data.phantom.generate import draw_subject
from brain_tumor.data.phantom.rendering import render
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.lazy import lazy

nibabel = lazy("nibabel")

SEED = 2**32 - 1  # of no data set's default
VOLUME_SLICES, VOLUME_SIDE, VOLUME_STEP = 24, 128, 4.5  # mm from slice to slice


@dataclass(frozen=True)
class Example:
    """A file to try."""

    label: str
    name: str
    content: bytes


def examples(whole: bool = False) -> tuple[Example, ...]:
    """A slice of each class, but not for models of whole volumes; and a volume, where NIfTI can be read."""
    config = PhantomConfig(slices_per_subject=1, seed=SEED)
    found = []
    for subject, name in enumerate([] if whole else STANDARD.names):
        _, picture, _ = next(draw_subject(config, subject))
        found.append(Example(f"SYNTHETIC {name}", f"SYNTHETIC {name}.png", _png(picture)))
    volume = draw_volume()
    try:
        open_scan(volume)
    except CorruptImageError:
        return tuple(found)
    return (*found, Example("SYNTHETIC volume", "SYNTHETIC glioma.nii.gz", volume))


def draw_volume() -> bytes:
    """A phantom with a glioma in axial slices, as gzipped NIfTI."""
    rng = np.random.default_rng(SEED)
    head, lesion = anatomy.draw_head(rng), lesions.DRAW["glioma"](rng)
    person = 2 * lesion.centre - anatomy.to_template(head, lesion.centre[None])[0]
    pose = acquisition.draw_pose(rng, "axial", person)
    slices = []
    for index in range(VOLUME_SLICES):
        height = (index - VOLUME_SLICES // 2) * VOLUME_STEP
        origin = pose.origin + np.array([0, 0, height], np.float32)
        _, drawn, _ = render(head, lesion, dataclasses.replace(pose, origin=origin), VOLUME_SIDE)
        slices.append(acquisition.acquire(np.random.default_rng(SEED), drawn))  # one coil, one window
    # From rows and columns of pictures to right, anterior, superior.
    volume = np.stack(slices, axis=-1)[::-1].transpose(1, 0, 2)
    pixel = acquisition.FIELD / pose.scale / VOLUME_SIDE
    image = nibabel.Nifti1Image(np.ascontiguousarray(volume), np.diag([pixel, pixel, VOLUME_STEP, 1]))
    return gzip.compress(image.to_bytes(), mtime=0)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
