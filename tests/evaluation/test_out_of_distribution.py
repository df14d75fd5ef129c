"""The distance from what a model was trained on, against its formula."""

import numpy as np
import pytest

from brain_tumor.evaluation.uncertainty.out_of_distribution import Gaussians, fit


@pytest.mark.parametrize("images", [0, 1, 7])
def test_it_is_mahalanobis_to_the_nearest_class(images: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    spread = np.geomspace(1, 1e-3, 16)
    features = (5 + labels[:, None] + rng.normal(size=(200, 16)) * spread).astype(np.float32)
    found = fit(features, labels, 4)
    seen = features[:images]
    offsets = seen[:, None].astype(np.float64) - found.means  # (N, C, D)
    expected = np.einsum("ncd,de,nce->nc", offsets, found.precision.astype(np.float64), offsets).min(axis=1) / 16
    np.testing.assert_allclose(found.distance(seen), expected, rtol=1e-9)


def test_a_class_mean_has_no_distance_and_far_is_far() -> None:
    found = Gaussians(np.array([[0, 0], [10, 0]], np.float32), np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(found.distance(np.array([[10, 0], [10, 4], [5, 0]], np.float32)), [0, 8, 12.5])


@pytest.mark.parametrize("constant", [False, True])
def test_the_covariance_is_scikit_learns(constant: bool) -> None:
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (labels[:, None] + rng.normal(size=(60, 20)) @ rng.normal(size=(20, 20))).astype(np.float32)
    if constant:  # of every class: nothing varies, and what is left to invert is singular
        features = np.repeat(labels[:, None], 20, axis=1).astype(np.float32)
    centred = features - np.stack([features[labels == index].mean(axis=0) for index in range(3)])[labels]
    expected = LedoitWolf(assume_centered=True).fit(centred.astype(np.float64)).precision_
    np.testing.assert_allclose(fit(features, labels, 3).precision, expected, rtol=1e-4, atol=1e-6)
