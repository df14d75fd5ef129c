"""Three artefacts of MRI that albumentations lacks, as albumentations transforms."""

from typing import Any

import albumentations
import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, C) 0..255


class BiasField(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """Smooth, multiplicative shading, as an inhomogeneous receive coil causes.

    The field is exp(polynomial in x, y of total degree `order`), x and y in -1..1, coefficients uniform in
    -coefficient..coefficient, without the constant: Van Leemput et al., IEEE TMI 18(10), 1999; used for
    augmentation by Sudre et al., MICCAI workshop 2017 (and by TorchIO's RandomBiasField).
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):  # type: ignore[misc]
        coefficient: float
        order: int

    def __init__(self, coefficient: float = 0.3, order: int = 3, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.coefficient = coefficient
        self.order = order

    def get_params(self) -> dict[str, Any]:
        shape = (self.order + 1, self.order + 1)
        coefficients = self.random_generator.uniform(-self.coefficient, self.coefficient, shape)
        coefficients[np.add.outer(*(np.arange(n) for n in shape)) > self.order] = 0
        coefficients[0, 0] = 0
        return {"coefficients": coefficients}

    def apply(self, img: Image, coefficients: NDArray[np.float64], **_: Any) -> Image:
        # A cubic is smooth: 32 x 32 knots, interpolated, equal it at every pixel and cost a tenth.
        knots = np.linspace(-1, 1, 32)
        coarse = np.exp(np.polynomial.polynomial.polygrid2d(knots, knots, coefficients)).astype(np.float32)
        field = cv2.resize(coarse, img.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        shaded = cv2.multiply(img, cv2.merge([field] * img.shape[2]), dtype=cv2.CV_8U)
        return np.asarray(shaded, np.uint8).reshape(img.shape)  # OpenCV drops the axis of one channel


class Ghosting(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """Faint copies of the head along one axis, as periodic motion (breath, pulse) causes.

    Every n-th line of k-space, n = number of ghosts, is scaled by 1 - intensity; the centre of k-space is
    left alone. Axel et al., AJR 147, 1986; the same model as TorchIO's RandomGhosting.
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):  # type: ignore[misc]
        ghosts_range: tuple[int, int]
        intensity_range: tuple[float, float]

    def __init__(
        self,
        ghosts_range: tuple[int, int] = (3, 8),
        intensity_range: tuple[float, float] = (0.2, 0.6),
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.ghosts_range = ghosts_range
        self.intensity_range = intensity_range

    def get_params(self) -> dict[str, Any]:
        return {
            "ghosts": self.py_random.randint(*self.ghosts_range),
            "intensity": self.py_random.uniform(*self.intensity_range),
            "axis": self.py_random.randint(0, 1),
        }

    def apply(self, img: Image, ghosts: int, intensity: float, axis: int, **_: Any) -> Image:
        spectrum = scipy.fft.rfft(img.astype(np.float32), axis=axis)
        lines = np.ones(spectrum.shape[axis], np.float32)
        lines[ghosts::ghosts] -= intensity  # line 0, the mean, stays
        spectrum *= lines.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        ghosted = scipy.fft.irfft(spectrum, n=img.shape[axis], axis=axis)
        return np.asarray(np.clip(ghosted + 0.5, 0, 255), np.uint8)


class RicianNoise(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """The noise of a magnitude image: sqrt((x + n1)^2 + n2^2), n1 and n2 normal with the same deviation.

    It lifts dark pixels (the background's mean becomes 1.25 deviations) and is nearly normal on bright ones:
    Gudbjartsson & Patz, Magnetic Resonance in Medicine 34(6), 1995. All channels get the same noise.
    """

    class InitSchema(albumentations.BasicTransform.InitSchema):  # type: ignore[misc]
        std_range: tuple[float, float]  # of 255

    def __init__(self, std_range: tuple[float, float] = (0.01, 0.05), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.std_range = std_range

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        std = 255 * self.py_random.uniform(*self.std_range)
        noise = self.random_generator.standard_normal((2, *params["shape"][:2], 1), np.float32)
        return {"noise": np.float32(std) * noise}

    def apply(self, img: Image, noise: NDArray[np.float32], **_: Any) -> Image:
        magnitude = np.hypot(img + noise[0], noise[1])
        return np.asarray(np.minimum(magnitude + 0.5, 255), np.uint8)


def known_transforms() -> dict[str, type]:
    """What may stand in the `augment` group: albumentations' own transforms and those above, by name."""
    places = {**vars(albumentations), **globals()}
    return {
        name: value
        for name, value in places.items()
        if isinstance(value, type) and issubclass(value, albumentations.BasicTransform)
    }
