"""Ways of painting a region of an image over with what could be tissue, of which training draws one for each image.

None is the way of the removal test (`evaluation.explanation.removal`), nor is its region widened like that one's: a
model that knows the paint of its training finds none of it there.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.augment import Sample
from brain_tumor.lazy import lazy

cv2 = lazy("cv2")
scipy = lazy("scipy")

Image = NDArray[np.uint8]  # (S, S, 3)
Region = NDArray[np.bool_]  # (S, S)
# Image, region and what to draw from -> the image with that region painted over; None where this way does not fit.
Way = Callable[[Sample, Region, Callable[[], Sample], np.random.Generator], Image | None]

TISSUE = 20  # of 255: what is brighter lies in the head
DONORS = 6  # images that are looked at for tissue of the same place
SOFTEST = 1.5  # pixels: the deviation with which paint fades out beyond its region
MARGIN = (0.01, 0.05)  # of the side, how far a region is widened, since borders are drawn by hand and lesions reach out


def widened(mask: Region, generator: np.random.Generator) -> Region:
    """A mask with a round margin of a random width."""
    return enlarged(mask, max(1, round(generator.uniform(*MARGIN) * len(mask))))


def enlarged(mask: Region, reach: int) -> Region:
    """A mask and what lies within `reach` pixels of it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.bool_)


def paint(sample: Sample, region: Region, donor: Callable[[], Sample], generator: np.random.Generator) -> Image:
    """The sample's image with a region painted over, by the first of WAYS, in a random order, that fits.

    `donor` draws another training image.
    """
    for place in generator.permutation(len(WAYS)):
        painted = list(WAYS.values())[place](sample, region, donor, generator)
        if painted is not None:
            return np.asarray(painted, np.uint8)
    raise AssertionError("two of the ways fit always")


def _telea(sample: Sample, region: Region, donor: object, generator: np.random.Generator) -> Image:
    """Telea 2004, "An image inpainting technique based on the fast marching method", in OpenCV."""
    radius = int(generator.integers(2, 6))
    image = np.ascontiguousarray(sample.image)
    return np.asarray(cv2.inpaint(image, region.astype(np.uint8), radius, cv2.INPAINT_TELEA), np.uint8)


def _mirrored(sample: Sample, region: Region, donor: object, generator: np.random.Generator) -> Image | None:
    """What stands at the mirrored place, if that is tissue and neither lesion nor the region itself."""
    source = region[:, ::-1]
    if (source & region).any() or sample.mask is None or (source & sample.mask).any():
        return None
    return blended(sample.image, sample.image[:, ::-1], region, generator)


def _grafted(
    sample: Sample, region: Region, donor: Callable[[], Sample], generator: np.random.Generator
) -> Image | None:
    """What stands at the same place in another image without a lesion there, of some the one most alike around it."""
    others = [donor() for _ in range(DONORS)]
    clear = [each.image for each in others if each.mask is not None and not (each.mask & region).any()]
    if not clear:
        return None
    around = enlarged(region, 6) & ~region
    here = sample.image[around].astype(np.float32)
    nearest = min(clear, key=lambda image: float(np.abs(image[around] - here).mean()))
    return blended(sample.image, nearest, region, generator)


def _smooth(sample: Sample, region: Region, donor: object, generator: np.random.Generator) -> Image:
    """The mean of the surroundings, weighted by nearness, with noise at most as strong as theirs."""
    image = sample.image.astype(np.float32)
    outside = (~region).astype(np.float32)
    deviation = max(2.0, generator.uniform(0.4, 0.8) * float(np.sqrt(region.sum())))
    weights = cv2.GaussianBlur(outside, (0, 0), deviation)
    fill = cv2.GaussianBlur(image * outside[..., None], (0, 0), deviation) / np.maximum(weights, 1e-3)[..., None]
    ring = _ring(region)
    rough = np.abs(image - cv2.GaussianBlur(image, (0, 0), 2.0))[ring]
    grain = float(np.median(rough)) * 1.48 if rough.size else 0.0  # of a normal one, whatever edges there are
    noise = cv2.GaussianBlur(generator.standard_normal(region.shape, np.float32), (0, 0), generator.uniform(0.5, 1.2))
    noise *= generator.uniform(0.3, 1.0) * grain / float(noise.std())
    return _feathered(sample.image, fill + noise[..., None], region, generator)


WAYS: Mapping[str, Way] = MappingProxyType(
    {"telea": _telea, "mirrored": _mirrored, "grafted": _grafted, "smooth": _smooth}
)


def blended(image: Image, source: Image, region: Region, generator: np.random.Generator) -> Image | None:
    """The source's tissue in the region, as bright as the image is around it; None where the source has none there."""
    ring = _ring(region)
    if (source[region].max(axis=-1) > TISSUE).mean() < 0.7 or not ring.any():
        return None
    here, there = float(image[ring].mean()), float(source[ring].mean())
    scaled = source.astype(np.float32) * np.clip(here / max(there, 1.0), 0.5, 2.0)
    return _feathered(image, scaled, region, generator)


def _feathered(image: Image, fill: NDArray[np.float32], region: Region, generator: np.random.Generator) -> Image:
    """The fill in the region, all of it there, and fading out over some pixels around."""
    softness = generator.uniform(0.5, SOFTEST)
    distance = scipy.ndimage.distance_transform_edt(~region)
    share = np.exp(-0.5 * (distance / softness) ** 2)[..., None]
    return np.asarray(np.clip(image * (1 - share) + fill * share + 0.5, 0, 255), np.uint8)


def _ring(region: Region) -> Region:
    """What lies around a region, a few pixels wide."""
    return enlarged(region, 3) & ~region
