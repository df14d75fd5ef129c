"""What a run says of its epochs and their cost."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brain_tumor.config.train import TrackingConfig


def row(step: int, seconds: float, rate: float, **more: Any) -> dict[str, Any]:
    metrics = {"train/loss": 0.5, "train/accuracy": 0.5, "val/loss": 0.25, "val/macro_f1": 0.75, "learning_rate": 0.1}
    return {"phase": "head", "step": step, **metrics, "images_per_second": rate, "seconds": seconds, **more}


def test_a_run_pays_for_its_own_epochs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    from brain_tumor.tracking import results, runs
    from brain_tumor.tracking.store import open_store

    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))
    history = [row(1, 1000, 1, reused=True), row(2, 3, 10), row(3, 4, 30)]
    config: Any = SimpleNamespace(schedule={"head": SimpleNamespace(epochs=3)}, monitor="val/macro_f1")
    split: Any = SimpleNamespace(name="folder")
    with runs.started(store, system_metrics=False) as run_id:
        on_epoch = results.epoch_reporter(config, split)
        for epoch in history:
            on_epoch(epoch)
        results.log_cost(history)
    metrics = mlflow.get_run(run_id).data.metrics
    assert metrics["cost/train_seconds"] == 7
    assert metrics["cost/images_per_second"] == 20
    assert runs.logged_epochs(run_id) == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert lines[0].endswith("val/macro_f1 0.7500, reused")
    assert lines[1].endswith("val/macro_f1 0.7500, 10 images/s, 3 s")
