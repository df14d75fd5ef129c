"""How an experiment's page in MLflow opens: the columns and charts that tell what a run is and what it came to.

MLflow's page starts with a name, a date and a duration. What it shows besides is a *view*, which the page keeps as a
tag of the experiment and opens by its key in the address (`?viewStateShareKey=KEY`); its menu "Views" lists it by name.
Written as MLflow 3.17 writes it; a page that cannot read it says so, and opens as ever.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from brain_tumor import NOTICE

KEY = "bt"  # short, since it stands in an address that is printed
NAME = "What matters"
TAG = f"mlflow.sharedViewState.{KEY}"
NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description, of a run or an experiment
QUERY = f"viewStateShareKey={KEY}"

# Column of the page: width in pixels, in order. Name, date and duration are always there.
COLUMNS: Mapping[str, int] = {
    "attributes.`Run Name`": 160,
    "runDateAndNestInfo": 130,
    "tags.`test accuracy`": 180,
    "metrics.`val/macro_f1`": 92,
    "tags.`model`": 100,
    "tags.`schedule`": 78,
    "tags.`protocol`": 78,
    "duration": 75,
    "tags.`leak`": 200,
    "metrics.`test/trust`": 92,  # where lesions are known; last, so that narrow screens show the others first
    "metrics.`test/kept_without_lesion`": 180,
}
FIRST = "What matters"
# Sections that the page makes of the metrics' names, in the order in which they stand closed below the first.
CLOSED = ("test", "val", "unseen", "train", "best", "cost", "trials")


def with_view(address: str) -> str:
    """The address of an experiment's runs, opened in this view."""
    return f"{address}?{QUERY}"


def view_tags(experiment_id: str, now_ms: int | None = None) -> dict[str, str]:
    """Tags of an experiment: the view, made `now_ms` (milliseconds since 1970), and a description that leads to it."""
    made = int(time.time() * 1000) if now_ms is None else now_ms
    # The page wants the state as text within the text, and refuses a view without these keys.
    text = json.dumps({"name": NAME, "createdAt": made, "updatedAt": made, "state": json.dumps(_state())})
    # Whoever comes by MLflow's list of experiments sees the page without the view.
    there = with_view(f"#/experiments/{experiment_id}/runs")
    note = (
        f"[Show what matters of each run]({there}): its score with interval, model, schedule, protocol, leak, and "
        f"whether its answers need the lesion. {NOTICE}"
    )
    return {TAG: text, NOTE: note}


def _state() -> dict[str, Any]:
    return {
        # The newest first, since only then are trials and seeds folded below their parents.
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "selectedColumns": [name for name in COLUMNS if "`" in name and "Run Name" not in name],
        "columnOrder": list(COLUMNS),
        "columnWidths": dict(COLUMNS),
        "compareRunCharts": _charts(),
        "compareRunSections": [_section(FIRST, display=True), *(_section(name, display=False) for name in CLOSED)],
        "isAccordionReordered": True,  # otherwise the page sorts the sections by name
        "hideEmptyCharts": True,
        "viewMaximized": False,
    }


def _charts() -> list[dict[str, Any]]:
    return [
        _chart("BAR", "test/accuracy"),
        _chart("LINE", "val/macro_f1"),
        _chart("BAR", "test/macro_f1"),
        _chart("LINE", "val/loss"),
        _chart("BAR", "cost/train_seconds"),
    ]


def _chart(kind: str, metric: str) -> dict[str, Any]:
    chart = {
        "uuid": f"{KEY}-{metric}",
        "type": kind,
        "metricKey": metric,
        "displayName": metric,
        "metricSectionId": _section(FIRST, display=True)["uuid"],
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }
    if kind == "BAR":
        return chart
    return chart | {
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "range": {},
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _section(name: str, *, display: bool) -> dict[str, Any]:
    own = name == FIRST
    return {
        "uuid": f"{KEY}-section-{name}",
        "name": name,
        "display": display,
        "isReordered": own,
        "deleted": False,
        "isGenerated": not own,
    }
