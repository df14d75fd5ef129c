"""Training images as they would be without their lesion, or with the same paint elsewhere (Chang et al. 2021).

Of the images whose lesion is known a share has it painted over and belongs to the healthy class; of all images that are
known, healthy ones among them, a share is painted over where no lesion is, and stays what it is. So neither the paint
nor what surrounds a lesion tells the class: the lesion does. "Towards robust classification model by counterfactual and
invariant data generation", arXiv:2106.01127.
"""

from collections.abc import Callable

import numpy as np

from brain_tumor.config.train import CounterfactualConfig
from brain_tumor.data.augment import Augment, Sample
from brain_tumor.data.painting import SOFTEST, TISSUE, Region, enlarged, paint, widened

PLACES = 20  # tried for a region elsewhere, before an image is left as it is
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
        config: the shares, both multiplied by `strength`.
        sample_of: a training image by its position, from which tissue and the shapes of lesions are taken.
        count: of the training images.
        healthy: index of the class without a lesion; None: there is none, and no lesion is removed.
        seed: of the drawing.
        strength: 0..1, the phase's.
    """
    removed = 0.0 if healthy is None else config.removed * strength
    elsewhere = config.elsewhere * strength

    def repaint(sample: Sample, epoch: int, index: int) -> Sample:
        # Apart from the stream of the transforms, which have (seed, epoch, index).
        generator = np.random.default_rng([seed, epoch, index, 1])
        drawn = generator.random()
        if sample.mask is None or drawn >= removed + elsewhere:
            return sample

        def donor() -> Sample:
            return sample_of(int(generator.integers(count)))

        if drawn < removed:
            if not sample.mask.any():
                return sample
            image = paint(sample, widened(sample.mask, generator), donor, generator)
            assert healthy is not None
            return Sample(image, healthy, np.zeros_like(sample.mask))
        region = _elsewhere(sample, donor, generator)
        return sample if region is None else sample._replace(image=paint(sample, region, donor, generator))

    return repaint


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
