"""What several runs score side by side: on all their test slices, and on those whose patients chose nothing.

    python experiments/evidence/heads.py 'RUN_ID RUN_ID …' data=folder data.root=DIR data.masks=MASKS …

The rest of the line composes the split on whose validation part the settings were chosen. A patient of that part is a
test patient of another fold: the second table leaves all of them out.
"""

import sys
from dataclasses import replace

import mlflow
import pandas as pd
from composed import dataset_of

from brain_tumor.config.train import TrackingConfig
from brain_tumor.evaluation.bootstrap import intervals
from brain_tumor.evaluation.lesion_scores import lesion_intervals
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.tracking.predictions import read_predictions
from brain_tumor.tracking.store import open_store


def main(run_ids: list[str], overrides: list[str]) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    table = dataset_of(overrides).split.table
    chose = set(table.loc[table["part"] == "val", "group"])
    # With the id: runs of other heads have the same name.
    names = {run_id: f"{mlflow.get_run(run_id).info.run_name} ({run_id[:8]})" for run_id in run_ids}
    runs = {name: read_predictions(run_id, "test") for run_id, name in names.items()}
    for title, left_out in (("all", set()), ("patients that chose nothing", chose)):
        parts = {name: _without(found, left_out) for name, found in runs.items()}
        sizes = {f"{len(each.rows)} slices of {each.rows['group'].nunique()} groups" for each in parts.values()}
        print(f"{title}: {', '.join(sizes)}")
        print(pd.DataFrame({name: _scores(each) for name, each in parts.items()}).fillna("").to_string(), "\n")


def _without(found: Evaluation, groups: set[str]) -> Evaluation:
    kept = ~found.rows["group"].isin(groups).to_numpy()
    return replace(found, rows=found.rows[kept], probabilities=found.probabilities[kept])


def _scores(found: Evaluation) -> dict[str, str]:
    table = pd.concat([intervals(found), lesion_intervals([found])])
    named = {row.metric: f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in table.itertuples()}
    return {name: text for name, text in named.items() if not name.startswith(("precision", "f1", "ece", "mce"))}


if __name__ == "__main__":
    main(sys.argv[1].split(), sys.argv[2:])
