"""What each corruption does to an image, against what its definition says."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rice

from brain_tumor.evaluation.corruptions import CORRUPTIONS, corrupter, corruptions_of

SIDE = 64
BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


def corrupted(name: str, level: int, image: np.ndarray, seeds: Sequence[int] = (0,)) -> np.ndarray:
    """(len(seeds), H, W, 3): the image at strength `level`, 1 to 5."""
    corruption = BY_NAME[name]
    corrupt = corrupter(corruption, corruption.strengths[level - 1], image.shape[0])
    return corrupt(np.stack([image] * len(seeds)), seeds)


def flat(gray: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), gray, np.uint8)


@pytest.fixture
def head() -> np.ndarray:
    """An ellipse with a bright rim and a structure of its own, on black."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.hypot(x / 0.7, y / 0.85)
    gray = np.where(radius < 0.9, 90 + 40 * np.sin(9 * x + 3) * np.sin(13 * y), 180) * (radius < 1)
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


def test_there_are_nine_of_five_strengths() -> None:
    assert [len(corruption.strengths) for corruption in CORRUPTIONS] == [5] * 9
    assert len(BY_NAME) == 9


@pytest.mark.parametrize("name", BY_NAME)
def test_strength_drives_every_image_away_from_itself(name: str, head: np.ndarray) -> None:
    seeds = range(2**200, 2**200 + 8)
    previous = np.zeros(len(seeds))
    for level in range(1, 6):
        result = corrupted(name, level, head, seeds)
        assert (result.shape, result.dtype) == ((8, SIDE, SIDE, 3), np.uint8)
        assert (result == result[..., :1]).all()  # gray stays gray
        distance = np.square(result.astype(float) - head).mean(axis=(1, 2, 3))
        assert (distance > previous).all()
        previous = distance


@pytest.mark.parametrize("name", BY_NAME)
def test_an_image_comes_out_the_same_in_any_batch(name: str, head: np.ndarray) -> None:
    seeds = [7, 2**255 + 1, 8, 9]
    together = corrupted(name, 3, head, seeds)
    for seed, result in reversed(list(zip(seeds, together, strict=True))):
        assert np.array_equal(corrupted(name, 3, head, [seed])[0], result)
    drawn = name in ("bias_field", "ghosting", "rician_noise", "gamma", "rotation")
    assert (len({result.tobytes() for result in together}) > 1) == drawn


def test_one_seed_draws_one_field_for_all_strengths() -> None:
    weak, strong = (corrupted("bias_field", level, flat(100))[0].astype(float) / 100 for level in (2, 4))
    inside = strong < 2.5  # not cut off at 255
    assert inside.mean() > 0.9
    assert strong.std() > 0.2
    assert strong[inside] == pytest.approx(weak[inside] ** 2, abs=0.03)  # the log field doubles, 0.4 to 0.8


def test_ghosting_takes_its_share_of_whole_lines(head: np.ndarray) -> None:
    smooth = (head // 4 + 90).astype(np.uint8)  # nothing is cut off
    spectrum = abs(np.fft.fft2(smooth[..., 0]))
    found = abs(np.fft.fft2(corrupted("ghosting", 3, smooth)[0, ..., 0]))
    strong = spectrum > 300  # well above what rounding adds: 64 * 64 pixels of sd 0.29 give 18
    ratios = found[strong] / spectrum[strong]
    kept, cut = ratios > 0.7, ratios <= 0.7
    assert kept.any()
    assert cut.any()
    assert ratios[kept] == pytest.approx(1, abs=0.25)
    assert np.median(ratios[kept]) == pytest.approx(1, abs=0.02)
    assert np.median(ratios[cut]) == pytest.approx(1 - 0.6, abs=0.05)


@pytest.mark.parametrize(("level", "deviation"), [(1, 0.01), (3, 0.05), (5, 0.09)])
def test_noise_is_rician(level: int, deviation: float) -> None:
    for gray in (0, 12):  # scipy's moments overflow where the gray is 40 deviations
        noisy = corrupted("rician_noise", level, flat(gray), range(10))[..., 0]
        expected = rice(gray / (255 * deviation), scale=255 * deviation)
        assert noisy.mean() == pytest.approx(expected.mean(), abs=4 * expected.std() / np.sqrt(noisy.size))


@pytest.mark.parametrize(("level", "width"), [(2, 0.01), (5, 0.03)])
def test_blur_spreads_a_line_by_its_standard_deviation(level: int, width: float) -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, 128] = 250
    profile = corrupted("blur", level, image)[0, 100, :, 0].astype(float)
    x = np.arange(256) - 128
    deviation = width * 256
    expected = 250 * np.exp(-(x**2) / (2 * deviation**2)) / (deviation * np.sqrt(2 * np.pi))
    assert profile == pytest.approx(expected, abs=1)
    assert profile.max() > 10


def test_contrast_shrinks_towards_the_mean() -> None:
    image = flat(40)
    image[: SIDE // 2] = 160  # mean 100
    result = corrupted("contrast", 5, image)[0]
    assert result[0, 0, 0] == pytest.approx(100 + 0.2 * 60, abs=1)
    assert result[-1, 0, 0] == pytest.approx(100 - 0.2 * 60, abs=1)


def test_gamma_goes_either_way() -> None:
    dark, bright = corrupted("gamma", 3, flat(64), [2, 3])[:, 0, 0, 0]
    assert dark == pytest.approx(255 * (64 / 255) ** 2, abs=1)
    assert bright == pytest.approx(255 * (64 / 255) ** 0.5, abs=1)


def test_resolution_averages_pixels() -> None:
    stripes = flat(0)
    stripes[:, ::2] = 200
    assert (corrupted("resolution", 1, stripes) == 100).all()
    blocks = flat(0)
    blocks[:, 32:] = 200  # pixels of 8 x 8 after level 5, interpolated between their centres at 27.5 and 35.5
    row = corrupted("resolution", 5, blocks)[0, 0, :, 0]
    assert (row[:28] == 0).all()
    assert (row[36:] == 200).all()
    assert row[31] == pytest.approx(200 * (31 - 27.5) / 8, abs=1)


@pytest.mark.parametrize(("level", "quality"), [(1, 25), (5, 7)])
def test_jpeg_is_that_of_pillow(level: int, quality: int, head: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(head).save(file, "JPEG", quality=quality)
    expected = np.asarray(Image.open(file)).astype(float)
    assert corrupted("jpeg", level, head)[0] == pytest.approx(expected, abs=2)


def test_rotation_turns_about_the_centre_either_way() -> None:
    image = flat(0)
    image[30:34, 50:54] = 255  # 20 px to the right of the centre, 31.5
    for seed, sign in ((0, -1), (1, 1)):  # rows count downwards: 45 degrees the mathematical way is up
        rows, columns = np.nonzero(corrupted("rotation", 5, image, [seed])[0, ..., 0] > 127)
        assert rows.mean() == pytest.approx(31.5 + sign * 20 * np.sqrt(0.5), abs=0.6)
        assert columns.mean() == pytest.approx(31.5 + 20 * np.sqrt(0.5), abs=0.6)


def test_of_whole_volumes_every_slice_is_damaged_alike_and_what_is_no_head_stays_0(head: np.ndarray) -> None:
    volume = np.stack([head[4:-4, :, :1]] * 5)  # (5, 56, 64, 1)
    names = {corruption.name for corruption in corruptions_of(volume.shape)}
    assert names == BY_NAME.keys() - {"contrast", "jpeg"}
    for name in names:
        previous = 0.0
        for strength in BY_NAME[name].strengths:
            [found] = corrupter(BY_NAME[name], strength, SIDE)(volume[None], [2**200 + 1])
            assert (found.shape, found.dtype) == (volume.shape, np.uint8)
            distance = float(np.square(found.astype(float) - volume).mean())
            assert distance > previous
            previous = distance
            assert (found == found[0]).all() == (name != "rician_noise")
            assert name == "rotation" or not found[volume == 0].any()


def test_noise_of_one_slice_says_nothing_of_the_next() -> None:
    noise = corrupter(BY_NAME["rician_noise"], 0.05, 64)(np.full((1, 4, 64, 64, 1), 128, np.uint8), [3])[0].astype(
        float
    )
    together = np.corrcoef(noise.reshape(4, -1))
    assert np.abs(together - np.eye(4)).max() < 0.1
    assert noise.std() == pytest.approx(0.05 * 255, rel=0.05)
