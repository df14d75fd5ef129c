"""How an experiment's page in MLflow opens: the columns and charts that tell what a run is and what it came to.

MLflow's page starts with a name, a date and a duration. What it shows besides is a *view*, which the page keeps as a
tag of the experiment and opens by its key in the address (`?viewStateShareKey=KEY`); its menu "Views" lists it by name.
Written as MLflow 3.17 writes it; a page that cannot read it says so, and opens as ever.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

KEY = "brain-tumor"
NAME = "What matters"
TAG = f"mlflow.sharedViewState.{KEY}"
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
}
FIRST = "What matters"
# Sections that the page makes of the metrics' names, in the order in which they stand closed below the first.
CLOSED = ("test", "val", "unseen", "train", "best", "cost", "trials")


def with_view(address: str) -> str:
    """The address of an experiment's runs, opened in this view, and MLflow's menu on training."""
    return f"{address}?{QUERY}&workflowType=machine_learning"


def view_tag(now_ms: int | None = None) -> tuple[str, str]:
    """The tag that holds the view, as key and value; `now_ms` is when it was made, in milliseconds since 1970."""
    made = int(time.time() * 1000) if now_ms is None else now_ms
    # The page wants the state as text within the text, and refuses a view without these keys.
    return TAG, json.dumps({"name": NAME, "createdAt": made, "updatedAt": made, "state": json.dumps(_state())})


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
