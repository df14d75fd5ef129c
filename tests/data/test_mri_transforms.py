import albumentations
import numpy as np
import pytest
from scipy.stats import rice

from brain_tumor.data.mri_transforms import BiasField, Ghosting, RicianNoise

SIZE = 64


def test_bias_field_is_the_exponential_of_the_polynomial() -> None:
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    coefficients = np.zeros((4, 4))
    coefficients[1, 0], coefficients[0, 2] = 0.3, -0.2
    result = BiasField().apply(image, coefficients=coefficients)
    position = np.linspace(-1, 1, SIZE)
    expected = 100 * np.exp(0.3 * position[:, None] - 0.2 * position[None] ** 2)
    inner = (slice(2, -2), slice(2, -2))  # interpolation of the knots ends half a knot before the border
    assert np.abs(result[..., 0] - expected)[inner].max() < 1.5
    assert (result == result[..., :1]).all()


def test_bias_field_draws_coefficients_of_the_given_degree() -> None:
    transform = BiasField(coefficient=0.3, order=3)
    transform.set_random_seed(0)
    drawn = np.array([transform.get_params()["coefficients"] for _ in range(200)])
    assert drawn.shape == (200, 4, 4)
    degree = np.add.outer(np.arange(4), np.arange(4))
    assert not drawn[:, degree > 3].any()
    assert not drawn[:, 0, 0].any()
    inside = drawn[:, (degree > 0) & (degree <= 3)]
    assert 0.29 < np.abs(inside).max() <= 0.3
    assert abs(inside.mean()) < 0.02


def test_bias_field_does_not_wrap_around() -> None:
    image = np.full((SIZE, SIZE, 3), 250, np.uint8)
    coefficients = np.zeros((4, 4))
    coefficients[1, 0] = 1.0
    assert BiasField().apply(image, coefficients=coefficients)[-1].min() == 255


@pytest.mark.parametrize("axis", [0, 1])
def test_ghosts_are_shifted_copies(axis: int) -> None:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[(20, slice(None)) if axis == 0 else (slice(None), 20)] = 240
    ghosted = Ghosting().apply(image, ghosts=4, intensity=0.5, axis=axis)
    line = ghosted[:, 5, 0] if axis == 0 else ghosted[5, :, 0]
    # Taking half of every 4th line of k-space subtracts an eighth, at 4 places; its mean was left alone:
    # 240 - 240 / 8 at the line, and 240 * 0.5 / 64 = 1.9 on all pixels for the line 0 that stays.
    expected = np.full(SIZE, 240 * 0.5 / 64)
    expected[[4, 20, 36, 52]] -= 240 / 8
    expected[20] += 240
    assert line == pytest.approx(np.clip(expected, 0, 255), abs=0.51)


def test_ghosting_keeps_the_mean_and_flat_images() -> None:
    flat = np.full((SIZE, 50, 3), 90, np.uint8)
    for axis in (0, 1):
        assert np.array_equal(Ghosting().apply(flat, ghosts=3, intensity=0.6, axis=axis), flat)
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    image[16:48, 16:48] = 160
    ghosted = Ghosting().apply(image, ghosts=5, intensity=0.4, axis=0)
    assert (ghosted != image).any()
    assert ghosted.mean() == pytest.approx(image.mean(), abs=0.5)


def test_ghosting_draws_within_its_ranges() -> None:
    transform = Ghosting(ghosts_range=(3, 8), intensity_range=(0.2, 0.6))
    transform.set_random_seed(0)
    drawn = [transform.get_params() for _ in range(200)]
    assert {parameters["ghosts"] for parameters in drawn} == set(range(3, 9))
    assert {parameters["axis"] for parameters in drawn} == {0, 1}
    assert all(0.2 <= parameters["intensity"] <= 0.6 for parameters in drawn)


@pytest.mark.parametrize("gray", [0, 20, 100])
def test_rician_noise_has_the_distribution_of_rice(gray: int) -> None:
    deviation = 0.06 * 255
    transform = albumentations.Compose([RicianNoise(std_range=(0.06, 0.06), p=1.0)], seed=0)
    noisy = transform(image=np.full((300, 200, 3), gray, np.uint8))["image"]
    assert noisy.shape == (300, 200, 3)
    assert (noisy == noisy[..., :1]).all()
    expected = rice(gray / deviation, scale=deviation)
    error = expected.std() / np.sqrt(300 * 200)
    assert noisy[..., 0].mean() == pytest.approx(expected.mean(), abs=4 * error)
    assert noisy[..., 0].std() == pytest.approx(expected.std(), abs=4 * error)


def test_rician_noise_does_not_wrap_around() -> None:
    noise = np.zeros((2, 4, 4, 1), np.float32)
    noise[0, 0, 0], noise[1, 0, 1] = 100, 255
    noisy = RicianNoise().apply(np.full((4, 4, 3), 250, np.uint8), noise=noise)
    assert noisy[0, 0].tolist() == noisy[0, 1].tolist() == [255, 255, 255]
    assert (noisy[1:] == 250).all()
