"""`evaluate` as a user types it: another site, under corruption, maps scored by masks."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stores import Trained
from toy import TINY, call, draw_folders, metrics_of, run_id, tags_of, words

from brain_tumor.data.classes import STANDARD

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def evaluate(trained: Trained, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return call(trained.place, "evaluate", f"model_uri=runs:/{trained.run}/model", "bootstrap=100", *arguments)


@pytest.fixture
def site(trained_copy: Trained, tmp_path: Path) -> Path:
    """20 images of another site, and mirrored copies of 3 of those trained on."""
    folder = draw_folders(tmp_path / "Site B", train=3, test=2, seed=5)
    split = pd.read_csv(trained_copy.artifacts / "data" / "split.csv")
    for path in split.loc[split["part"] == "train", "path"].iloc[:3]:
        with Image.open(trained_copy.images / path) as image:
            copy = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        copy.save(folder / "Testing" / "glioma" / f"new {Path(path).name}")
    return folder


@pytest.mark.slow
def test_another_site_is_first_compared_with_the_training_images(trained_copy: Trained, site: Path) -> None:
    work, home = trained_copy.work, trained_copy.images
    there = ("data=folder", f"data.root={site}")
    moved = home.rename(trained_copy.place / "moved")
    try:
        done = evaluate(trained_copy, *there)
        assert "only byte-identical copies are found: say where they are with trained_root=DIR" in done.stderr
        assert "CONTAMINATED" not in done.stdout  # none is byte-identical
        unknown = "all images (contamination UNKNOWN: training images were not there to compare with)"
        assert unknown in words(done.stdout)
        assert tags_of(work, run_id(done.stdout))["contaminated"] == "unknown"
        done = evaluate(trained_copy, *there, f"trained_root={moved}", "-v")
    finally:
        moved.rename(home)
    assert done.returncode == 0, done.stderr
    assert "all images (CONTAMINATED: 3 of 23 have a twin in training): 23 images" in done.stdout
    assert "without those that have a twin in training: 20 images" in done.stdout
    lines = [words(line) for line in done.stdout.split("\n  - ")]
    for said in ("prediction sets hold", "right in", "not a brain MRI"):
        of_test = [line for line in lines if line.startswith("test part: ") and said in line]
        assert of_test
        assert all(line.endswith(" (CONTAMINATED)") for line in of_test)
        assert [line for line in lines if line.startswith("unseen part: ") and said in line and "CONTAM" not in line]
    assert "The patients of 20 of 23 images were NOT compared with those trained on" in words(done.stdout)
    found = run_id(done.stdout)
    assert {"test/accuracy", "unseen/accuracy", "unseen/not_brain_mri"} <= metrics_of(work, found).keys()
    tags = tags_of(work, found)
    assert (tags["site"], tags["contaminated"]) == ("Site B", "true")


def test_a_mistake_is_one_line(trained_copy: Trained, site: Path, tmp_path: Path) -> None:
    there = ("data=folder", f"data.root={site}")
    for arguments, message in {
        (*there, f"trained_root={tmp_path / 'nowhere'}"): (
            "nowhere is no folder: give the one that holds the training images"
        ),
        (f"data.root={tmp_path / 'never'}",): "never is no folder: give the one that holds the logged images",
        (f"trained_root={trained_copy.images}",): "is read only with other data",
    }.items():
        done = evaluate(trained_copy, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr
    (site / "Training" / "glioma").rename(site / "Training" / "gliosis")
    done = evaluate(trained_copy, *there)
    assert done.returncode == 2
    assert "gliosis" in done.stderr


def test_views_are_those_of_the_run_its_titles_and_the_card(trained_copy: Trained) -> None:
    done = evaluate(trained_copy, "views=2", "-v")
    assert done.returncode == 0, done.stderr
    assert ", 2 views: " in words(done.stdout)
    assert "Views: each answer is the mean over 2 views of the image" in words(done.stdout)
    found = run_id(done.stdout)
    tags = tags_of(trained_copy.work, found)
    assert tags["views"] == "2"
    assert tags["mlflow.runName"].endswith(", 2 views")
    card = (trained_copy.artifacts / "card" / "model_card.md").read_text(encoding="utf-8")
    assert "the run's own test part, mean over 2 views" in card
    answers = trained_copy.place / "two.csv"
    call(
        trained_copy.place,
        "predict",
        "model_uri=models:/brain-tumor/1",
        f"input={trained_copy.images}",
        "views=2",
        f"out={answers}",
    )
    known = pd.read_csv(answers).set_index("path")
    table = trained_copy.artifacts.parents[1] / found / "artifacts" / "tables" / "test_predictions.csv"
    measured = pd.read_csv(table).set_index("path")
    columns = [name for name in measured.columns if name.startswith("probability_")]
    assert measured[columns].to_numpy() == pytest.approx(known.loc[measured.index, columns].to_numpy(), abs=1e-5)


@pytest.mark.slow
def test_evaluate_under_corruption(trained_copy: Trained) -> None:
    done = evaluate(trained_copy, "robustness=true")
    assert done.returncode == 0, done.stderr
    measured = run_id(done.stdout)
    found = metrics_of(trained_copy.work, measured)
    artifacts = trained_copy.artifacts.parents[1] / measured / "artifacts"
    table = pd.read_csv(artifacts / "tables" / "test_robustness.csv")
    means = pd.read_csv(artifacts / "tables" / "test_robustness_means.csv").set_index("corruption")["accuracy"]
    assert len(table) == 1 + 9 * 5
    assert table["accuracy"][0] == pytest.approx(found["test/accuracy"])
    assert table["accuracy"][1:].mean() == pytest.approx(found["test/robustness"])
    for name, rows in table[1:].groupby("corruption"):
        assert rows["accuracy"].mean() == pytest.approx(means[name])
    assert f"Under 9 corruptions the accuracy is {found['test/robustness']:.3f} on average (" in words(done.stdout)
    for name in ("robustness", "robustness_examples"):
        with Image.open(artifacts / "figures" / "test" / f"{name}.png") as picture:
            assert min(picture.size) > 700

    done = evaluate(trained_copy, "data=folder", f"data.root={trained_copy.images}", "robustness=true")
    assert "(CONTAMINATED: 96 of 120 have a twin in training)" in done.stdout
    assert re.search(r"- Under 9 corruptions the accuracy is .* \(CONTAMINATED\)\. ", words(done.stdout))


@pytest.mark.slow
def test_maps_are_scored_by_masks(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    """Kind of map chosen on validation, scores with baselines, randomised weights; `evaluate` finds the same."""
    work, data = tmp_path / "work", bars()
    masks = tmp_path / "masks, of (bars)"
    for path in data.rglob("*.png"):
        if path.parent.name != "notumor":
            start = 2 + STANDARD.names.index(path.parent.name) * 10  # as `toy.draw` draws its bar
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
    done = run("train", *here, f"data.masks={masks}", *auto, "explain.sanity=true", "schedule.scratch.epochs=4", "-v")
    assert done.returncode == 0, done.stderr
    out = words(done.stdout)
    assert re.search(
        r"test part: The maps peak in the lesion in .*class's mean map: .* Maps: \S+ at \S.*, 2 views", out
    )
    assert re.search(r"test part: With the lesion painted over, [\d.]+% \[[^]]*\] of these answers stay", out)
    assert re.search(r"(need|rest on|NOT need) the lesion(, some do not)?: [\d.]+% of the right ones stay", out)
    assert re.search(r"With random weights in the network: (maps need|INSENSITIVE|undecided)", out)
    assert re.search(r"val part: The maps peak in", out)
    assert re.search(r"Calibration: (none|vector|temperature \d\.\d+) \(", out)
    trained = run_id(done.stdout)
    first = metrics_of(work, trained)
    artifacts = next(work.glob(f"mlruns/artifacts/{trained}/artifacts"))
    unscaled, scaled = first["val/log_loss"], artifacts / "tables" / "val_calibration.csv"
    if scaled.exists():
        unscaled = pd.read_csv(scaled).set_index("metric").loc["log_loss", "before"]
    assert first["val/loss"] == pytest.approx(unscaled)  # its curve is of epochs, which are not calibrated
    scores = [pd.read_csv(artifacts / "tables" / f"test_{name}.csv") for name in ("maps", "removal")]
    overall = pd.concat([each[each["class"] == "all"] for each in scores])["value"]
    assert len(overall) >= 9 + 4
    assert overall.between(0, 1).all()
    kinds = pd.read_csv(artifacts / "tables" / "val_map_kinds.csv")
    assert len(kinds) == 4 * 4  # three stages of the baseline and one product, by each method
    assert kinds["pointing"].is_monotonic_decreasing
    tags = tags_of(work, trained)
    assert (tags["explain_method"], tags["explain_layer"]) == tuple(kinds.iloc[0][["method", "layer"]])
    assert tags["explanations"] in ("sensitive", "insensitive_to_head", "insensitive", "undecided")
    table = pd.read_csv(artifacts / "tables" / "test_maps.csv").set_index(["class", "map", "metric"])
    assert table.loc[("all", "model", "pointing"), "value"] == pytest.approx(first["test/pointing"])
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
    second = next(work.glob(f"mlruns/artifacts/{run_id(done.stdout)}/artifacts"))
    for name, expected in zip(("maps", "removal"), scores, strict=True):
        pd.testing.assert_frame_equal(pd.read_csv(second / "tables" / f"test_{name}.csv"), expected)
    done = run("evaluate", *again, f"data.masks={moved}", "views=2")
    assert done.returncode == 0, done.stderr
    tables = next(work.glob(f"mlruns/artifacts/{run_id(done.stdout)}/artifacts")) / "tables"
    removed = pd.read_csv(tables / "test_removal.csv").set_index(["class", "metric"])["value"]
    right = pd.read_csv(tables / "test_predictions.csv").query("correct and label != 'notumor'")
    own = [row[f"probability_{row['label']}"] for _, row in right.iterrows()]
    assert removed["all", "probability"] == pytest.approx(np.mean(own))  # asked again by both views, too
