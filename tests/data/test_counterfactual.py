"""Lesions painted over and transplanted, and the same paint elsewhere."""

import numpy as np
import pytest

from brain_tumor.config.train import CounterfactualConfig
from brain_tumor.data.augment import Sample
from brain_tumor.data.counterfactual import build, expected_classes
from brain_tumor.data.masks import PackedMasks
from brain_tumor.data.painting import WAYS, widened

SIDE, HEALTHY = 64, 2
Y, X = np.ogrid[:SIDE, :SIDE]
HEAD = (Y - 32) ** 2 + (X - 32) ** 2 < 28**2


def sample(index: int) -> Sample:
    """Gray tissue, and in three of four a bright lesion at the left; of every eighth it is not known where."""
    rng = np.random.default_rng(index)
    lesion = (Y - 24 - index % 9) ** 2 + (X - 18) ** 2 < 36 if index % 4 else np.zeros((SIDE, SIDE), np.bool_)
    plane = np.where(HEAD, 90 + rng.normal(0, 6, HEAD.shape), 0) + 120 * lesion
    image = np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Sample(image, (0 if index % 4 else HEALTHY), None if index % 8 == 1 else lesion)


def painting(removed: float, elsewhere: float, transplanted: float = 0, **options):
    settings = {"healthy": HEALTHY, "seed": 0} | options
    return build(CounterfactualConfig(removed, elsewhere, transplanted), sample, 40, **settings)


def test_a_share_of_the_known_lesions_is_gone_and_healthy() -> None:
    repaint = painting(0.25, 0)
    known = [index for index in range(1, 400) if index % 4 and index % 8 != 1]
    found = {index: repaint(sample(index), 0, index) for index in known}
    gone = [index for index, each in found.items() if each.label == HEALTHY]
    assert len(gone) / len(known) == pytest.approx(0.25, abs=0.1)  # 4 standard errors
    for index, each in found.items():
        before = sample(index)
        if index not in gone:
            assert np.array_equal(each.image, before.image)
            continue
        assert before.mask is not None
        assert each.mask is not None
        assert not each.mask.any()
        assert abs(float(each.image[before.mask].mean()) - 90) < 25  # it was 210, among tissue of 90
        far = ~widened(np.asarray(before.mask), np.random.default_rng(0)) & (np.abs(X - 18) > 20)
        assert np.array_equal(each.image[far], before.image[far])


def test_a_share_of_the_healthy_images_gets_the_lesion_and_the_class_of_another() -> None:
    repaint, count = painting(0, 0, transplanted=0.25), 0
    places = {sample(index).mask.tobytes() for index in range(40) if index % 4 and index % 8 != 1}
    for index in range(400):
        before, after = sample(index), repaint(sample(index), 0, index)
        if after.label == before.label:
            assert np.array_equal(after.image, before.image)
            continue
        count += 1
        assert (before.label, after.label) == (HEALTHY, 0)
        assert after.mask.tobytes() in places
        assert abs(float(after.image[after.mask].mean()) - 210) < 25  # a lesion's brightness, among tissue of 90
        far = ~widened(after.mask, np.random.default_rng(0)) & (np.abs(X - 18) > 20)
        assert np.array_equal(after.image[far], before.image[far])
    assert count == pytest.approx(25, abs=17)  # of 100 healthy ones; 4 standard errors


def test_the_chances_of_the_classes_are_those_that_painting_brings_about() -> None:
    shares = {"removed": 0.3, "transplanted": 0.4, "elsewhere": 0.2}
    repaint, count, epochs = painting(**shares, strength=0.5), 40, 50
    samples = [sample(index)._replace(label=index % 2 if index % 4 else HEALTHY) for index in range(count)]
    masks = [each.mask if each.mask is not None else np.zeros((SIDE, SIDE), np.bool_) for each in samples]
    packed = PackedMasks(
        np.stack([np.packbits(mask) for mask in masks]), np.array([each.mask is not None for each in samples]), SIDE
    )
    labels = np.array([each.label for each in samples], np.int32)
    expected = expected_classes(
        CounterfactualConfig(**shares), labels, packed, classes=3, healthy=HEALTHY, strength=0.5
    )
    assert expected[[0, 1, 2, 5]] == pytest.approx(
        # Healthy; not known; a lesion of class 0; one of class 1. Of those that are known 10 are of class 0, 15 of 1.
        np.array([[0.2 * 10 / 25, 0.2 * 15 / 25, 0.8], [0, 1, 0], [0.85, 0, 0.15], [0, 0.85, 0.15]])
    )
    seen = [repaint(samples[index], epoch, index).label == HEALTHY for epoch in range(epochs) for index in range(count)]
    assert np.mean(seen) == pytest.approx(expected[:, HEALTHY].mean(), abs=0.04)


def test_painted_elsewhere_an_image_keeps_lesion_and_class() -> None:
    repaint = painting(0, 1)
    changed = 0
    for index in range(100):
        before, after = sample(index), repaint(sample(index), 0, index)
        assert after.label == before.label
        if before.mask is None:
            assert np.array_equal(after.image, before.image)
            continue
        assert after.mask is before.mask or np.array_equal(after.mask, before.mask)
        assert np.abs(after.image[before.mask].astype(int) - before.image[before.mask]).max(initial=0) < 5
        changed += not np.array_equal(after.image, before.image)
    assert changed > 75  # of 87 that are known


def test_it_depends_on_seed_epoch_and_index_alone() -> None:
    first, second, other = (painting(0.4, 0.4, 0.4, seed=seed) for seed in (0, 0, 1))
    keys = [(epoch, index) for epoch in range(2) for index in range(30)]
    known = {key: first(sample(key[1]), *key).image.tobytes() for key in keys}
    assert {key: second(sample(key[1]), *key).image.tobytes() for key in keys[::-1]} == known
    assert {key: other(sample(key[1]), *key).image.tobytes() for key in keys} != known
    assert any(known[0, index] != known[1, index] for index in range(30))


def test_without_a_healthy_class_no_lesion_moves_and_strength_zero_paints_nothing() -> None:
    for repaint in (painting(1, 0, 1, healthy=None), painting(0.5, 0.5, 0.5, strength=0)):
        assert all(np.array_equal(repaint(sample(index), 0, index).image, sample(index).image) for index in range(20))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_paints_the_region_with_tissue(way: str) -> None:
    painted = 0
    for index in (2, 3, 5):
        before = sample(index)
        assert before.mask is not None
        region = widened(before.mask, np.random.default_rng(0))
        after = WAYS[way](before, region, lambda: sample(4), np.random.default_rng(index))
        assert after is not None
        assert after.dtype == np.uint8
        assert abs(float(after[before.mask].mean()) - 90) < 25
        painted += not np.array_equal(after, before.image)
    assert painted == 3


def test_a_lesion_is_not_mirrored_into_its_place() -> None:
    before = sample(3)
    assert before.mask is not None
    middle = np.roll(before.mask, 14, axis=1)
    assert WAYS["mirrored"](before._replace(mask=middle), middle, lambda: sample(4), np.random.default_rng(0)) is None
    opposite = before.mask[:, ::-1]
    assert WAYS["mirrored"](before, opposite, lambda: sample(4), np.random.default_rng(0)) is None
