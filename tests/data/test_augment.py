from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf

from brain_tumor.config.train import AugmentConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.augment import Augment, Sample, build
from brain_tumor.errors import InputError

CONF = Path(__file__).parents[2] / "conf" / "augment"
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
VOLUME = np.random.default_rng(1).integers(0, 256, (5, 48, 48, 1)).astype(np.uint8)


def read(name: str) -> AugmentConfig:
    return typed(AugmentConfig, OmegaConf.load(CONF / f"{name}.yaml"))  # type: ignore[arg-type]


def seen(augment: Augment, image: NDArray[np.uint8], epoch: int, index: int) -> NDArray[np.uint8]:
    """What an augmentation shows of an image."""
    return augment(Sample(image), epoch, index).image


@pytest.mark.parametrize("image", [IMAGE, VOLUME], ids=["slice", "volume"])
@pytest.mark.parametrize("name", ["none", "notebook", "mri"])
def test_every_file_builds_and_keeps_shape_and_type(name: str, image: NDArray[np.uint8]) -> None:
    augment = build(read(name), 0)
    results = [seen(augment, image, 0, index) for index in range(20)]
    assert {(result.shape, result.dtype.str) for result in results} == {(image.shape, "|u1")}
    assert read(name).name == name
    assert any((result != image).any() for result in results) == (name != "none")


def test_all_slices_of_a_volume_and_its_mask_move_alike() -> None:
    augment = build(read("notebook"), 0)
    volume = np.repeat(VOLUME[:1], 5, axis=0)  # the same slice five times
    mask = np.zeros(volume.shape[:3], bool)
    mask[:, 10:20, 30:40] = True
    for index in range(8):
        found = augment(Sample(volume, mask=mask), 0, index)
        assert all((each == found.image[0]).all() for each in found.image)
        assert found.mask is not None
        assert all((each == found.mask[0]).all() for each in found.mask)


def test_notebook_holds_its_three_transforms() -> None:
    assert list(read("notebook").transforms) == ["HorizontalFlip", "Affine", "RandomBrightnessContrast"]


@pytest.mark.parametrize("name", ["notebook", "mri"])
def test_result_depends_on_seed_epoch_and_index_alone(name: str) -> None:
    keys = [(epoch, index) for epoch in range(3) for index in range(20)]
    first = build(read(name), 7)
    known = {key: seen(first, IMAGE, *key) for key in keys}
    second = build(read(name), 7)
    with ThreadPoolExecutor(3) as pool:
        backwards = list(pool.map(lambda key: seen(second, IMAGE, *key), keys[::-1]))
    for key, result in zip(keys[::-1], backwards, strict=True):
        assert np.array_equal(result, known[key])
    assert len({known[key].tobytes() for key in keys}) > len(keys) * 0.6
    other = build(read(name), 8)
    assert not all(np.array_equal(seen(other, IMAGE, *key), known[key]) for key in keys)


def test_transforms_strike_independently_of_each_other() -> None:
    flips = AugmentConfig("x", {"HorizontalFlip": {"p": 0.5}, "VerticalFlip": {"p": 0.5}})
    augment = build(flips, 0)
    outcomes = [seen(augment, IMAGE, 0, index).tobytes() for index in range(400)]
    expected = [IMAGE, IMAGE[:, ::-1], IMAGE[::-1], IMAGE[::-1, ::-1]]
    shares = [outcomes.count(np.ascontiguousarray(image).tobytes()) / 400 for image in expected]
    assert shares == pytest.approx([0.25] * 4, abs=0.09)  # 4 standard errors


def test_strength_multiplies_the_probabilities() -> None:
    flips = AugmentConfig("x", {"HorizontalFlip": {"p": 0.8}, "VerticalFlip": {}})  # 0.5 is the library's default
    augment = build(flips, 0, 0.5)
    outcomes = [seen(augment, IMAGE, 0, index).tobytes() for index in range(400)]
    expected = [IMAGE, IMAGE[:, ::-1], IMAGE[::-1], IMAGE[::-1, ::-1]]
    shares = [outcomes.count(np.ascontiguousarray(image).tobytes()) / 400 for image in expected]
    assert shares == pytest.approx([0.6 * 0.75, 0.4 * 0.75, 0.6 * 0.25, 0.4 * 0.25], abs=0.1)  # 4 standard errors


def test_strength_one_is_as_written_and_zero_is_none() -> None:
    usual, one, zero = build(read("mri"), 0), build(read("mri"), 0, 1.0), build(read("mri"), 0, 0.0)
    for index in range(30):
        assert np.array_equal(seen(one, IMAGE, 1, index), seen(usual, IMAGE, 1, index))
        assert np.array_equal(seen(zero, IMAGE, 1, index), IMAGE)
    with pytest.raises(InputError, match="no transform of that name"):
        build(AugmentConfig("x", {"Xyzzy": {}}), 0, 0.0)


def test_images_are_left_as_they_were() -> None:
    image = IMAGE.copy()
    augment = build(read("mri"), 0)
    for index in range(20):
        seen(augment, image, 0, index)
    assert np.array_equal(image, IMAGE)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ({"Horizontalflip": {}}, r"augment\.transforms\.Horizontalflip: .*did you mean HorizontalFlip"),
        ({"Biasfield": {}}, "did you mean BiasField"),
        ({"Xyzzy": {}}, "no transform of that name"),
        ({"Compose": {}}, "no transform of that name"),
        ({"HorizontalFlip": {"limit": 1}}, r"augment\.transforms\.HorizontalFlip: .*'limit'"),
        ({"HorizontalFlip": {"p": "often"}}, "valid number"),
        ({"RandomGamma": {"gamma_limit": "x"}}, r"augment\.transforms\.RandomGamma"),
        ({"BiasField": {"strength": 1.0}}, "'strength'"),
    ],
)
def test_mistakes_are_known_before_training(transforms: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(AugmentConfig("x", transforms), 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("transforms", [{"Resize": {"height": 24, "width": 24, "p": 1.0}}, {"Normalize": {"p": 1.0}}])
def test_what_changes_size_or_type_is_refused(transforms: dict[str, Any]) -> None:
    augment = build(AugmentConfig("x", transforms), 0)
    with pytest.raises(InputError, match="leave out what resizes, crops or normalizes"):
        seen(augment, IMAGE, 0, 0)


def test_read_only_pictures_can_be_augmented() -> None:
    image: NDArray[np.uint8] = IMAGE.copy()
    image.flags.writeable = False
    augment = build(read("mri"), 0)
    assert all(seen(augment, image, 0, index).shape == (48, 48, 3) for index in range(30))


def test_a_mask_goes_through_the_geometry_of_its_image_and_nothing_else() -> None:
    augment = build(read("mri"), 0)
    y, x = np.ogrid[:96, :96]
    mask = (y - 30) ** 2 + (x - 60) ** 2 < 100
    image: NDArray[np.uint8] = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 250
    found = [augment(Sample(image, 2, mask), 0, index) for index in range(30)]
    assert {each.label for each in found} == {2}
    overlaps = []
    for index, each in enumerate(found):
        assert each.mask is not None
        assert np.array_equal(each.image, seen(augment, image, 0, index))  # as without a mask
        lit = each.image[..., 0] > 125
        overlaps.append((each.mask & lit).sum() / (each.mask | lit).sum())
    assert np.median(overlaps) > 0.9
    assert len({each.mask.tobytes() for each in found if each.mask is not None}) > 15
