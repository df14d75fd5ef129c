"""What is gained by not answering: risk against coverage (El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """One point per threshold, from the most confident image on; images of equal confidence are answered together."""

    thresholds: Array  # (K,) falling: answered is what is at least as confident
    coverage: Array  # (K,) share of images answered, rising to 1
    risk: Array  # (K,) share of the answers that are wrong

    @property
    def area(self) -> float:
        """AURC: the mean risk over all coverages, each point standing for the images that it adds."""
        return float(np.sum(np.diff(self.coverage, prepend=0) * self.risk))


def risk_coverage(confidences: Array, correct: NDArray[np.bool_]) -> RiskCoverage:
    """The curve of N >= 1 images by their confidences (N,) and whether each answer is right (N,)."""
    order = np.argsort(-confidences, kind="stable")
    ranked = confidences[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    wrong = np.cumsum(~correct[order])[last]
    return RiskCoverage(ranked[last], (last + 1) / len(ranked), wrong / (last + 1))


def threshold(confidences: Array, correct: NDArray[np.bool_], accuracy: float) -> float:
    """The least confidence from which on the answers are right with the wanted accuracy; inf if there is none.

    The least of many that were tried on a finite part: elsewhere the accuracy scatters around the wanted one, and on
    average falls short of it.
    """
    curve = risk_coverage(confidences, correct)
    enough = np.flatnonzero(1 - curve.risk >= accuracy)
    return float(curve.thresholds[enough[-1]]) if len(enough) else float("inf")


def selective(confidences: Array, correct: NDArray[np.bool_], limit: float) -> tuple[float, float]:
    """Share of images answered from the confidence `limit` on, and accuracy of these answers (NaN without any)."""
    answered = confidences >= limit
    return float(answered.mean()), float(correct[answered].mean()) if answered.any() else float("nan")
