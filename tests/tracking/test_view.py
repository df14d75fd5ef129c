"""The page that lists runs opens with what matters: the tag that holds the view, and what the columns show."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.split import Split
from brain_tumor.tracking import view
from brain_tumor.tracking.headline import accuracy_tag, leak_tag
from brain_tumor.tracking.store import Store, open_store


def tracking(place: Path) -> TrackingConfig:
    return TrackingConfig(f"sqlite:///{place}/mlflow.db", "e", None, "c", False)


def tags_of(store: Store) -> dict[str, str]:
    return dict(mlflow.MlflowClient(store.uri).get_experiment(store.experiment_id).tags)


def test_the_tag_is_a_named_view_as_mlflow_writes_them() -> None:
    tags = view.view_tags("7", now_ms=5)
    text = tags["mlflow.sharedViewState.bt"]
    assert "(#/experiments/7/runs?viewStateShareKey=bt" in tags["mlflow.note.content"]
    assert len(text) < 5000  # what any MLflow server takes
    said = json.loads(text)
    assert said.keys() == {"name", "createdAt", "updatedAt", "state"}
    assert (said["createdAt"], said["updatedAt"]) == (5, 5)
    state = json.loads(said["state"])
    assert state["selectedColumns"] == [
        *("tags.`test accuracy`", "metrics.`val/macro_f1`", "tags.`model`", "tags.`schedule`", "tags.`protocol`"),
        *("tags.`leak`", "metrics.`test/trust`", "metrics.`test/kept_without_lesion`"),
    ]
    assert set(state["selectedColumns"]) < set(state["columnOrder"]) == set(state["columnWidths"])
    assert (state["orderByKey"], state["orderByAsc"]) == ("attributes.start_time", False)
    [first, *others] = state["compareRunSections"]
    assert (first["display"], {each["display"] for each in others}) == (True, {False})
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {first["uuid"]}
    assert state["compareRunCharts"][0]["metricKey"] == "test/accuracy"


def test_the_address_of_the_runs_opens_it(tmp_path: Path) -> None:
    store = open_store(tracking(tmp_path))
    assert view.TAG in tags_of(store)
    assert store.runs_address.startswith(f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs?")
    assert "viewStateShareKey=bt" in store.runs_address
    assert Store("http://h:1/", "7").runs_address.startswith("http://h:1/#/experiments/7/runs?")


def test_an_experiment_from_before_gets_it_and_a_users_stays(tmp_path: Path) -> None:
    store = open_store(tracking(tmp_path))
    client = mlflow.MlflowClient(store.uri)
    client.delete_experiment_tag(store.experiment_id, view.TAG)
    open_store(tracking(tmp_path))
    assert view.TAG in tags_of(store)
    client.set_experiment_tag(store.experiment_id, view.TAG, "a user's")
    open_store(tracking(tmp_path))
    assert tags_of(store)[view.TAG] == "a user's"
    client.delete_experiment_tag(store.experiment_id, view.TAG)
    client.set_experiment_tag(store.experiment_id, view.NOTE, "a user's")
    open_store(tracking(tmp_path))
    assert (view.TAG in tags_of(store), tags_of(store)[view.NOTE]) == (True, "a user's")


def test_a_server_that_refuses_the_tag_still_takes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise mlflow.exceptions.MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(mlflow.MlflowClient, "set_experiment_tag", refuse)
    assert view.TAG not in tags_of(open_store(tracking(tmp_path)))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"low": 0.9561, "high": 0.9899}, "0.976 [0.956, 0.990]"),
        ({"low": np.nan, "high": np.nan}, "0.976"),
        ({"low": np.nan, "high": np.nan, "sd": 0.0123}, "0.976 sd 0.012"),
        ({"low": 0.9561, "high": 0.9899, "sd": np.nan}, "0.976 [0.956, 0.990]"),
    ],
)
def test_an_accuracy_is_told_with_what_is_known_of_it(row: dict[str, float], said: str) -> None:
    assert accuracy_tag(pd.DataFrame([{"metric": "accuracy", "value": 0.9762, **row}])) == {"test accuracy": said}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["train", "val", "test", "test"], "none"),
        (["train", "val", "test", "test twin"], "1 of 2 test images have a twin in training"),
        (["train", "val twin", "test", "test"], "1 of 1 val images have a twin in training"),
    ],
)
def test_a_leak_is_told_in_a_tag(parts: list[str], said: str) -> None:
    twins = ["a", *("a" if part.endswith("twin") else str(index) for index, part in enumerate(parts[1:]))]
    rows = {"path": twins, "label": STANDARD.names[0], "part": [part.split()[0] for part in parts]}
    table = pd.DataFrame(rows).assign(group=twins, twin=twins, site="s", sha256=twins)
    assert leak_tag(Split(table, root=Path("."), source="folder", synthetic=False)) == {"leak": said}
