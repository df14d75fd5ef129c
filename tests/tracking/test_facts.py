"""What a run says of its model, where it has no card."""

from pathlib import Path

import mlflow

from brain_tumor import NOTICE
from brain_tumor.config import TrackingConfig
from brain_tumor.tracking.facts import facts
from brain_tumor.tracking.store import open_store


def test_headline_tags_and_scores_stand_in_a_table(tmp_path: Path) -> None:
    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", "m", "c", False))
    with mlflow.start_run(experiment_id=store.experiment_id) as run:
        mlflow.set_tags({"model": "cnn_baseline", "data_kind": "synthetic", "calibration": "a|b", "git": "x"})
        mlflow.log_metrics({"test/accuracy": 0.98765, "other": 1})
    text = facts(run.info.run_id)
    assert NOTICE in text
    assert "| architecture | cnn_baseline |" in text
    assert "| real or synthetic | synthetic |" in text
    assert r"| calibration | a\|b |" in text
    assert "| test/accuracy | 0.9877 |" in text
    assert "other" not in text
