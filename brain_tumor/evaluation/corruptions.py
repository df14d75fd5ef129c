"""What can happen to a slice between patient and file: nine corruptions, each at five strengths.

After Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019, with corruptions of MRI in place of weather. Lengths are shares of the image's side, so that a strength
means the same at every resolution; JPEG alone works in blocks of 8 x 8 pixels.

Of whole volumes seven: they are not kept as JPEG, and standardising undoes a change of contrast. Every slice is damaged
alike, but for noise, and what is no head stays 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import AugmentConfig
from brain_tumor.data.augment import Augment, Sample, build

Images = NDArray[np.uint8]  # (B, S, S, 3) RGB 0..255, or whole volumes (B, D, H, W, 1)
Transform = tuple[str, dict[str, Any]]  # an augmentation's name and its parameters


@dataclass(frozen=True)
class Corruption:
    """One kind of damage. What is random in it depends on the image alone, so that strength is all that grows."""

    name: str
    parameter: str  # what a strength is, and its unit
    strengths: tuple[float, ...]  # five, from weak to strong
    transform: Callable[[float, int], Transform]  # of a strength and the image's side in pixels
    opposite: Callable[[float], float] | None = None  # of a strength: what half of the images get instead
    of_volumes: bool = True  # whether it can happen to a whole volume, too
    each_slice: bool = False  # whether it is drawn anew for each slice of one
    moves: bool = False  # whether the head lies elsewhere then


CORRUPTIONS: tuple[Corruption, ...] = (
    # Shading of a receive coil, see BiasField. The coefficients are drawn for each image within the strength.
    Corruption(
        "bias_field",
        "largest coefficient of the log field",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        lambda bound, side: ("BiasField", {"coefficient": bound, "order": 3}),
    ),
    # Periodic motion, see Ghosting. Three to eight ghosts along either axis, drawn for each image.
    Corruption(
        "ghosting",
        "share taken from every n-th line of k-space",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        lambda share, side: ("Ghosting", {"ghosts_range": (3, 8), "intensity_range": (share, share)}),
    ),
    # The levels of BrainWeb (Collins et al., IEEE TMI 17(3), 1998), there of the brightest tissue; see RicianNoise.
    Corruption(
        "rician_noise",
        "standard deviation, share of white",
        (0.01, 0.03, 0.05, 0.07, 0.09),
        lambda deviation, side: ("RicianNoise", {"std_range": (deviation, deviation)}),
        each_slice=True,
    ),
    # A Gaussian point spread.
    Corruption(
        "blur",
        "standard deviation, share of the side",
        (0.005, 0.01, 0.015, 0.02, 0.03),
        lambda width, side: ("GaussianBlur", {"blur_limit": 0, "sigma_limit": (width * side, width * side)}),
    ),
    # Hendrycks & Dietterich's: distances from the image's mean shrink.
    Corruption(
        "contrast",
        "share of the contrast that is left",
        (0.75, 0.5, 0.4, 0.3, 0.2),
        lambda share, side: (
            "ColorJitter",
            {"contrast": (share, share), "brightness": (1, 1), "saturation": (1, 1), "hue": (0, 0)},
        ),
        of_volumes=False,
    ),
    # Another window: x^gamma on 0..1, darker in one half of the images and brighter in the other.
    Corruption(
        "gamma",
        "exponent, or its inverse",
        (1.25, 1.5, 2.0, 2.5, 3.0),
        lambda gamma, side: ("RandomGamma", {"gamma_limit": (100 * gamma, 100 * gamma)}),
        opposite=lambda gamma: 1 / gamma,
    ),
    # Fewer, larger pixels (their mean), enlarged again linearly.
    Corruption(
        "resolution",
        "share of the pixels of a side",
        (0.5, 0.375, 0.25, 0.1875, 0.125),
        lambda share, side: (
            "Downscale",
            {
                "scale_range": (share, share),
                "interpolation_pair": {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
            },
        ),
    ),
    # Hendrycks & Dietterich's qualities.
    Corruption(
        "jpeg",
        "JPEG quality, 1 to 100",
        (25, 18, 15, 10, 7),
        lambda quality, side: ("ImageCompression", {"quality_range": (int(quality), int(quality))}),
        of_volumes=False,
    ),
    # A tilted head: clockwise in one half of the images, the other way in the other.
    Corruption(
        "rotation",
        "degrees, either way",
        (5, 10, 15, 30, 45),
        lambda angle, side: ("Rotate", {"limit": (angle, angle), "fill": 0}),
        opposite=lambda angle: -angle,
        moves=True,
    ),
)


def corruptions_of(shape: tuple[int, ...]) -> tuple[Corruption, ...]:
    """Those of images (S, S, 3), or of whole volumes (D, H, W, 1)."""
    return tuple(each for each in CORRUPTIONS if len(shape) == 3 or each.of_volumes)


def corrupter(corruption: Corruption, strength: float, side: int) -> Callable[[Images, Sequence[int]], Images]:
    """The corruption as a function of images with `side` pixels a row and a seed (0 or more) for each.

    An image comes out the same whatever batch it is in. One seed draws the same field, noise, ghosts and direction at
    every strength; its lowest bit is the direction.
    """

    def built(value: float) -> Augment:
        name, parameters = corruption.transform(value, side)
        return build(AugmentConfig(corruption.name, {name: {**parameters, "p": 1.0}}), seed=0)

    usual = built(strength)
    ways = (usual, usual if corruption.opposite is None else built(corruption.opposite(strength)))

    def damaged(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        way = ways[seed % 2]
        if image.ndim == 3:
            return way(Sample(image), 0, seed).image
        if corruption.each_slice:
            found = np.stack([way(Sample(each), index, seed).image for index, each in enumerate(image)])
        else:
            found = way(Sample(image), 0, seed).image
        return found if corruption.moves else np.where(image > 0, found, np.uint8(0))

    def corrupt(images: Images, seeds: Sequence[int]) -> Images:
        return np.stack([damaged(image, seed) for image, seed in zip(images, seeds, strict=True)])

    return corrupt
