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
from stores import Trained
from toy import TINY, call, client, metrics_of, run_id, runs_in, scores_of, start, tags_of, words

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_run_is_tracked_and_evaluated_by_another_process(trained_copy: Trained) -> None:
    work, run, out = trained_copy.work, trained_copy.run, trained_copy.out
    assert "test part, folder, grouped: 24 images" in out
    assert "models:/brain-tumor/1, now champion (real)" in out
    first = metrics_of(work, run)
    assert {"val/accuracy", "test/macro_f1", "train/loss", "cost/train_seconds", "test/ece"} <= first.keys()

    artifacts = trained_copy.artifacts
    for name in ("curves", "val/confusion", "test/confusion", "test/roc", "test/reliability", "test/gradcam"):
        with Image.open(artifacts / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
    predictions = pd.read_csv(artifacts / "tables" / "test_predictions.csv")
    assert first["test/accuracy"] == pytest.approx(predictions["correct"].mean())
    assert (artifacts / "environment" / "requirements.txt").read_text().count("==") > 50
    assert not list(work.glob("mlruns/checkpoints/*"))
    # What is said with a prediction, fitted once; below, `evaluate` measures the very same with what it restores.
    assert {"test/aurc", "test/answered", "test/not_brain_mri"} <= first.keys()
    assert {"coverage_90", "set_size_95"} <= scores_of(work, run).keys()
    assert {path.name for path in (artifacts / "decision").iterdir()} == {"decision.json", "outliers.npz"}
    assert set(pd.read_csv(artifacts / "tables" / "test_conformal.csv")["level"]) == {0.9, 0.95}
    assert "The 95% prediction sets hold the truth in " in out
    assert "Warning: every 90% set holds glioma" in out

    tags = tags_of(work, run)
    assert (tags["data_kind"], tags["protocol"], tags["model"]) == ("real", "grouped", "cnn_baseline")
    assert (tags["schedule"], tags["leak"]) == ("scratch", "none")
    bounds = pd.read_csv(artifacts / "tables" / "test_metrics.csv").set_index("metric").loc["accuracy"]
    assert tags["test accuracy"] == f"{bounds['value']:.3f} [{bounds['low']:.3f}, {bounds['high']:.3f}]"
    assert f"hardware: {tags['hardware']}\n" in trained_copy.err
    [logged] = client(work).get_run(run).inputs.dataset_inputs
    assert logged.dataset.digest == tags["data_digest"][:12]

    moved = trained_copy.images.rename(trained_copy.place / "moved")
    champion = "model_uri=models:/brain-tumor@champion"
    lost = call(trained_copy.place, "evaluate", champion)
    assert lost.returncode == 2
    assert "data.root=DIR" in lost.stderr
    done = call(trained_copy.place, "evaluate", champion, f"data.root={moved}", "bootstrap=100")
    assert done.returncode == 0, done.stderr
    second = run_id(done.stdout)
    assert scores_of(work, second) == scores_of(work, run)
    tags = tags_of(work, second)
    assert (tags["trained_by"], tags["mlflow.parentRunId"], tags["job"]) == (run, run, "evaluate")


@pytest.mark.slow
def test_names_are_taken_as_they_are_typed(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    work = tmp_path / "my work, (1) = é"
    data = bars("Scans (2019), a=b é")
    done = run("train", "data=folder", f"data.root={data}", *TINY, cwd=work)
    assert done.returncode == 0, done.stderr
    trained = run_id(done.stdout)
    moved = data.rename(data.with_name("moved, (2) = é"))
    done = run("evaluate", "model_uri=models:/brain-tumor@champion", f"data.root={moved}", "bootstrap=100", cwd=work)
    assert done.returncode == 0, done.stderr
    assert scores_of(work, run_id(done.stdout)) == scores_of(work, trained)


def first_checkpoint(folder: Path, process: "subprocess.Popen[str]", seconds: float = 240) -> Path:
    """Wait until a run has finished its first epoch; its checkpoint folder."""
    until = time.monotonic() + seconds
    while not (found := list(folder.glob("*/last.npz"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"no checkpoint came in {folder}"
        time.sleep(0.02)
    return found[0].parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        (signal.SIGINT, "KILLED", 130),
        (signal.SIGKILL, "RUNNING", -signal.SIGKILL),
    ],
)
def test_an_interrupted_run_goes_on_in_itself(
    how: signal.Signals, status: str, code: int, run: Run, spawn: Run, bars: Callable[..., Path], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    arguments = ["data=folder", f"data.root={bars()}", *TINY, "schedule.scratch.epochs=20"]
    process = start(tmp_path, "train", *arguments)
    checkpoints = work / "mlruns" / "checkpoints"
    trained = first_checkpoint(checkpoints, process).name
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert client(work).get_run(trained).info.status == status
    if how == signal.SIGKILL:
        with FileLock(checkpoints / trained / "lock"):
            second = run("train", f"resume={trained}")
        assert second.returncode == 2
        assert "is being trained by another process" in second.stderr
        done = spawn("train", f"resume={trained}", "hardware.threads=1")  # as on another machine
    else:
        assert f"-m brain_tumor.train resume={trained}" in err
        done = run("train", f"resume={trained}")
    assert done.returncode == 0, done.stderr
    assert run_id(done.stdout) == trained
    assert client(work).get_run(trained).info.status == "FINISHED"
    steps = [metric.step for metric in client(work).get_metric_history(trained, "train/loss")]
    assert steps == list(range(1, 21))
    assert not list(checkpoints.iterdir())
    again = run("train", f"resume={trained}")
    assert again.returncode == 2
    assert "has finished" in again.stderr


@pytest.mark.slow
def test_two_first_runs_at_once(bars: Callable[..., Path], tmp_path: Path) -> None:
    images = ("data=folder", f"data.root={bars()}")
    processes = [start(tmp_path, "train", *images, *TINY, f"seed={seed}") for seed in (0, 1)]
    answers = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert len({run_id(out) for out, _ in answers}) == 2
    versions = client(tmp_path / "work").search_model_versions("name='brain-tumor'")
    assert sorted(int(each.version) for each in versions) == [1, 2]


@pytest.mark.slow
def test_a_multirun_opens_no_test_part(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    done = run("train", "-m", "data=folder", f"data.root={bars(train=12)}", *TINY, "seed=0,1")
    assert done.returncode == 0, done.stderr
    found = [list(each.data.metrics) for each in runs_in(tmp_path / "work")]
    assert sum("val/accuracy" in names for names in found) == 2
    assert not any(name.startswith("test/") for names in found for name in names)


def test_what_no_trial_could_train_is_one_line_before_the_first(run: Run, bars: Callable[..., Path]) -> None:
    data = bars(train=12)
    bad = run("train", "-m", "data=folder", f"data.root={data}", *TINY, "schedule.scratch.unfreeze=all,head")
    assert bad.returncode == 2
    assert "freezes a backbone that has no trained weights" in bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1


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
    assert runs_in(tmp_path / "work") == []


def test_the_wheel_runs_outside_a_checkout(site: Path, tmp_path: Path) -> None:
    where = "import brain_tumor.entry as e; print(e.conf_dir())"
    printed = []
    for command in (["-m", "brain_tumor.train", "--cfg", "job"], ["-c", where]):
        env = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "name: effnet_lite0" in printed[0]
    assert printed[1].strip() == str(site / "brain_tumor" / "conf")


@pytest.mark.slow
def test_the_default_run_in_small(run: Run, tmp_path: Path) -> None:
    """Phantom, EfficientNet-Lite0 with its ImageNet weights, both phases; named as synthetic everywhere."""
    small = ["data.phantom.subjects=32", "data.phantom.slices_per_subject=2", "data.phantom.size=64"]
    short = ["data.image_size=64", "schedule.all.epochs=1", "bootstrap=100", "tracking.system_metrics=false"]
    done = run("train", *small, *short)
    assert done.returncode == 0, done.stderr
    assert "test part, SYNTHETIC phantom, official: 16 images" in done.stdout
    assert "\n  maps that peak in the lesion " in done.stdout
    assert " of the right ones stay when it is painted over" in words(done.stdout)
    # At most 30 lines of at most 100 columns but for what is to be pasted, and what is warned of in so small a run.
    lines = re.sub(r"(?m)^  - Warning: .*\n(    .*\n)*", "", done.stdout).splitlines()
    assert len(lines) <= 30
    assert all(len(line) <= 100 for line in lines if sys.executable not in line)
    assert "retracing" not in done.stderr
    assert "Successfully registered" not in done.stderr
    work = tmp_path / "work"
    trained = run_id(done.stdout)
    assert client(work).get_run(trained).info.run_name == "effnet_lite0 finetune on SYNTHETIC phantom, seed 0"
    found = metrics_of(work, trained)
    assert 0 <= found["test/pointing"] <= 1
    assert np.isclose(found["phase"], 2)
    shutil.rmtree(tmp_path / "xdg")  # the cache is gone: the phantom is generated anew, with the same bytes
    done = run("evaluate", "model_uri=models:/brain-tumor@champion", "bootstrap=100")
    assert done.returncode == 0, done.stderr
    assert scores_of(work, run_id(done.stdout)) == scores_of(work, trained)
