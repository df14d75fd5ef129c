"""An audit's run: what it is tagged with, its figures as metrics, and its report."""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import yaml

from brain_tumor.auditing.examine import Audit
from brain_tumor.auditing.report import PAGE, write_report
from brain_tumor.config.train import DataConfig, Source
from brain_tumor.tracking.runs import artifact_place, git_tags, log_environment

FOLDER = "report"  # of the artifacts


def tags(data: DataConfig) -> dict[str, str]:
    """Tags of the run, known before anything is read."""
    kind = "synthetic" if data.source is Source.phantom else "real"
    return {"job": "audit", "data": data.source.value, "data_kind": kind, **git_tags()}


def log(audit: Audit, composed: dict[str, Any], run_id: str) -> str:
    """Log an audit to the current run: metrics, the configuration, and the report.

    Returns where the page is: its path, or its address where the artifacts are on a server.
    """
    mlflow.log_metrics(metrics(audit))
    mlflow.log_text(yaml.safe_dump(composed, sort_keys=False, allow_unicode=True), "config/config.yaml")
    log_environment()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / FOLDER
        write_report(audit, place)
        mlflow.log_artifacts(str(place), FOLDER)
    return artifact_place(run_id, f"{FOLDER}/{PAGE}")


def metrics(audit: Audit) -> dict[str, float]:
    """The counts as `audit/…`, of the twins of a part in another as `audit/test_in_train`, the floor as `floor/…`."""
    found = audit.found
    values: dict[str, float] = {
        "audit/images": len(found.images),
        "audit/slices": int(found.slice_sizes["slices"].sum()),
        "audit/corrupt": len(found.corrupt),
        "audit/blank": len(found.blank),
        "audit/label_conflicts": found.conflicts["twin"].nunique(),
    }
    values |= {f"audit/pairs_{row['kind']}": row["pairs"] for row in found.count_twins.to_dict("records")}
    totals = found.across_parts[found.across_parts["label"] == "all"]
    values |= {f"audit/{row['part']}_in_{row['other']}": row["any"] for row in totals.to_dict("records")}
    if audit.floor is not None:
        values |= {
            f"floor/{row['protocol']}/{row['shortcut']}": row["accuracy"] for row in audit.floor.to_dict("records")
        }
    return {name: float(value) for name, value in values.items()}
