"""Seeds and folds as one command, as a user types it."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import TINY, client, draw_folders, runs_in, start, words

Run = Callable[..., subprocess.CompletedProcess[str]]
EPOCH = ("schedule.scratch.epochs=1", "schedule.scratch.warmup_epochs=0")
PHANTOM = ("data.phantom.subjects=48", "data.phantom.slices_per_subject=2", "data.phantom.size=48")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """One that is drawn once for all tests here."""
    return (*PHANTOM, f"data.cache={tmp_path_factory.mktemp('cache')}")


def family(work: Path) -> tuple[Any, dict[str, Any]]:
    """The parent run, and its runs by what each stands for."""
    [parent] = [each for each in runs_in(work) if each.data.tags.get("job") == "several"]
    children = [each for each in runs_in(work) if each.data.tags.get("job") == "train"]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {parent.info.run_id}
    members = {each.data.tags["member"]: each for each in children}
    assert len(members) == len(children)  # none was trained twice
    return parent, members


def artifact(work: Path, run: Any, name: str) -> Path:
    return work / "mlruns" / "artifacts" / run.info.run_id / "artifacts" / name


@pytest.mark.slow
def test_seeds_are_child_runs_and_the_parent_has_mean_and_spread(
    phantom: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    done = run("train", "seeds=[3,4]", *TINY, *EPOCH, *phantom)
    assert done.returncode == 0, done.stderr
    assert "seed 3 (1 of 2)" in done.stderr
    parent, children = family(work)
    metrics = parent.data.metrics
    assert sorted(children) == ["seed 3", "seed 4"]
    tables = [pd.read_csv(artifact(work, parent, f"tables/{part}_metrics.csv")) for part in ("test", "val")]
    test, val = (each.set_index("metric")["sd"] for each in tables)
    spread = {
        "test/accuracy": metrics["test/accuracy_sd"],
        "val/macro_f1": metrics["val/macro_f1_sd"],
        "test/log_loss": test["log_loss"],
        "test/trust": test["trust"],
        "val/ece": val["ece"],
        "test/aurc": pd.read_csv(artifact(work, parent, "tables/test_runs.csv"))["aurc"].std(),
    }
    for name, sd in spread.items():
        values = [each.data.metrics[name] for each in children.values()]
        assert metrics[name] == pytest.approx(np.mean(values))
        assert sd == pytest.approx(np.std(values, ddof=1))
    tags = parent.data.tags
    assert (tags["schedule"], tags["leak"]) == ("scratch", "none")
    assert tags["test accuracy"].endswith(f" sd {metrics['test/accuracy_sd']:.3f}")
    table = pd.read_csv(artifact(work, parent, "tables/test_metrics.csv")).set_index("metric")
    assert f"accuracy {metrics['test/accuracy']:.3f} " in words(done.stdout)
    assert f" to {table.loc['accuracy', 'high']:.3f} {metrics['test/accuracy_sd']:.3f} balanced" in words(done.stdout)
    of_seed = children["seed 4"].data.metrics["test/accuracy"]
    assert f"seed 4: test accuracy {of_seed:.3f} (" in done.stdout
    assert table.loc["accuracy", "low"] <= metrics["test/accuracy"] <= table.loc["accuracy", "high"]
    assert len(pd.read_csv(artifact(work, parent, "tables/test_runs.csv"))) == 2


@pytest.mark.slow
def test_folds_are_pooled_into_one_prediction_a_slice(phantom: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = run("train", "protocol.folds=3", *TINY, *EPOCH, *phantom)
    assert done.returncode == 0, done.stderr
    parent, folds = family(work)
    pooled = pd.read_csv(artifact(work, parent, "tables/test_predictions.csv"))
    assert len(pooled) == 96
    assert pooled["path"].is_unique
    metrics = parent.data.metrics
    of_folds = [each.data.metrics["test/accuracy"] for each in folds.values()]
    assert metrics["test/accuracy"] == pytest.approx(pooled["correct"].mean())
    assert metrics["test/accuracy_sd"] == pytest.approx(np.std(of_folds, ddof=1))
    assert metrics["test/trust"] == pytest.approx(pooled["trust"].mean())
    assert "pooled over 3 models: 3 runs, 96 images" in done.stdout
    assert artifact(work, parent, "figures/test/confusion.png").is_file()
    # A fold's model is one of several halves of an answer: none is registered.
    assert list(client(work).search_registered_models()) == []
    assert "fold: 2" in artifact(work, runs_in(work)[-1], "config/config.yaml").read_text()


@pytest.mark.slow
def test_several_runs_go_on_where_they_were_stopped(phantom: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    epochs = ("schedule.scratch.epochs=6", "schedule.scratch.warmup_epochs=0")
    process = start(tmp_path, "train", "seeds=[0,1]", *TINY, *epochs, *phantom)
    assert process.stderr is not None
    text = ""
    while "seed 0 (1 of 2)" not in text or "epoch 2 " not in text.split("seed 0 (1 of 2)")[1]:
        line = process.stderr.readline()
        assert line, text
        text += line
    process.send_signal(signal.SIGTERM)
    text += process.communicate(timeout=300)[1]
    assert process.returncode == 143, text
    resume = text.rstrip().rsplit("resume=", 1)[1].split()[0]
    assert client(work).get_run(resume).info.status == "KILLED"
    done = run("train", f"resume={resume}")
    assert done.returncode == 0, done.stderr
    parent, children = family(work)
    assert parent.info.status == "FINISHED"
    assert {name: each.info.status for name, each in children.items()} == {
        f"seed {seed}": "FINISHED" for seed in (0, 1)
    }
    history = client(work).get_metric_history(children["seed 0"].info.run_id, "train/loss")
    assert [each.step for each in history] == [1, 2, 3, 4, 5, 6]
    again = run("train", f"resume={resume}")
    assert (again.returncode, "has finished" in again.stderr) == (2, True)


@pytest.mark.slow
def test_sites_left_out_go_on_where_the_images_are_now(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    sites = [draw_folders(tmp_path / name, train=8, test=2, seed=seed) for seed, name in enumerate(("A", "St. John's"))]
    roots = "data.root=[{}]".format(",".join(map(str, sites)))
    done = run("train", "protocol=leave_one_site_out", "data=folder", roots, *TINY, *EPOCH)
    assert done.returncode == 0, done.stderr
    assert "pooled over 2 models: 2 runs, 80 images" in done.stdout
    whole, sites_left_out = family(work)
    parent = whole.info.run_id
    # As after a power cut between the two.
    client(work).delete_run(sites_left_out["site St. John's"].info.run_id)
    client(work).set_terminated(parent, "KILLED")
    moved = [site.rename(site.parent / f"moved {number}") for number, site in enumerate(sites)]
    places = [(tmp_path / "elsewhere" / site.name) for site in sites]
    places[0].parent.mkdir()
    for now, place in zip(moved, places, strict=True):
        now.rename(place)
    there = "data.root=[{}]".format(",".join(map(str, places)))
    another = places[0] / "Training" / "glioma" / "another.png"
    shutil.copy(next((places[1] / "Testing" / "pituitary").glob("*.png")), another)
    done = run("train", f"resume={parent}", there)
    assert done.returncode == 2
    assert "have changed since the first of these runs" in done.stderr
    another.unlink()
    done = run("train", f"resume={parent}", there)
    assert done.returncode == 0, done.stderr
    assert "pooled over 2 models: 2 runs, 80 images" in done.stdout


@pytest.mark.slow
def test_what_cannot_be_leaves_no_run_to_go_on_with(run: Run, tmp_path: Path) -> None:
    few = ("data.phantom.subjects=12", "data.phantom.slices_per_subject=1", "data.phantom.size=48")
    done = run("train", "protocol.folds=10", *TINY, *EPOCH, *few)
    assert (done.returncode, "use fewer folds" in done.stderr, "resume=" in done.stderr) == (2, True, False)
    assert runs_in(tmp_path / "work") == []


def test_sites_without_folders_are_refused_before_there_is_a_store(run: Run, tmp_path: Path) -> None:
    done = run("train", "protocol=leave_one_site_out", *TINY)
    assert done.returncode == 2
    assert "leave_one_site_out needs folders, one a site, and not data=phantom" in done.stderr
    assert not (tmp_path / "work" / "mlruns").exists()


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (["monitor=val/trust"], "protocol.site=A: monitor=val/trust paints lesions of the val part over, and no mask"),
        (["explain.layer=auto"], "explain.layer=auto chooses on the val part, and none of its images has a mask"),
        (
            ["augment=counterfactual", "protocol.site=B,A", "-m"],
            "protocol.site=A: augment=counterfactual paints lesions over, and none of the training images has a mask",
        ),
    ],
)
def test_a_later_run_without_known_lesions_is_refused_before_the_first(
    asked: list[str], refused: str, run: Run, tmp_path: Path
) -> None:
    """B trains on A's images, whose lesions are known; A has nothing but B's to train on."""
    sites = [draw_folders(tmp_path / name, train=8, test=2, seed=seed) for seed, name in enumerate("BA")]
    for image in sites[1].rglob("*.png"):
        mask = tmp_path / "masks" / image.relative_to(tmp_path)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", (40, 40), 1).save(mask)
    images = (f"data.root=[{sites[0]},{sites[1]}]", f"data.masks={tmp_path / 'masks'}")
    done = run("train", "protocol=leave_one_site_out", "data=folder", *images, *TINY, *EPOCH, *asked)
    assert (done.returncode, refused in words(done.stderr)) == (2, True), done.stderr
    assert not re.search(r"epoch|trial|step", done.stderr)
    assert runs_in(tmp_path / "work") == []


@pytest.mark.parametrize("key", ["seeds=[0,1]", "protocol.folds=3"])
def test_a_sweep_takes_no_several_runs(key: str, run: Run) -> None:
    done = run("train", key, *TINY, *PHANTOM, "seed=0,1", "-m")
    assert done.returncode == 2
    assert "asks for several runs" in done.stderr
    assert done.stderr.count("\n") == 1
