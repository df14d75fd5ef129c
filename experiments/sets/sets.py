"""Rules for prediction sets, compared on halves of stored test parts that are drawn by group.

python experiments/sets/sets.py mlruns/artifacts/RUN_ID/artifacts/tables/test_predictions.csv
"""

import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.uncertainty.conformal import thresholds

Array = NDArray[np.float64]
DRAWS = 200
# name -> (score, whether the most probable class is added)
RULES = {
    "thresholds alone": ("1 - p", False),
    "with the answer": ("1 - p", True),
    "answer scored 0": ("0", True),
    "APS": ("aps", False),
    "APS with the answer": ("aps", True),
    "RAPS with the answer": ("raps", True),
}


def scores(kind: str, probabilities: Array, rng: np.random.Generator) -> Array:
    """How ill each class (N, C) fits: joined are those with a score of at most the class's threshold."""
    if kind in ("1 - p", "0"):
        found = 1 - probabilities
        if kind == "0":
            found[np.arange(len(found)), probabilities.argmax(axis=1)] = 0
        return found
    order = np.argsort(-probabilities, axis=1)
    ranked = np.take_along_axis(probabilities, order, axis=1)
    mass = ranked.cumsum(axis=1) - rng.random((len(ranked), 1)) * ranked  # a part of the class's own, by chance
    if kind == "raps":
        mass += 0.1 * np.arange(ranked.shape[1])  # each class beyond the first costs a tenth
    found = np.empty_like(mass)
    np.put_along_axis(found, order, mass, axis=1)
    return found


def measure(
    rule: str, level: float, probabilities: Array, labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[float]:
    """Coverage, over all and by class; classes in a set, shares that are empty, and that name others alone."""
    kind, added = RULES[rule]
    rng = np.random.default_rng(seed)
    known = np.isin(groups, rng.permutation(groups.max() + 1)[: (groups.max() + 1) // 2])
    found = scores(kind, probabilities, rng)
    sets = found[~known] <= thresholds(1 - found[known], labels[known], level)
    rows, answers, labels = np.arange(len(sets)), probabilities[~known].argmax(axis=1), labels[~known]
    sets[rows, answers] |= added
    held, size = sets[rows, labels], sets.sum(axis=1)
    by_class = [held[labels == index].mean() for index in np.unique(labels)]
    others = (size > 0) & ~sets[rows, answers]
    return [held.mean(), *by_class, size.mean(), (size == 0).mean(), others.mean()]


def main() -> None:
    for path in sys.argv[1:]:
        table = pd.read_csv(path)
        columns = [name for name in table if name.startswith("probability_")]
        probabilities = table[columns].to_numpy(np.float64)
        labels = table["label"].map([name.removeprefix("probability_") for name in columns].index).to_numpy()
        groups = pd.factorize(table["group"])[0]
        right = (probabilities.argmax(axis=1) == labels).mean()
        print(f"{path}: {len(table):,} images, {groups.max() + 1:,} groups, accuracy {right:.3f}\n")
        for level in (0.9, 0.95):
            for rule in RULES:
                draws = [measure(rule, level, probabilities, labels, groups, seed) for seed in range(DRAWS)]
                every, *classes, size, empty, others = np.mean(draws, axis=0)
                by_class = ", ".join(f"{value:.3f}" for value in classes)
                print(f"| {level:g} | {rule} | {every:.3f} | {by_class} | {size:.2f} | {empty:.3f} | {others:.3f} |")


if __name__ == "__main__":
    main()
