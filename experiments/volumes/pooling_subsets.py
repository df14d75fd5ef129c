"""What `pool` says of itself and what it is worth on others, over draws of the volumes that it is fitted to.

python experiments/volumes/pooling_subsets.py val.jsonl test.jsonl

Each is what `predict` writes for CLASS/PATIENT/FILE, of which all volumes are put together.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.evaluation.uncertainty.conformal import prediction_sets
from brain_tumor.evaluation.uncertainty.pooling_choice import choose, log_loss

DRAWS = {5: 12, 10: 12, 30: 5}  # patients of each class that are fitted on -> how often they are drawn


def measured(files: Sequence[Path]) -> pd.DataFrame:
    records = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    passing = [[each for each in record["slices"] if not each["not_brain_mri"]] for record in records]
    volumes = [np.array([list(each["probabilities"].values()) for each in slices]) for slices in passing]
    names = list(passing[0][0]["probabilities"])
    labels = np.array([names.index(record["path"].split("/")[0]) for record in records])
    rng, rows = np.random.default_rng(0), []
    for patients, draws in DRAWS.items():
        for _ in range(draws):
            own = [rng.permutation(np.flatnonzero(labels == index))[:patients] for index in range(len(names))]
            fit = np.concatenate(own)
            rest = np.setdiff1d(np.arange(len(labels)), fit)
            taken = [volumes[index] for index in fit]
            choice = choose(taken, labels[fit], np.arange(len(fit)), levels=[0.9], accuracy=0.9)
            said = np.stack([choice.pooling.probabilities(volumes[index]) for index in rest])
            sets = prediction_sets(said, choice.pooling.sets.limits[0])
            rows.append(
                {
                    "patients": patients,
                    "log loss, chosen": min(log_loss(each.after, labels[fit]) for each in choice.candidates),
                    "nested": log_loss(choice.honest, labels[fit]),
                    "of the rest": log_loss(said, labels[rest]),
                    "accuracy, nested": (choice.honest.argmax(axis=1) == labels[fit]).mean(),
                    "accuracy of the rest": (said.argmax(axis=1) == labels[rest]).mean(),
                    "covered": sets[np.arange(len(rest)), labels[rest]].mean(),
                    "classes": sets.sum(axis=1).mean(),
                }
            )
    return pd.DataFrame(rows).groupby("patients").agg(["mean", "std"])


if __name__ == "__main__":
    print(measured(list(map(Path, sys.argv[1:]))).round(3).T.to_string())
