"""`evaluate` as a user types it: another site, under corruption, maps scored by masks."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import TINY, call, draw_folders, metrics_of, run_id, tags_of, train_tiny

from brain_tumor import CLASSES

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder that holds images, `home`, and the store of a run trained on them, in `work`; and the run's id."""
    place = tmp_path_factory.mktemp("trained")
    return place, train_tiny(place, "home")


def evaluate(trained: tuple[Path, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    place, run = trained
    return call(place, "evaluate", f"model_uri=runs:/{run}/model", "bootstrap=100", *arguments)


def test_another_site_is_first_compared_with_the_training_images(trained: tuple[Path, str], tmp_path: Path) -> None:
    place, train_run = trained
    work, home = place / "work", place / "home"
    site = draw_folders(tmp_path / "Site B", train=3, test=2, seed=5)
    split = pd.read_csv(next(work.glob(f"mlruns/artifacts/{train_run}/artifacts/data/split.csv")))
    for path in split.loc[split["part"] == "train", "path"].iloc[:3]:  # mirrored copies of glioma turn up there
        with Image.open(home / path) as image:
            copy = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        copy.save(site / "Testing" / "glioma" / f"new {Path(path).name}")
    there = ("data=folder", f"data.root={site}")
    done = evaluate(trained, *there)
    assert done.returncode == 0, done.stderr
    assert "all images (CONTAMINATED: 3 of 23 have a twin in training): 23 images" in done.stdout
    assert "without those that have a twin in training: 20 images" in done.stdout
    lines = done.stdout.splitlines()
    for said in ("sets: ", "not sure", "not a brain MRI"):
        assert [line.endswith(" (CONTAMINATED)") for line in lines if line.startswith("test ") and said in line]
        assert all(line.endswith(" (CONTAMINATED)") for line in lines if line.startswith("test ") and said in line)
        assert [line for line in lines if line.startswith("unseen ") and said in line and "CONTAM" not in line]
    assert "patients  of 20 of 23 images were NOT compared with those trained on" in done.stdout
    found = run_id(done.stdout)
    assert {"test/accuracy", "unseen/accuracy", "unseen/not_brain_mri"} <= metrics_of(work, found).keys()
    tags = tags_of(work, found)
    assert (tags["site"], tags["contaminated"]) == ("Site B", "true")

    moved = home.rename(place / "moved")
    try:
        done = evaluate(trained, *there)
        assert "only byte-identical copies are found: say where they are with trained_root=DIR" in done.stderr
        assert "CONTAMINATED" not in done.stdout  # none is byte-identical
        assert "all images (contamination UNKNOWN: training images were not there to compare with)" in done.stdout
        assert tags_of(work, run_id(done.stdout))["contaminated"] == "unknown"
        done = evaluate(trained, *there, f"trained_root={moved}")
        assert "CONTAMINATED: 3 of 23" in done.stdout
    finally:
        moved.rename(home)

    done = evaluate(trained, *there, f"trained_root={tmp_path / 'nowhere'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere is no folder: give the one that holds the training images" in done.stderr
    done = evaluate(trained, f"data.root={tmp_path / 'never'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "never is no folder: give the one that holds the logged images" in done.stderr
    done = evaluate(trained, f"trained_root={home}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is read only with other data" in done.stderr

    done = evaluate(trained, "data=folder", f"data.root={home}", "robustness=true")
    assert "(CONTAMINATED: 96 of 120 have a twin in training)" in done.stdout
    assert re.search(
        r"^test .* is the mean accuracy under 9 corruptions .* \(CONTAMINATED\)$", done.stdout, re.MULTILINE
    )

    (site / "Training" / "glioma").rename(site / "Training" / "gliosis")
    done = evaluate(trained, *there)
    assert done.returncode == 2
    assert "gliosis" in done.stderr


def test_evaluate_under_corruption(trained: tuple[Path, str]) -> None:
    done = evaluate(trained, "robustness=true")
    assert done.returncode == 0, done.stderr
    work, measured = trained[0] / "work", run_id(done.stdout)
    found = metrics_of(work, measured)
    artifacts = next(work.glob(f"mlruns/artifacts/{measured}/artifacts"))
    table = pd.read_csv(artifacts / "tables" / "test_robustness.csv")
    assert len(table) == 1 + 9 * 5
    assert table["accuracy"][0] == pytest.approx(found["test/accuracy"])
    assert table["accuracy"][1:].mean() == pytest.approx(found["test/robustness"])
    for name, rows in table[1:].groupby("corruption"):
        assert rows["accuracy"].mean() == pytest.approx(found[f"test/robustness_{name}"])
    assert f"{found['test/robustness']:.3f} [" in done.stdout
    for name in ("robustness", "robustness_examples"):
        with Image.open(artifacts / "figures" / "test" / f"{name}.png") as picture:
            assert min(picture.size) > 700


def test_maps_are_scored_by_masks(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    """Kind of map chosen on validation, scores with baselines, randomised weights; `evaluate` finds the same."""
    work, data = tmp_path / "work", bars()
    masks = tmp_path / "masks, of (bars)"
    for path in data.rglob("*.png"):
        if path.parent.name != "notumor":
            start = 2 + CLASSES.index(path.parent.name) * 10  # as `toy.draw` draws its bar
            mask = np.zeros((40, 40), bool)
            mask[start : start + 8] = True
            place = masks / path.relative_to(data)
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place)
    here = ["data=folder", f"data.root={data}", *TINY]
    auto = ["explain.method=auto", "explain.layer=auto", "explain.views=2"]
    for more, said in {
        ("data.masks=nowhere",): "data.masks=nowhere is no folder",
        (*auto,): "explain.method=auto needs lesion masks",
    }.items():
        done = run("train", *here, *more)
        assert (done.returncode, len(done.stderr.strip().splitlines()[-1:])) == (2, 1)
        assert said in done.stderr.strip().splitlines()[-1]
    done = run("train", *here, f"data.masks={masks}", *auto, "explain.sanity=true", "schedule.scratch.epochs=4")
    assert done.returncode == 0, done.stderr
    assert re.search(r"test +\S+ at \S.*, 2 views: .* peak in the lesion \(the centre .*class's mean map", done.stdout)
    assert re.search(r"test +with the lesion painted over, [\d.]+% \[.*\] of these predictions stay", done.stdout)
    assert re.search(r"sanity +(maps need|INSENSITIVE|undecided)", done.stdout)
    assert re.search(r"^val +\S+ at .*\(chosen on these\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^scaling +(none|vector|temperature \d\.\d+) \(.*\)$", done.stdout, re.MULTILINE)
    trained = run_id(done.stdout)
    first = metrics_of(work, trained)
    unscaled = first.get("val/log_loss_uncalibrated", first["val/log_loss"])
    assert first["val/loss"] == pytest.approx(unscaled)  # its curve is of epochs, which are not calibrated
    scores = {name: value for name, value in first.items() if name.startswith(("test/map_", "test/removal_"))}
    assert len(scores) >= 9 + 4
    assert all(0 <= value <= 1 for value in scores.values())
    artifacts = next(work.glob(f"mlruns/artifacts/{trained}/artifacts"))
    kinds = pd.read_csv(artifacts / "tables" / "val_map_kinds.csv")
    assert len(kinds) == 4 * 4  # three stages of the baseline and one product, by each method
    assert kinds["pointing"].is_monotonic_decreasing
    tags = tags_of(work, trained)
    assert (tags["explain_method"], tags["explain_layer"]) == tuple(kinds.iloc[0][["method", "layer"]])
    assert tags["explanations"] in ("sensitive", "insensitive_to_head", "insensitive", "undecided")
    table = pd.read_csv(artifacts / "tables" / "test_maps.csv").set_index(["class", "map", "metric"])
    assert table.loc[("all", "model", "energy"), "value"] == pytest.approx(scores["test/map_energy"])
    assert table["images"].loc["all"].max() == table["images"].loc[["glioma", "meningioma", "pituitary"]].sum() / 9
    for name in ("val/map_kinds", "val/maps", "test/maps", "test/map_sanity"):
        with Image.open(artifacts / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200

    moved = masks.rename(tmp_path / "moved masks")
    again = ["model_uri=models:/brain-tumor@champion", "bootstrap=100", *auto]
    done = run("evaluate", *again)
    assert done.returncode == 2
    assert "the masks are no longer in" in done.stderr
    done = run("evaluate", *again, f"data.masks={moved}")
    assert done.returncode == 0, done.stderr
    second = metrics_of(work, run_id(done.stdout))
    assert {name: second[name] for name in scores} == pytest.approx(scores)
