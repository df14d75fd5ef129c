"""The model card as a user gets it: from train, richer from evaluate, the same numbers as in the store."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from toy import TINY, client, metrics_of, run_id, tags_of, words

from brain_tumor import NOTICE
from brain_tumor.data.classes import STANDARD

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
PHANTOM = ("data.phantom.subjects=80", "data.phantom.slices_per_subject=2", "data.phantom.size=32")


def rows(text: str, title: str) -> list[list[str]]:
    """The rows of a section's tables."""
    lines = text.split(f"\n## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_train_writes_a_card_and_evaluate_adds_to_it(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = run("train", *PHANTOM, *TINY, "-v")
    assert done.returncode == 0, done.stderr
    trained = run_id(done.stdout)
    artifacts = work / "mlruns" / "artifacts" / trained / "artifacts"
    assert f"Model card: {artifacts}/card/model_card.html" in words(done.stdout)
    text = (artifacts / "card" / "model_card.md").read_text(encoding="utf-8")
    metrics, tags = metrics_of(work, trained), tags_of(work, trained)
    uncertainty = json.loads((artifacts / "decision" / "decision.json").read_text())

    assert text.splitlines()[4].startswith("> **SYNTHETIC")
    table = pd.read_csv(artifacts / "tables" / "test_metrics.csv").set_index("metric")
    scores = {row[0]: row for row in rows(text, "Scores")[:12]}
    for name in ("accuracy", "macro_f1", "roc_auc", "log_loss", "brier", "ece"):
        bounds = table.loc[name]
        if name != "brier":
            assert bounds["value"] == pytest.approx(metrics[f"test/{name}"])
        said = [f"{bounds['value']:.4f}", f"{bounds['low']:.4f} to {bounds['high']:.4f}"]
        assert scores[name.replace("_", " ")][1:3] == said
    certain = rows(text, "Calibration and certainty")
    sets = pd.read_csv(artifacts / "tables" / "test_conformal.csv")
    for row in sets.to_dict("records"):
        [found] = [each for each in certain if each[:2] == [f"{row['level']:g}", row["class"]]]
        assert found[2:5] == [
            f"{row['images']}",
            f"{row['coverage']:.4f}",
            f"{row['low']:.4f}",
        ]
    facts = {row[0]: row[1] for row in certain if len(row) == 2}
    assert facts['"not a brain MRI" beyond a distance of'] == f"{uncertainty['distance']:.4f}"
    assert facts["share of the test images that is answered"] == f"{metrics['test/answered']:.4f}"
    model = {row[0]: row[1] for row in rows(text, "Model")}
    assert (
        model["classes, in the order of the output"] == ", ".join(STANDARD.names) == ", ".join(uncertainty["classes"])
    )
    assert model["registered as"] == "brain-tumor version 1"
    data = {row[0]: row[1] for row in rows(text, "Data")}
    assert data["digest of the split"] == tags["data_digest"]
    split = pd.read_csv(artifacts / "data" / "split.csv")
    for part, images in split.groupby("part"):
        expected = [str(part), "all", str(len(images)), str(images["twin"].nunique()), str(images["group"].nunique())]
        assert expected in rows(text, "Data")
    cost = {row[0]: row[1] for row in rows(text, "Cost")}
    assert cost["machine"] == tags["hardware"]
    assert cost["training, seconds"] == f"{metrics['cost/train_seconds']:,.1f}"
    assert "Open: accuracy under corruption was not measured" in text
    description = client(work).get_model_version("brain-tumor", "1").description
    assert description.startswith(NOTICE)
    assert f"accuracy {metrics['test/accuracy']:.4f} (95 % interval " in description
    assert len(description) <= 5000

    done = run("evaluate", "model_uri=models:/brain-tumor@champion", "bootstrap=100", "robustness=true", "--verbose")
    assert done.returncode == 0, done.stderr
    assert f"Model card: {artifacts}/card/model_card.html" in words(done.stdout)
    second = run_id(done.stdout)
    measured = metrics_of(work, second)
    text = (artifacts / "card" / "model_card.md").read_text(encoding="utf-8")
    means = pd.read_csv(
        work / "mlruns" / "artifacts" / second / "artifacts" / "tables" / "test_robustness_means.csv"
    ).set_index("corruption")
    found = {row[0]: row for row in rows(text, "Robustness")}
    for kind, logged in means.iterrows():
        assert found[str(kind).replace("_", " ")][1:3] == [
            f"{logged['accuracy']:.4f}",
            f"{logged['low']:.4f} to {logged['high']:.4f}",
        ]
    assert len(means) == 10
    assert means.loc["all", "accuracy"] == pytest.approx(measured["test/robustness"])
    assert any(row[1] == second for row in rows(text, "Evaluations"))
    assert "Open: accuracy under corruption" not in text


def test_a_sweep_writes_the_card_of_what_it_registers(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    rates = "schedule.scratch.learning_rate=1e-3,3e-3"
    done = run("train", "data=folder", f"data.root={bars(train=12)}", *TINY, rates, "sweep.study=s", "-m")
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    version = client(work).get_model_version("brain-tumor", "1")
    registered = version.run_id
    written = [path.parents[2].name for path in work.glob("mlruns/artifacts/*/artifacts/card/model_card.md")]
    assert written == [registered]
    text = next(work.glob("mlruns/artifacts/*/artifacts/card/model_card.md")).read_text(encoding="utf-8")
    assert "the test part was not opened, and validation chose the epoch" in text
    assert "Validation part, folder" in version.description
