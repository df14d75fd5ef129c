"""`ensemble` as a user types it: seeds of one run as one model, measured, explained and described as any."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import stores
from composition import task
from toy import TINY, call, client, metrics_of, run_id, runs_in, words

from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.jobs import ensemble_members
from brain_tumor.jobs.ensemble_members import Member, together
from brain_tumor.tracking import runs
from brain_tumor.tracking.model_address import Found

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SEEDS = (
    *("seeds=[0,1]", *TINY, "schedule.scratch.epochs=1", "schedule.scratch.warmup_epochs=0"),
    *("data.phantom.subjects=48", "data.phantom.slices_per_subject=2", "data.phantom.size=48"),
    "data.calibration_fraction=0.4",
)
WHOLE = (
    *(*TINY, "data=volumes", "data.root=x", "model=cnn3d_baseline"),
    *("data.image_size=null", "data.volume_shape=[12,64,64]"),
)


def predictions(run: Any) -> pd.DataFrame:
    path = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/tables/test_predictions.csv")
    return pd.read_csv(path).set_index("sha256").sort_index()


@pytest.mark.slow
def test_seeds_of_a_run_become_one_model(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = run("train", *SEEDS)
    assert done.returncode == 0, done.stderr
    [parent] = [each.info.run_id for each in runs_in(work) if each.data.tags["job"] == "several"]
    seeds = [each for each in runs_in(work) if each.data.tags["job"] == "train"]
    done = run("ensemble", f"run={parent[:8]}", "register=both", "calibrate=none")
    assert done.returncode == 0, done.stderr
    version = client(work).get_model_version("both", "1")
    for seed in seeds:
        assert f"runs:/{seed.info.run_id}/model" in version.tags["members"]
        assert seed.info.run_id in done.stdout
        assert seed.info.run_id in version.tags["member_runs"].split(", ")

    done = run("evaluate", "model_uri=models:/both/1", "bootstrap=100", "explain.views=1")
    assert done.returncode == 0, done.stderr
    [measured] = [each for each in runs_in(work) if each.info.run_id == run_id(done.stdout)]
    names = [f"probability_{name}" for name in STANDARD.names]
    expected = np.mean([predictions(seed)[names].to_numpy() for seed in seeds], axis=0)
    np.testing.assert_allclose(predictions(measured)[names].to_numpy(), expected, atol=1e-5)
    assert "Its 2 networks are right in" in words(done.stdout)
    found = metrics_of(work, measured.info.run_id)
    assert {"test/aurc", "test/aurc_disagreement", "test/answered", "test/pointing"} <= found.keys()
    made = client(work).get_run(version.run_id).info.artifact_uri
    card = mlflow.artifacts.load_text(f"{made}/card/model_card.md").replace("\\", "")
    assert f"runs:/{seeds[0].info.run_id}/model" in card
    assert "no member has met it" in card
    assert "the images that chose the epoch" not in card
    assert "cannot be looked at: it is the mean of several networks" in card

    for explain in ("explain.sanity=true", "explain.method=rollout"):
        done = run("evaluate", "model_uri=models:/both/1", explain)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"error: {explain} " in done.stderr

    done = run("ensemble", "members=[models:/both/1,models:/brain-tumor/1]", "register=more")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "members=models:/both/1 is an ensemble itself: give its members" in done.stderr


def member(name: str, **changes: Any) -> Member:
    rows = [
        {
            **{"path": f"{label}{group}.png", "label": label, "part": part, "group": f"{label}{group}"},
            **{"twin": f"{label}{group}", "site": "A", "sha256": f"{label}{group}"},
        }
        for label in STANDARD.names
        for group, part in enumerate(("train", "val", "test"))
    ]
    split = Split(pd.DataFrame(rows), root=Path("x"), source="folder", synthetic=False)
    config = typed(TrainConfig, task(*TINY))
    return replace(Member(f"members={name}", name, name, config, STANDARD, split, "all"), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run_id": "a"}, "are one model"),
        ({"classes": ClassList(tuple(reversed(STANDARD.names)), "notumor")}, "knows other classes (pituitary"),
        (
            {"config": typed(TrainConfig, task(*TINY, "data.image_size=64"))},
            "takes images of another kind or size (slices of 64 px) than a (slices of 32 px)",
        ),
        (
            {"config": typed(TrainConfig, task(*WHOLE))},
            "takes images of another kind or size (volumes of 12 x 64 x 64 voxels) than a (slices of 32 px)",
        ),
        ({"listed": "others"}, "was trained around other images, or other patients, than a"),
    ],
)
def test_what_cannot_be_averaged_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        together([member("a"), member("b", **changes)])
    assert said in str(refused.value)
    assert str(refused.value).startswith("members=b ")


def test_models_of_whole_volumes_are_averaged_where_they_take_the_same() -> None:
    config = typed(TrainConfig, task(*WHOLE))
    assert together([member("a", config=config), member("b", config=config)]).reason.startswith("no image is left")
    other = typed(TrainConfig, task(*WHOLE, "data.spacing=[5,2,2]"))
    with pytest.raises(InputError, match=r"\(volumes of 12 x 64 x 64 voxels, 5 x 2 x 2 mm apart\) than a \(volumes of"):
        together([member("a", config=config), member("b", config=other)])


def test_a_member_without_layers_is_refused_before_any_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found("models:/theirs/1", "r", STANDARD, keras=False)
    monkeypatch.setattr(ensemble_members, "find", lambda uri, key: found)
    monkeypatch.setattr(ensemble_members.runs, "own_tags_of", lambda run_id: {})
    with pytest.raises(InputError, match=r"^members=models:/theirs/1 is a file for ONNX Runtime"):
        ensemble_members._member("models:/theirs/1", "members")


def test_seeds_without_images_of_their_own_say_why_nothing_is_fitted() -> None:
    found = together([member("a"), member("b")])
    assert found.name == "cnn_baseline+cnn_baseline"
    assert found.reason.startswith("no image is left that none of its members has met (trained with data.calib")
    assert len(found.split.part("test")) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run=x",), "error: configuration: Missing mandatory value: register"),
        (("register=x",), "give either members="),
        (("register=x", "members=[models:/a/1]"), "give at least two"),
        (("register=a/b", "run=x"), "error: register='a/b' is no name for a model: give register=NAME"),
        (("register=x", "run=x", "data.masks=there"), "is not read for an ensemble"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run("ensemble", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_a_run_that_is_no_parent_is_one_line(trained_copy: stores.Trained) -> None:
    done = call(trained_copy.place, "ensemble", f"run={trained_copy.run}", "register=x")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"run={trained_copy.run} stands above 0 such trainings" in done.stderr


def test_a_model_that_has_met_all_images_is_one_line(
    trained_copy: stores.Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the mean of all folds has: said before it is loaded."""
    logged = runs.load_split

    def met(run_id: str) -> Split:
        split = logged(run_id)
        return split.moved(split.table.assign(part="train"), split.root)

    monkeypatch.setattr(runs, "load_split", met)
    done = call(trained_copy.place, "evaluate", "model_uri=models:/brain-tumor/1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "models:/brain-tumor/1 has met all images of its split" in done.stderr
    assert "data=folder data.root=DIR" in done.stderr
