"""Training images as they would be without their lesion, with another one's, or with the same paint elsewhere.

Of the images whose lesion is known a share has it painted over and belongs to the healthy class; of the healthy ones a
share gets the lesion of another image, at its place there, and belongs to the class of that. Of both a share is painted
over where no lesion is, and stays what it is. So neither the paint nor what surrounds a lesion tells the class: the
lesion does. Chang et al. 2021, "Towards robust classification model by counterfactual and invariant data generation",
arXiv:2106.01127; Zhang et al. 2021, "CarveMix", arXiv:2108.06883.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import CounterfactualConfig
from brain_tumor.data.augment import Augment, Sample
from brain_tumor.data.masks import PackedMasks
from brain_tumor.data.painting import SOFTEST, TISSUE, Region, blended, enlarged, paint, widened

PLACES = 20  # tried for a region elsewhere or another's lesion, before an image is left as it is
IN_HEAD = 0.7  # share of a region that lies in the head


def build(
    config: CounterfactualConfig,
    sample_of: Callable[[int], Sample],
    count: int,
    *,
    healthy: int | None,
    seed: int,
    strength: float = 1.0,
) -> Augment:
    """The painting as a function of sample, epoch and index; what it does depends on (seed, epoch, index) alone.

    Args:
        config: the shares, all multiplied by `strength`.
        sample_of: a training image by its position, from which tissue and the shapes of lesions are taken.
        count: of the training images.
        healthy: index of the class without a lesion; None: there is none, and no lesion is removed or transplanted.
        seed: of the drawing.
        strength: 0..1, the phase's.
    """
    removed, transplanted = (0.0 if healthy is None else of * strength for of in (config.removed, config.transplanted))
    elsewhere = config.elsewhere * strength

    def repaint(sample: Sample, epoch: int, index: int) -> Sample:
        # Apart from the stream of the transforms, which have (seed, epoch, index).
        generator = np.random.default_rng([seed, epoch, index, 1])
        drawn = generator.random()
        if sample.mask is None:
            return sample

        def donor() -> Sample:
            return sample_of(int(generator.integers(count)))

        lesion = sample.mask.any()
        share = removed if lesion else transplanted if sample.label == healthy else 0.0
        if drawn < share:
            if not lesion:
                return _transplanted(sample, donor, generator)
            image = paint(sample, widened(sample.mask, generator), donor, generator)
            assert healthy is not None
            return Sample(image, healthy, np.zeros_like(sample.mask))
        region = _elsewhere(sample, donor, generator) if drawn < share + elsewhere else None
        return sample if region is None else sample._replace(image=paint(sample, region, donor, generator))

    return repaint


def expected_classes(
    config: CounterfactualConfig,
    labels: NDArray[np.int32],
    masks: PackedMasks,
    *,
    classes: int,
    healthy: int,
    strength: float = 1.0,
) -> NDArray[np.float64]:
    """The chance (n, classes) of each class that an image has once `build`'s function has repainted it.

    `labels` (n,) and `masks` are those of the images; the rest is as for `build`. A transplantation that finds no place
    counts as if it had.
    """
    every = np.eye(classes)
    chances = every[labels]
    removed, transplanted = (of * strength for of in (config.removed, config.transplanted))
    lesion = masks.known & masks.bits.any(axis=1)
    bare = masks.known & ~lesion & (labels == healthy)
    if lesion.any():
        donors = chances[lesion].mean(axis=0)
        chances[bare] += transplanted * (donors - every[healthy])
        chances[lesion] += removed * (every[healthy] - chances[lesion])
    return chances


def _transplanted(sample: Sample, donor: Callable[[], Sample], generator: np.random.Generator) -> Sample:
    """A healthy image with the lesion of another at its place there, of whose class it is then."""
    head = sample.image.max(axis=-1) > TISSUE
    for _ in range(PLACES):
        other = donor()
        if other.mask is None or not other.mask.any():
            continue
        region = widened(other.mask, generator)
        image = blended(sample.image, other.image, region, generator) if head[region].mean() > IN_HEAD else None
        if image is not None:
            return Sample(image, other.label, other.mask)
    return sample


def _elsewhere(sample: Sample, donor: Callable[[], Sample], generator: np.random.Generator) -> Region | None:
    """A region in the head and clear of the lesion, of its shape mirrored or moved, or of another image's."""
    assert sample.mask is not None
    shape = sample.mask
    for _ in range(PLACES):
        if shape.any():
            break
        other = donor().mask
        shape = shape if other is None else other
    if not shape.any():
        return None
    region, lesion = widened(shape, generator), enlarged(sample.mask, round(3 * SOFTEST))
    head = sample.image.max(axis=-1) > TISSUE
    side = len(region)
    for attempt in range(PLACES):
        placed = region[:, ::-1] if generator.random() < 0.5 else region
        if attempt or not lesion.any():  # at first the mirror image of the own one, where it really is elsewhere
            placed = _moved(placed, *generator.integers(-side // 3, side // 3 + 1, 2))
        clear = not (placed & lesion).any()
        if clear and placed.sum() > 0.5 * region.sum() and head[placed].mean() > IN_HEAD:
            return placed
    return None


def _moved(region: Region, down: int, right: int) -> Region:
    """A region moved; what leaves the image is lost."""
    height, width = region.shape
    moved = np.zeros_like(region)
    to = np.s_[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    of = np.s_[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    moved[to] = region[of]
    return moved
