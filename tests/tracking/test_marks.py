"""What flatters scores is said beside each of them: of the val part as of the test part, in every line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation.measuring import evaluation
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.prediction import Outputs
from brain_tumor.evaluation.uncertainty.calibration import identity
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.evaluation.uncertainty.out_of_distribution import Gaussians
from brain_tumor.layout.blocks import Alert, Paragraph
from brain_tumor.tracking import logged_uncertainty, results, runs, setup, summary
from brain_tumor.tracking.predictions import read_predictions
from brain_tumor.tracking.store import Store, open_store

LEAK = "LEAKS: 4 of 4 val images have a twin in training"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))


@pytest.fixture
def copied() -> Dataset:
    """An image of each class in each part; those of val are copies of those of train."""
    parts = np.repeat(["train", "val", "test"], 4)
    shas = [*"0123", *"0123", *"4567"]
    rows = {"path": [f"{index}.png" for index in range(12)], "label": [*STANDARD.names] * 3, "part": parts}
    table = pd.DataFrame(rows).assign(group=shas, twin=shas, site="s", sha256=shas)
    split = Split(table, root=Path("."), source="folder", synthetic=False)
    return Dataset(split, np.zeros((8, 32, 32, 3), np.uint8), np.array([*range(4), *range(4), *range(4, 8)]), None)


def said(dataset: Dataset, part: str) -> Evaluation:
    return evaluation(0.6 * np.eye(4) + 0.1, dataset, part, "official")


def test_a_validation_part_that_leaks_says_so_wherever_it_is_scored(copied: Dataset, store: Store) -> None:
    val, test = said(copied, "val"), said(copied, "test")
    assert val.title == "val part, folder, official (LEAKS)"
    assert test.title == "test part, folder, official"
    request: Any = SimpleNamespace(
        config=SimpleNamespace(
            model=SimpleNamespace(name="m"),
            protocol=SimpleNamespace(name="official"),
            distill=SimpleNamespace(teacher=None),
        ),
        choices={"schedule": "scratch"},
    )
    tags = setup.tags(request, copied.split)
    assert (tags["leaking"], tags["leaking_val"]) == ("false", "true")
    assert tags["leak"].endswith("val images have a twin in training")
    with runs.started(store, tags=tags, system_metrics=False) as run_id:
        tables = [results.log_evaluation(each, part, resamples=100) for each, part in ((val, "val"), (test, "test"))]
    assert read_predictions(run_id, "val").title == val.title
    assert read_predictions(run_id, "val").mark == "LEAKS"
    assert read_predictions(run_id, "test").title == test.title
    measured = list(zip((val, test), tables, strict=True))
    found = summary.summarize_run(store, run_id, measured, copied.split, [], facts=[], commands=[])
    assert found.details[:2] == (
        Paragraph("val part, folder, official (LEAKS): 4 images"),
        Alert(f"{LEAK}: these scores flatter the model."),
    )
    assert not any(isinstance(block, Alert) for block in found.blocks)


def test_what_a_decision_is_worth_bears_the_mark(copied: Dataset, store: Store) -> None:
    val = said(copied, "val")
    sets = Sets((0.9,), np.full((1, 4), 0.5), (9,) * 4, (9.0,) * 4)
    gaussians = Gaussians(np.zeros((4, 2), np.float32), np.eye(2, dtype=np.float32))
    uncertainty = Uncertainty(STANDARD.names, identity(4, "none"), sets, 0.98, 0.5, gaussians, 1.0)
    outputs = Outputs(val.probabilities, np.log(val.probabilities), np.zeros((4, 2), np.float32))
    scaled = Evaluation(
        val.rows, val.probabilities, STANDARD.names, val.title, uncalibrated=0.2 * np.eye(4) + 0.2, mark=val.mark
    )
    with runs.started(store, system_metrics=False):
        found = logged_uncertainty.log_worth(uncertainty, scaled, outputs, "val")
    openings = ("Calibration changes ECE", "The 90% prediction sets", "It ", 'It says "not a brain MRI"')
    assert [each.detail.startswith(f"val part: {text}") for each, text in zip(found, openings, strict=True)] == [
        True
    ] * 4
    assert all(each.detail.endswith(" (LEAKS)") for each in found)
    assert [each.verdict.endswith(" (LEAKS)") for each in found] == [False, True, True, False]


def test_what_is_taken_of_the_outputs_stays_in_order() -> None:
    outputs = Outputs(np.full((3, 4), 0.25), np.arange(12.0).reshape(3, 4), np.arange(3, dtype=np.float32)[:, None])
    taken = outputs.take(np.array([2, 0]))
    assert taken.features.ravel().tolist() == [2, 0]
    assert taken.logits[:, 0].tolist() == [8, 0]
