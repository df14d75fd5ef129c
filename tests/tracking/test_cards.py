"""A card says what the store holds, and no more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from brain_tumor import NOTICE
from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.evaluation.measuring import evaluation
from brain_tumor.evaluation.metrics import HEADLINE, PER_CLASS
from brain_tumor.tracking import cards, results, runs
from brain_tumor.tracking.predictions import read_predictions
from brain_tumor.tracking.store import Store, open_store

HOSTILE = "a|b <script>alert(1)</script> *c*"
TAGS = {
    "job": "train",
    "model": "cnn_baseline",
    "data": "folder",
    "data_kind": "real",
    "protocol": "grouped",
    "leaking": "false",
    "leaking_val": "false",
    "monitor": "val/macro_f1",
    "score": "0.5",
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """One store for all tests here: to make one takes seconds."""
    return TrackingConfig(f"sqlite:///{tmp_path_factory.mktemp('cards')}/mlflow.db", "e", None, "c", False)


@pytest.fixture
def store(opened: TrackingConfig) -> Store:
    return open_store(opened)


@pytest.fixture
def dataset() -> Dataset:
    """4 images of each class in each part; of the test part the last is a twin of a training image."""
    parts = np.repeat(["train", "val", "test"], 16)
    shas = [f"{index:02}" for index in range(47)] + ["00"]
    rows = {"path": [f"{index}.png" for index in range(48)], "label": [*STANDARD.names] * 12, "part": parts}
    table = pd.DataFrame(rows).assign(group=shas, twin=shas, site="s", sha256=shas)
    split = Split(table, root=Path("."), source="folder", synthetic=False)
    return Dataset(split, np.zeros((48, 32, 32, 3), np.uint8), np.arange(48), None)


def probabilities(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((16, 4)) + 0.4 * np.tile(np.eye(4), (4, 1))
    return drawn / drawn.sum(axis=1, keepdims=True)


def log_run(store: Store, dataset: Dataset, parts: tuple[str, ...] = ("val", "test"), **tags: str) -> str:
    """A training as it is logged, without a decision and without a model."""
    with runs.started(store, name="trained", tags={**TAGS, **tags}, system_metrics=False) as run_id:
        runs.log_config({"data": {"root": HOSTILE, "patients": None}, "schedule": {"all": {"epochs": 1}}}, [])
        runs.log_split(dataset.split, "training")
        mlflow.log_text("tensorflow==2.20.0\nkeras==3.12.0\n", "environment/requirements.txt")
        mlflow.log_metrics({"train/loss": 1.0, "val/macro_f1": 0.5, "cost/train_seconds": 12.25}, step=1)
        for seed, part in enumerate(parts):
            results.log_evaluation(evaluation(probabilities(seed), dataset, part, "grouped"), part, resamples=100)
    return run_id


def table(run_id: str, name: str) -> pd.DataFrame:
    uri = mlflow.get_run(run_id).info.artifact_uri
    return pd.read_csv(mlflow.artifacts.download_artifacts(f"{uri}/tables/{name}.csv"))


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def cells(text: str, first: str) -> list[list[str]]:
    """The rows of a section's tables that begin with a cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] == first]


def test_every_score_is_the_logged_one(store: Store, dataset: Dataset) -> None:
    run_id = log_run(store, dataset)
    where = cards.write_card(run_id)
    assert where.endswith(f"{run_id}/artifacts/card/model_card.html")
    text = cards.load_card(run_id)
    assert text is not None
    scores = section(text, "Scores")
    test, val = (table(run_id, f"{part}_metrics").set_index("metric") for part in ("test", "val"))
    for metric in HEADLINE:
        [row] = cells(scores, metric.replace("_", " "))
        expected = []
        for logged in (test.loc[metric], val.loc[metric]):
            expected += [f"{logged['value']:.4f}", f"{logged['low']:.4f} to {logged['high']:.4f}"]
        assert row[1:] == expected
    first = [row for row in cells(scores, "class") if "precision" in row[1]]
    named = ["precision (PPV)", "recall (sensitivity)", "specificity", "NPV", "f1", "roc auc", "pr auc"]
    assert first == [["class", *named]] * 2
    predictions = table(run_id, "test_predictions")
    for name in STANDARD.names:
        of_test, confusion, *_ = cells(scores, name)
        logged = [test.loc[f"{metric}_{name}"] for metric in PER_CLASS]
        assert of_test[1:] == [f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})" for row in logged]
        own = predictions[predictions["label"] == name]
        assert confusion[1:] == [str((own["prediction"] == other).sum()) for other in STANDARD.names]
    assert cells(section(text, "Model"), "classes, in the order of the output")[0][1] == ", ".join(STANDARD.names)
    assert cells(section(text, "Cost"), "training, seconds")[0][1] == "12.2"
    assert ["train", "all", "16", "16", "16"] in cells(section(text, "Data"), "train")
    assert "LEAKS: 1 of 16 test images have a twin in training" in text.split("\n## ")[0]
    assert cards.write_card(run_id) == where
    assert cards.load_card(run_id) == text  # made again, the same


def test_names_are_shown_to_the_letter(store: Store, dataset: Dataset) -> None:
    run_id = log_run(store, dataset)
    page = Path(cards.write_card(run_id)).read_text(encoding="utf-8")
    text = str(cards.load_card(run_id))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in text
    assert "| a&#124;b &lt;script&gt;alert(1)&lt;/script&gt; \\*c\\* |" in text


def test_what_is_not_there_is_open(store: Store, dataset: Dataset) -> None:
    text = []
    for parts in (("val",), ()):
        run_id = log_run(store, dataset, parts)
        cards.write_card(run_id)
        text.append(str(cards.load_card(run_id)))
    assert "Open: the test part of this run was not opened." in section(text[0], "Scores")
    assert "Open: nothing is fitted in this run" in section(text[0], "Calibration and certainty")
    assert "Open: accuracy under corruption was not measured" in section(text[0], "Robustness")
    assert "Open: no map was scored" in section(text[0], "Explanations")
    claim = section(text[0], "CLAIM, 2024 update")
    assert {number: cells(claim, number)[0][2] for number in ("13", "23", "32", "33", "37")} == {
        "13": "open", "23": "from the run", "32": "open", "33": "open", "37": "open",
    }  # fmt: skip
    assert text[0].split("\n## ")[0].splitlines()[-1].startswith("Validation part, folder: accuracy 0.")
    assert "No scores were logged." in text[1]
    with runs.started(store, name="bare", system_metrics=False) as bare:
        pass
    cards.write_card(bare)
    found = str(cards.load_card(bare))
    assert "the run's split table cannot be read" in section(found, "Data")
    assert "the run's list of packages cannot be read" in section(found, "Environment")
    states = [row.split("|")[3].strip() for row in section(found, "TRIPOD+AI").splitlines() if row[:3] > "| 0"]
    assert "open" in states


def test_a_card_opens_with_whether_the_answers_rest_on_the_lesion(store: Store, dataset: Dataset) -> None:
    """By the run's own test part, else by an evaluation with masks; of the same table as the other scores."""
    run_id = log_run(store, dataset)
    cards.write_card(run_id)
    before = str(cards.load_card(run_id))
    assert "Whether its answers rest on the lesion is not known" in section(before, "Intended use and limits")
    evaluated = evaluation(probabilities(1), dataset, "test", "grouped")
    kept = pd.DataFrame({"kept_without_lesion": [1.0] * 14 + [0, 0]}, evaluated.rows.index)
    with runs.started(store, tags={**TAGS, "trained_by": run_id, "job": "evaluate"}, system_metrics=False) as second:
        scored = results.log_evaluation(evaluated, "test", resamples=100)
        table_of = results.log_lesions(evaluated, kept, "test", scored, resamples=100)
    logged = table(second, "test_metrics").set_index("metric")
    assert (
        logged.loc["kept_without_lesion", "value"]
        == mlflow.get_run(second).data.metrics["test/kept_without_lesion"]
        == 0.875
    )
    assert table_of["metric"].tolist() == logged.index.tolist() == [*scored["metric"], "kept_without_lesion"]
    assert table(second, "test_predictions")["kept_without_lesion"].tolist() == kept["kept_without_lesion"].tolist()
    cards.write_card(run_id)
    said = "> **Most answers do NOT need the lesion: 87.5% of the right ones stay when it is painted over."
    opening = str(cards.load_card(run_id)).split("\n## ")[0]
    assert f"{said} This is of the run's own test part, measured by run {second}.**" in opening
    own = log_run(store, dataset)
    with runs.started(store, run_id=own, system_metrics=False):
        results.log_lesions(evaluated, 1 - kept, "test", scored, resamples=100)
    cards.write_card(own)
    opening = str(cards.load_card(own)).split("\n## ")[0]
    assert "\n\nMost answers rest on the lesion: 12.5% of the right ones stay when it is painted over.\n\n" in opening
    low, high = logged.loc["kept_without_lesion", ["low", "high"]]
    assert f"kept without lesion 0.1250 (95 % interval {1 - high:.4f} to {1 - low:.4f})" in opening


@pytest.mark.parametrize("odd", [("0", "1", "2", "3"), ("NA", "None", "nan", "True")])
def test_classes_that_look_like_something_else_are_read_back_as_they_are_called(
    odd: tuple[str, ...], store: Store, dataset: Dataset
) -> None:
    rows = dataset.split.table.assign(label=[*odd] * 12)
    split = Split(rows, root=Path("."), source="folder", synthetic=False, classes=ClassList(odd, None))
    run_id = log_run(store, replace(dataset, split=split))
    assert read_predictions(run_id, "test").rows["label"].tolist() == [*odd] * 4
    cards.write_card(run_id)
    scores = section(str(cards.load_card(run_id)), "Scores")
    for name in odd:
        *_, counts = [row[1:] for row in cells(scores, name) if len(row) == 5]
        assert sum(map(int, counts)) == 4, name  # answers to its images, in the confusion matrix


def test_an_evaluation_makes_the_card_richer(store: Store, dataset: Dataset) -> None:
    run_id = log_run(store, dataset)
    digest = {"trained_by": run_id, "job": "evaluate", "data_digest": "x", "site": "B|<b>", "contaminated": "unknown"}
    with runs.started(store, tags={**TAGS, **digest, "protocol": "all images"}, system_metrics=False) as second:
        seen = evaluation(probabilities(5), dataset, "test", "all images")
        results.log_evaluation(seen, "test", resamples=100)
        kinds = [("clean", 0, 0.5), ("blur", 1, 0.25), ("blur", 2, 0.125)]
        robust = pd.DataFrame(kinds, columns=["corruption", "strength", "accuracy"]).assign(low=0.1, high=0.75)
        runs.log_table(robust, "tables/test_robustness.csv")
        means = pd.DataFrame({"corruption": ["blur", "all"], "accuracy": [0.1875, 0.1875]}).assign(low=0.11, high=0.3)
        runs.log_table(means, "tables/test_robustness_means.csv")
        maps = [("all", 9, "model", score, value) for score, value in (("pointing", 0.75), ("energy", 0.5))]
        maps = pd.DataFrame(maps, columns=["class", "images", "map", "metric", "value"]).assign(low=0.2, high=0.9)
        runs.log_table(maps, "tables/test_maps.csv")
        kept = {"class": ["all"], "images": [9], "metric": ["kept"], "value": [0.125]}
        runs.log_table(pd.DataFrame(kept).assign(low=np.nan, high=np.nan), "tables/test_removal.csv")
        mlflow.log_metrics({"test/robustness": 0.1875, "test/robustness_blur": 0.1875})
    text = ""
    for _ in range(2):
        cards.write_card(run_id)
        text = str(cards.load_card(run_id))
    rows = cells(section(text, "Robustness"), "blur")
    assert rows == [["blur", "0.1875", "0.1100 to 0.3000", "0.2500", "0.1250"]]
    shown = cells(section(text, "Explanations"), "all")
    assert shown[0] == ["all", "the model's maps", "9", "0.7500 (0.2000 to 0.9000)", "0.5000 (0.2000 to 0.9000)", "–"]
    assert shown[1] == ["all", "9", "0.1250"]
    [found] = cells(section(text, "Evaluations"), mlflow_date(second))
    logged = table(second, "test_metrics").set_index("metric").loc["accuracy"]
    assert found[1] == second
    assert found[2] == "folder, B&#124;&lt;b&gt;"
    assert found[3:6] == [
        "contamination UNKNOWN",
        "16",
        f"{logged['value']:.4f} ({logged['low']:.4f} to {logged['high']:.4f})",
    ]
    claim = section(text, "CLAIM, 2024 update")
    assert cells(claim, "30")[0][2] == "from the run"
    assert cells(claim, "33")[0][2] == "open"  # nobody knows whether the model has met these images


def mlflow_date(run_id: str) -> str:
    return pd.Timestamp(mlflow.get_run(run_id).info.start_time, unit="ms").date().isoformat()


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_the_registry_has_a_short_one(kind: str, store: Store, dataset: Dataset) -> None:
    run_id = log_run(store, dataset, data_kind=kind, data="d" * 4500, protocol="<b>" * 900)
    client = mlflow.MlflowClient()
    name = f"m {kind}"
    client.create_registered_model(name)
    for words in ("", NOTICE, f"{NOTICE} And my own words.", "mine"):
        version = client.create_model_version(name, mlflow.get_run(run_id).info.artifact_uri, run_id).version
        client.update_model_version(name, version, words)
    for _ in range(2):
        cards.write_card(run_id)
    said = [client.get_model_version(name, str(number)).description for number in (1, 2, 3, 4)]
    assert said[0] == said[1]
    assert said[2:] == [f"{NOTICE} And my own words.", "mine"]
    assert len(said[0]) <= 5000
    assert said[0].startswith(NOTICE)
    assert ("SYNTHETIC" in said[0].split("Data:")[0]) == (kind == "synthetic")
    assert said[0].endswith(f"Run {run_id}. The whole card: artifact card/model\\_card.md of the run")
    accuracy = table(run_id, "test_metrics").set_index("metric").loc["accuracy"]
    if kind == "synthetic":
        short = log_run(store, dataset, data_kind=kind)
        client.create_model_version(name, mlflow.get_run(short).info.artifact_uri, short)
        cards.write_card(short)
        text = client.get_model_version(name, "5").description
        bounds = f"{accuracy['low']:.4f} to {accuracy['high']:.4f}"
        assert f"accuracy {accuracy['value']:.4f} (95 % interval {bounds})" in text
        assert "LEAKS: 1 of 16 test images" in text
    assert "<b>" not in said[0]


def test_a_run_from_before_there_were_cards_is_described_all_the_same(store: Store, dataset: Dataset) -> None:
    run_id = log_run(store, dataset)
    made = cards.card_of(run_id)
    assert cards.load_card(run_id) is None
    cards.write_card(run_id)
    assert made == cards.card_of(run_id) == cards.load_card(run_id)


def test_a_card_that_fails_loses_no_run(
    store: Store, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = log_run(store, dataset)
    assert cards.load_card(run_id) is None

    def fail(facts: Any) -> Any:
        raise KeyError("what nobody thought of")

    with monkeypatch.context() as patched:
        patched.setattr(cards, "build", fail)
        found = cards.publish_card(run_id)
    assert found.verdict.startswith("The model card was NOT written (KeyError: 'what nobody thought of')")
    assert f"the model card of run {run_id} could not be written: KeyError" in capsys.readouterr().err
    assert "KeyError" in mlflow.get_run(run_id).data.tags["card_failed"]
    found = cards.publish_card(run_id)
    assert (found.verdict, found.detail.endswith("card/model_card.html")) == ("", True)
    assert "card_failed" not in mlflow.get_run(run_id).data.tags
    monkeypatch.setattr(cards, "download", lambda *_: (_ for _ in ()).throw(InputError("gone")))
    with pytest.raises(InputError, match="gone"):
        cards.load_card(run_id)
