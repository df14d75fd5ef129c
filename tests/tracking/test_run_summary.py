"""What a run says of itself in MLflow can be pasted, and what goes wrong with it loses nothing."""

import shlex
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.layout.blocks import Code, Paragraph, Summary
from brain_tumor.tracking import runs, summary
from brain_tumor.tracking.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))


def test_a_description_has_the_commands_on_short_lines_that_mean_the_same(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "python -m brain_tumor.train 'data.root=/my scans' " + " ".join(f"key.number_{n}={n}" for n in range(20))
    with runs.started(store, system_metrics=False) as run_id:
        summary.publish(run_id, Summary((Paragraph("8 images"), Code(command)), (Paragraph("more"),)))
    note = mlflow.get_run(run_id).data.tags["mlflow.note.content"]
    assert note.startswith("8 images\n\n```\n")
    code = note.split("```")[1].strip()
    assert max(map(len, code.splitlines())) <= 72
    assert shlex.split(code.replace("\\\n", "")) == shlex.split(command)
    assert f"  {command}\n" in capsys.readouterr().out
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/summary.md").endswith("more\n")


def test_a_store_that_takes_no_description_loses_no_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("the store is gone")

    monkeypatch.setattr(mlflow.MlflowClient, "log_text", gone)
    with runs.started(store, system_metrics=False) as run_id:
        summary.publish(run_id, Summary((Paragraph("8 images"),)))
    printed = capsys.readouterr()
    assert "8 images" in printed.out
    assert f"run {run_id} could not be described: OSError: the store is gone" in printed.err
    assert mlflow.get_run(run_id).info.status == "FINISHED"


def test_a_score_that_one_class_alone_does_not_have_is_a_dash() -> None:
    values = dict.fromkeys(summary.NAMES, 0.5) | {"roc_auc": np.nan}
    table = pd.DataFrame({"metric": values.keys(), "value": values.values(), "low": np.nan, "high": np.nan})
    assert dict(summary.score_table(table).rows) == {
        **dict.fromkeys(summary.NAMES.values(), "0.500"),
        "ROC AUC": "–",
    }
