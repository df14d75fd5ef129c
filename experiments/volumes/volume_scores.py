"""What answers for volumes of known class score: by the share of their slices, and as a whole where that was fitted.

python experiments/volumes/volume_scores.py answers.jsonl

`answers.jsonl` is what `predict` writes for CLASS/PATIENT/FILE. A share is (slices + 1/2) / (all that pass + C/2), so
that none is 0, whose log loss would be infinite.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.evaluation.bootstrap import intervals
from brain_tumor.evaluation.metrics import Evaluation


def scores(file: Path) -> pd.DataFrame:
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    found = [each for each in records if each.get("volume", {}).get("shares")]
    names = list(found[0]["volume"]["shares"])
    paths = [each["path"] for each in found]
    rows = pd.DataFrame({"label": [path.split("/")[0] for path in paths], "group": [p.split("/")[1] for p in paths]})
    brains = np.array([[each["volume"]["brain_slices"]] for each in found])
    shares = np.array([[each["volume"]["shares"][name] for name in names] for each in found])
    said = {"share of slices": (shares * brains + 0.5) / (brains + len(names) / 2)}
    if "probabilities" in found[0]["volume"]:
        said["fitted"] = np.array([[each["volume"]["probabilities"][name] for name in names] for each in found])
    tables = {
        how: intervals(Evaluation(rows, each, tuple(names), how)).set_index("metric") for how, each in said.items()
    }
    metrics = ["log_loss", "ece", "accuracy", "roc_auc_notumor"]
    print(f"{len(found)} of {len(records)} volumes have a slice that passes as brain MRI")
    if "fitted" in said:
        for level in found[0]["volume"]["sets"]:
            sets = [each["volume"]["sets"][level] for each in found]
            covered = np.mean([label in each for label, each in zip(rows["label"], sets, strict=True)])
            print(f"sets of {level}: {covered:.3f} hold the truth, {np.mean([len(each) for each in sets]):.2f} classes")
        sure = np.array([not each["volume"]["not_sure"] for each in found])
        right = np.array(names)[said["fitted"].argmax(axis=1)] == rows["label"]
        print(f"answered without not sure: {sure.mean():.3f}, of which right: {right[sure].mean():.3f}")
    return pd.concat({how: table.loc[metrics] for how, table in tables.items()})


if __name__ == "__main__":
    print(scores(Path(sys.argv[1])).round(3).to_string())
