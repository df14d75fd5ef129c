"""The commands as a user types them, on small images: train, evaluate, interrupt, resume, mistakes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image
from toy import TINY, environment, hear_ctrl_c, in_store

from brain_tumor import CLASSES

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
ALL_RUNS = "c.search_runs([e.experiment_id for e in c.search_experiments()])"


def run_id(text: str) -> str:
    found = re.search(r"/runs/([0-9a-f]{32})", text)
    assert found, text
    return found[1]


def metrics(folder: Path, run: str) -> dict[str, float]:
    found = in_store(folder, f"c.get_run({run!r}).data.metrics")
    assert isinstance(found, dict)
    return found


def of_test(found: dict[str, float]) -> dict[str, float]:
    """The test part's; a run of more than seconds has the machine's, too."""
    return {name: value for name, value in found.items() if name.startswith("test/")}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder whose name needs quoting."""
    folder = tmp_path / "my work, (1) = é"
    folder.mkdir()
    return folder


def test_train_then_evaluate_in_a_fresh_process(run: Run, bars: Callable[..., Path], work: Path) -> None:
    data = bars("Scans (2019), a=b é")
    done = run("train", "data=folder", f"data.root={data}", *TINY, cwd=work)
    assert done.returncode == 0, done.stderr
    assert "test part, folder, grouped: 24 images" in done.stdout
    assert "brain-tumor version 1 (real) is now champion" in done.stdout
    trained = run_id(done.stdout)
    first = metrics(work, trained)
    assert {"val/accuracy", "test/macro_f1", "train/loss", "cost/train_seconds", "test/ece"} <= first.keys()

    artifacts = next(work.glob(f"mlruns/artifacts/{trained}/artifacts"))
    for name in ("curves", "val/confusion", "test/confusion", "test/roc", "test/reliability", "test/gradcam"):
        with Image.open(artifacts / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
    predictions = pd.read_csv(artifacts / "tables" / "test_predictions.csv")
    assert first["test/accuracy"] == pytest.approx(predictions["correct"].mean())
    assert (artifacts / "environment" / "requirements.txt").read_text().count("==") > 50
    assert not list(work.glob("mlruns/checkpoints/*"))
    # What is said with a prediction, fitted once; below, `evaluate` measures the very same with what it restores.
    assert {"test/coverage_90", "test/set_size_95", "test/aurc", "test/answered", "test/not_brain_mri"} <= first.keys()
    assert {path.name for path in (artifacts / "decision").iterdir()} == {"decision.json", "outliers.npz"}
    assert set(pd.read_csv(artifacts / "tables" / "test_conformal.csv")["level"]) == {0.9, 0.95}
    assert "test      90.0% sets: " in done.stdout
    assert "glioma stands in every 90% set: it has" in done.stdout

    tags = in_store(work, f"c.get_run({trained!r}).data.tags")
    assert isinstance(tags, dict)
    assert (tags["data_kind"], tags["protocol"], tags["model"]) == ("real", "grouped", "cnn_baseline")
    datasets = in_store(work, f"[d.dataset.digest for d in c.get_run({trained!r}).inputs.dataset_inputs]")
    assert datasets == [tags["data_digest"][:12]]

    moved = data.rename(data.with_name("moved"))
    lost = run("evaluate", "model_uri=models:/brain-tumor@champion", cwd=work)
    assert lost.returncode == 2
    assert "data.root=DIR" in lost.stderr
    done = run("evaluate", "model_uri=models:/brain-tumor@champion", f"data.root={moved}", "bootstrap=100", cwd=work)
    assert done.returncode == 0, done.stderr
    second = run_id(done.stdout)
    assert of_test(metrics(work, second)) == of_test(first)
    tags = in_store(work, f"c.get_run({second!r}).data.tags")
    assert isinstance(tags, dict)
    assert (tags["trained_by"], tags["mlflow.parentRunId"], tags["job"]) == (trained, trained, "evaluate")

    other = bars("other", train=4, test=2, seed=5)
    done = run(
        "evaluate", f"model_uri=runs:/{trained}/model", "data=folder", f"data.root={other}", "bootstrap=100", cwd=work
    )
    assert done.returncode == 0, done.stderr
    assert "test part, folder, all images: 24 images" in done.stdout  # both of its parts
    (other / "Training" / "glioma").rename(other / "Training" / "gliosis")
    done = run("evaluate", f"model_uri=runs:/{trained}/model", "data=folder", f"data.root={other}", cwd=work)
    assert done.returncode == 2
    assert "gliosis" in done.stderr or "glioma" in done.stderr


def test_another_site_is_first_compared_with_the_training_images(
    run: Run, bars: Callable[..., Path], work: Path
) -> None:
    home, site = bars("home"), bars("Site B", train=3, test=2, seed=5)
    train_run = run_id(run("train", "data=folder", f"data.root={home}", *TINY, cwd=work).stdout)
    split = pd.read_csv(next(work.glob(f"mlruns/artifacts/{train_run}/artifacts/data/split.csv")))
    for path in split.loc[split["part"] == "train", "path"].iloc[:3]:  # mirrored copies of glioma turn up there
        with Image.open(home / path) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
                site / "Testing" / "glioma" / f"new {Path(path).name}"
            )
    arguments = (f"model_uri=runs:/{train_run}/model", "data=folder", f"data.root={site}", "bootstrap=100")
    done = run("evaluate", *arguments, cwd=work)
    assert done.returncode == 0, done.stderr
    assert "all images (CONTAMINATED: 3 of 23 have a twin in training): 23 images" in done.stdout
    assert "without those that have a twin in training: 20 images" in done.stdout
    found = metrics(work, run_id(done.stdout))
    assert {"test/accuracy", "unseen/accuracy"} <= found.keys()
    tags = in_store(work, f"c.get_run({run_id(done.stdout)!r}).data.tags")
    assert isinstance(tags, dict)
    assert (tags["site"], tags["contaminated"]) == ("Site B", "true")

    moved = home.rename(home.with_name("moved"))
    done = run("evaluate", *arguments, cwd=work)
    assert "only byte-identical copies are found: say where they are with trained_root=DIR" in done.stderr
    assert "CONTAMINATED" not in done.stdout  # none is byte-identical
    done = run("evaluate", *arguments, f"trained_root={moved}", cwd=work)
    assert "CONTAMINATED: 3 of 23" in done.stdout

    done = run("evaluate", *arguments[:1], "data=folder", f"data.root={moved}", f"trained_root={moved}", cwd=work)
    assert "(CONTAMINATED: 96 of 120 have a twin in training)" in done.stdout


def test_evaluate_under_corruption(run: Run, tmp_path: Path) -> None:
    small = ["data.phantom.subjects=32", "data.phantom.slices_per_subject=2", "data.phantom.size=64"]
    done = run("train", "data=phantom", *small, *TINY)
    assert done.returncode == 0, done.stderr
    done = run("evaluate", "model_uri=models:/brain-tumor@champion", "bootstrap=100", "robustness=true")
    assert done.returncode == 0, done.stderr
    work, measured = tmp_path / "work", run_id(done.stdout)
    found = metrics(work, measured)
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


def first_checkpoint(folder: Path, process: "subprocess.Popen[str]", seconds: float = 240) -> Path:
    """Wait until a run has finished its first epoch; its checkpoint folder."""
    until = time.monotonic() + seconds
    while not (found := list(folder.glob("*/last.npz"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"no checkpoint came in {folder}"
        time.sleep(0.02)
    return found[0].parent


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [(signal.SIGINT, "KILLED", 130), (signal.SIGTERM, "KILLED", 143), (signal.SIGKILL, "RUNNING", -signal.SIGKILL)],
)
def test_an_interrupted_run_goes_on_in_itself(
    how: signal.Signals, status: str, code: int, run: Run, bars: Callable[..., Path], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    arguments = ["data=folder", f"data.root={bars(train=60)}", *TINY, "schedule.scratch.epochs=40"]
    process = subprocess.Popen(
        [sys.executable, "-m", "brain_tumor.train", *arguments],
        cwd=work,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    checkpoints = work / "mlruns" / "checkpoints"
    trained = first_checkpoint(checkpoints, process).name
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert in_store(work, f"c.get_run({trained!r}).info.status") == status
    if how != signal.SIGKILL:
        assert f"-m brain_tumor.train resume={trained}" in err
    if how == signal.SIGKILL:
        with FileLock(checkpoints / trained / "lock"):
            second = run("train", f"resume={trained}", cwd=work)
        assert second.returncode == 2
        assert "is being trained by another process" in second.stderr
    done = run("train", f"resume={trained}", "hardware.threads=1", cwd=work)  # as on another machine
    assert done.returncode == 0, done.stderr
    assert run_id(done.stdout) == trained
    assert in_store(work, f"c.get_run({trained!r}).info.status") == "FINISHED"
    steps = in_store(work, f"[m.step for m in c.get_metric_history({trained!r}, 'train/loss')]")
    assert steps == list(range(1, 41))
    assert not list(checkpoints.iterdir())
    again = run("train", f"resume={trained}", cwd=work)
    assert again.returncode == 2
    assert "has finished" in again.stderr


def test_two_first_runs_at_once(bars: Callable[..., Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    data = bars()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "brain_tumor.train", "data=folder", f"data.root={data}", *TINY, f"seed={seed}"],
            cwd=work,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 1)
    ]
    answers = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert len({run_id(out) for out, _ in answers}) == 2
    versions = in_store(work, "sorted(v.version for v in c.search_model_versions(\"name='brain-tumor'\"))")
    assert [str(version) for version in versions] == ["1", "2"]  # type: ignore[attr-defined]


def test_a_multirun_opens_no_test_part(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    data = bars("data", train=12)
    done = run("train", "-m", "data=folder", f"data.root={data}", *TINY, "seed=0,1")
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    found = in_store(work, f"[list(r.data.metrics) for r in {ALL_RUNS}]")
    assert isinstance(found, list)
    assert sum("val/accuracy" in names for names in found) == 2
    assert not any(name.startswith("test/") for names in found for name in names)

    bad = run("train", "-m", "data=folder", f"data.root={data}", *TINY, "schedule.scratch.unfreeze=all,head")
    assert bad.returncode == 2
    assert "freezes a backbone that has no trained weights" in bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1  # before the first trial


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (
            "nothing",
            ["model_uri=models:/brain-tumor@champion"],
            "model_uri=models:/brain-tumor@champion cannot be loaded",
        ),
        ("missing", [], "does not exist"),
        ("truncated", [], "1 of"),
        ("empty class", [], "notumor"),
    ],
)
def test_a_mistake_leaves_no_run(
    spoil: str, arguments: list[str], message: str, run: Run, bars: Callable[..., Path], tmp_path: Path
) -> None:
    data = bars("data", train=4, test=2)
    if spoil == "missing":
        shutil.rmtree(data)
    if spoil == "truncated":
        victim = data / "Training" / "glioma" / "0.png"
        victim.write_bytes(victim.read_bytes()[:300])
    if spoil == "empty class":
        for path in (data / "Training" / "notumor").iterdir():
            path.unlink()
    name = "evaluate" if arguments else "train"
    done = run(name, *(arguments or ["data=folder", f"data.root={data}", *TINY]))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    runs = in_store(tmp_path / "work", f"[r.info.run_id for r in {ALL_RUNS}]")
    assert runs == []


def test_the_wheel_runs_outside_a_checkout(tmp_path: Path) -> None:
    repository = Path(__file__).parents[1]
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(repository)]
    subprocess.run(build, check=True, capture_output=True)
    site = tmp_path / "site"
    shutil.unpack_archive(next(tmp_path.glob("*.whl")), site, "zip")
    done = subprocess.run(
        [sys.executable, "-m", "brain_tumor.train", "--cfg", "job"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "name: effnet_lite0" in done.stdout
    where = [sys.executable, "-c", "import brain_tumor.entry as e; print(e.conf_dir())"]
    printed = subprocess.run(
        where, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == str(site / "brain_tumor" / "conf")


def test_the_default_run_in_small(run: Run, tmp_path: Path) -> None:
    """Phantom, EfficientNet-Lite0 with its ImageNet weights, both phases; named as synthetic everywhere."""
    small = ["data.phantom.subjects=32", "data.phantom.slices_per_subject=2", "data.phantom.size=64"]
    short = ["data.image_size=64", "schedule.all.epochs=1", "bootstrap=100", "tracking.system_metrics=false"]
    done = run("train", *small, *short)
    assert done.returncode == 0, done.stderr
    assert "test part, SYNTHETIC phantom, official: 16 images" in done.stdout
    assert "peak in the lesion (the centre" in done.stdout
    work = tmp_path / "work"
    trained = run_id(done.stdout)
    name = in_store(work, f"c.get_run({trained!r}).info.run_name")
    assert name == "effnet_lite0 finetune on SYNTHETIC phantom, seed 0"
    found = metrics(work, trained)
    assert 0 <= found["test/map_pointing"] <= 1
    assert np.isclose(found["phase"], 2)
    shutil.rmtree(tmp_path / "xdg")  # the cache is gone: the phantom is generated anew, with the same bytes
    done = run("evaluate", "model_uri=models:/brain-tumor@champion", "bootstrap=100")
    assert done.returncode == 0, done.stderr
    assert of_test(metrics(work, run_id(done.stdout))) == of_test(found)


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
    assert re.search(r"sanity +maps need|sanity +INSENSITIVE", done.stdout)
    trained = run_id(done.stdout)
    first = metrics(work, trained)
    scores = {name: value for name, value in first.items() if name.startswith(("test/map_", "test/removal_"))}
    assert len(scores) >= 9 + 4
    assert all(0 <= value <= 1 for value in scores.values())
    artifacts = next(work.glob(f"mlruns/artifacts/{trained}/artifacts"))
    kinds = pd.read_csv(artifacts / "tables" / "val_map_kinds.csv")
    assert len(kinds) == 4 * 4  # three stages of the baseline and one product, by each method
    assert kinds["pointing"].is_monotonic_decreasing
    tags = in_store(work, f"c.get_run({trained!r}).data.tags")
    assert isinstance(tags, dict)
    assert (tags["explain_method"], tags["explain_layer"]) == tuple(kinds.iloc[0][["method", "layer"]])
    assert tags["explanations"] in ("sensitive", "insensitive_to_head", "insensitive")
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
    second = metrics(work, run_id(done.stdout))
    assert {name: second[name] for name in scores} == pytest.approx(scores)
