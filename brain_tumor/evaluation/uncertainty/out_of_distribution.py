"""How far an image lies from what the model was trained on: Mahalanobis distance of the pooled features.

Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples and adversarial attacks", without
the input perturbation: the distance to the nearest class mean, by one covariance that all classes share, here with
Ledoit & Wolf's (2004) shrinkage. Against the energy of the logits (Liu et al. 2020) it was chosen by measurement
(benchmarks/outliers.py).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

scipy = lazy("scipy")
sklearn = lazy("sklearn")

FIT_IMAGES = 5000  # of the training part, at most: more do not pay for the pass over them


@dataclass(frozen=True, eq=False)
class Gaussians:
    """One normal distribution per class over the features, of equal covariance."""

    means: NDArray[np.float32]  # (C, D)
    precision: NDArray[np.float32]  # (D, D), symmetric

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Squared Mahalanobis distance (N,) of each image's features (N, D) to the nearest class, per feature.

        Divided by D, so that an image of the training distribution has about 1.
        """
        centre, precision, means, squares = self._form
        offset = features - centre
        along = offset @ precision
        own = np.einsum("nd,nd->n", along, offset)
        return np.asarray((own[:, None] - 2 * (along @ means.T) + squares).min(axis=1) / features.shape[1])

    @cached_property
    def _form(self) -> tuple[NDArray[np.float64], ...]:
        """The classes' common centre (D,), the precision in double, the means (C, D) from there, and their squares.

        Kept, and expanded so that images are multiplied by the precision once and not class by class: for a single
        image that is what an answer's time went to.
        """
        means, precision = self.means.astype(np.float64), self.precision.astype(np.float64)
        centre = means.mean(axis=0)
        means = means - centre
        return centre, precision, means, np.einsum("cd,cd->c", means @ precision, means)


def fit(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Gaussians:
    """Means and shared covariance of training features (N, D) by class (N,); every class has an image."""
    means = np.stack([features[labels == index].mean(axis=0, dtype=np.float64) for index in range(classes)])
    # Not inverted there: that takes all eigenvalues, and ten times as long.
    shrunk = sklearn.covariance.LedoitWolf(assume_centered=True, store_precision=False).fit(features - means[labels])
    return Gaussians(means.astype(np.float32), _inverse(shrunk.covariance_).astype(np.float32))


def _inverse(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a covariance (D, D); the pseudo-inverse of a singular one."""
    try:
        factor = scipy.linalg.cho_factor(covariance)
    except np.linalg.LinAlgError:
        return np.asarray(scipy.linalg.pinvh(covariance))
    return np.asarray(scipy.linalg.cho_solve(factor, np.eye(len(covariance))))
