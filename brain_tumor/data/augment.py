"""Augmentation: the transforms that the `augment` group lists, reproducible image by image."""

import importlib.metadata
import json
import os
import random
import threading
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import AugmentConfig
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy

albumentations = lazy("albumentations")
cv2 = lazy("cv2")


class Sample(NamedTuple):
    """A training image as it is shown, and what is to be learned of it."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB 0..255, or a whole volume (D, H, W, C)
    label: int = 0  # index of the class
    mask: NDArray[np.bool_] | None = None  # (H, W): the lesion, empty where there is none; None: not known


Augment = Callable[[Sample, int, int], Sample]  # of a sample, the epoch, and its position among the training images


def build(config: AugmentConfig, seed: int, strength: float = 1.0) -> Augment:
    """The transforms as a function of sample, epoch and index, safe to call from several threads.

    A mask goes through the same geometry as its image, and so do all slices of a volume: whatever is drawn, is drawn
    once for all of them.

    What it does depends on (seed, epoch, index) alone, whichever thread does it and whatever came before. Each
    transform's probability is multiplied by `strength` (0..1).

    Raises:
        InputError: albumentations knows no transform of that name, or not with these parameters.
    """
    if not config.transforms:
        return lambda sample, epoch, index: sample
    # Without it, importing albumentations asks the network for a newer version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from brain_tumor.data.mri_transforms import known_transforms  # noqa: PLC0415 - derives from albumentations' classes

    cv2.setNumThreads(1)  # the callers' threads share the processors already
    known = known_transforms()
    local = threading.local()

    def compose() -> Any:
        return albumentations.Compose([_make(known, *item, strength) for item in config.transforms.items()])

    local.compose = compose()  # here and now, so that a mistake shows before training

    def augment(sample: Sample, epoch: int, index: int) -> Sample:
        if not hasattr(local, "compose"):
            local.compose = compose()
        sequence = np.random.SeedSequence([seed, epoch, index])
        # One stream for all transforms. `set_random_seed` would give each the same one, so that they
        # would all strike, or all spare, the same images.
        local.compose.set_random_state(
            np.random.Generator(np.random.PCG64(sequence)), random.Random(int(sequence.generate_state(1)[0]))
        )
        target = "image" if sample.image.ndim == 3 else "images"
        masks = {} if sample.mask is None else {target.replace("image", "mask"): sample.mask.astype(np.uint8)}
        result = local.compose(**{target: sample.image}, **masks)
        image, shape = result[target], sample.image.shape
        if image.shape != shape or image.dtype != np.uint8:
            raise InputError(
                f"augment={config.name} turns a uint8 image of {shape} into {image.dtype} of "
                f"{image.shape}: leave out what resizes, crops or normalizes"
            )
        return sample._replace(image=image, mask=next((result[name].astype(np.bool_) for name in masks), None))

    return augment


def recipe(config: AugmentConfig, seed: int, strength: float) -> str:
    """All that determines what the augmentation of these arguments does, as JSON."""
    facts = [config.transforms, seed, strength, importlib.metadata.version("albumentations")]
    return json.dumps(facts if config.transforms else [])


def _make(known: Mapping[str, type], name: str, parameters: Mapping[str, Any] | None, strength: float) -> Any:
    where = f"augment.transforms.{name}"
    if name not in known:
        near = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see the transforms of albumentations"
        raise InputError(f"{where}: albumentations has no transform of that name; {hint}")
    if issubclass(known[name], albumentations.Transform3D):
        raise InputError(f"{where} is for whole volumes, which are augmented slice by slice here: leave it out")
    try:
        transform: Any = known[name](**dict(parameters or {}), strict=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {_reason(error)}") from error
    transform.p *= strength
    return transform


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("For further information")]
    return "; ".join(kept)
