"""Seeds and folds as one command, as a user types it."""

import json
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
from toy import TINY, draw_folders, environment, hear_ctrl_c, in_store

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]
EPOCH = ("schedule.scratch.epochs=1", "schedule.scratch.warmup_epochs=0")
PHANTOM = ("data.phantom.subjects=48", "data.phantom.slices_per_subject=2", "data.phantom.size=48")
PARENT = "[r for r in c.search_runs(['1']) if r.data.tags.get('job') == 'several'][0]"
CHILDREN = "[r for r in c.search_runs(['1']) if r.data.tags.get('job') == 'train']"


def artifact(work: Path, run_id: object, name: str) -> Path:
    return next(work.glob(f"mlruns/artifacts/{run_id}/artifacts/{name}"))


def test_seeds_are_child_runs_and_the_parent_has_mean_and_spread(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = run("train", "seeds=[3,4]", *TINY, *EPOCH, *PHANTOM)
    assert done.returncode == 0, done.stderr
    assert "seed 3 (1 of 2)" in done.stderr
    parent = in_store(work, f"{PARENT}.info.run_id")
    metrics = in_store(work, f"{PARENT}.data.metrics")
    children = in_store(work, f"{{r.data.tags['member']: r.data.metrics for r in {CHILDREN}}}")
    parents = in_store(work, f"[r.data.tags['mlflow.parentRunId'] for r in {CHILDREN}]")
    assert isinstance(metrics, dict)
    assert isinstance(children, dict)
    assert sorted(children) == ["seed 3", "seed 4"]
    assert parents == [parent, parent]
    for name in ("test/accuracy", "val/macro_f1", "test/log_loss", "test/coverage_90", "test/aurc"):
        values = [children[member][name] for member in sorted(children)]
        assert metrics[name] == pytest.approx(np.mean(values))
        assert metrics[f"{name}_sd"] == pytest.approx(np.std(values, ddof=1))
    assert f"{metrics['test/accuracy']:.4f}" in done.stdout
    assert f"(sd {metrics['test/accuracy_sd']:.4f})" in done.stdout
    table = pd.read_csv(artifact(work, parent, "tables/test_metrics.csv")).set_index("metric")
    assert table.loc["accuracy", "low"] <= metrics["test/accuracy"] <= table.loc["accuracy", "high"]
    assert len(pd.read_csv(artifact(work, parent, "tables/test_runs.csv"))) == 2


def test_folds_are_pooled_into_one_prediction_a_slice(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = run("train", "protocol.folds=3", *TINY, *EPOCH, *PHANTOM)
    assert done.returncode == 0, done.stderr
    parent = in_store(work, f"{PARENT}.info.run_id")
    pooled = pd.read_csv(artifact(work, parent, "tables/test_predictions.csv"))
    assert len(pooled) == 96
    assert pooled["path"].is_unique
    metrics = in_store(work, f"{PARENT}.data.metrics")
    of_folds = in_store(work, f"[r.data.metrics['test/accuracy'] for r in {CHILDREN}]")
    assert isinstance(metrics, dict)
    assert metrics["test/accuracy"] == pytest.approx(pooled["correct"].mean())
    assert metrics["test/accuracy_sd"] == pytest.approx(np.std(of_folds, ddof=1))  # type: ignore[call-overload]
    assert "pooled over 3 models: 3 runs, 96 images" in done.stdout
    assert artifact(work, parent, "figures/test/confusion.png").is_file()
    # A fold's model is one of several halves of an answer: none is registered.
    assert in_store(work, "[m.name for m in c.search_registered_models()]") == []
    config = artifact(work, in_store(work, f"{CHILDREN}[0].info.run_id"), "config/config.yaml").read_text()
    assert "fold: 2" in config


def test_several_runs_go_on_where_they_were_stopped(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    epochs = ("schedule.scratch.epochs=6", "schedule.scratch.warmup_epochs=0")
    command = [sys.executable, "-m", "brain_tumor.train", "seeds=[0,1,2]", *TINY, *epochs, *PHANTOM]
    process = subprocess.Popen(
        command, cwd=work, env=environment(tmp_path), stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )
    assert process.stderr is not None
    text = ""
    deadline = time.monotonic() + 300
    second = False
    for line in process.stderr:
        text += line
        second = second or "seed 1 (2 of 3)" in line
        if (second and "epoch 2 " in line) or time.monotonic() > deadline:
            process.send_signal(signal.SIGINT)
            break
    text += process.stderr.read()
    assert process.wait() == 130, text
    resume = text.rstrip().rsplit("resume=", 1)[1].split()[0]
    assert in_store(work, f"c.get_run({resume!r}).info.status") == "KILLED"
    done = run("train", f"resume={resume}", cwd=work)
    assert done.returncode == 0, done.stderr
    assert in_store(work, f"{PARENT}.info.status") == "FINISHED"
    found = in_store(work, f"sorted((r.data.tags['member'], r.info.status) for r in {CHILDREN})")
    assert found == [["seed 0", "FINISHED"], ["seed 1", "FINISHED"], ["seed 2", "FINISHED"]]  # none was trained twice
    one = f"[r for r in {CHILDREN} if r.data.tags['member'] == 'seed 1'][0].info.run_id"
    assert in_store(work, f"[h.step for h in c.get_metric_history({one}, 'train/loss')]") == [1, 2, 3, 4, 5, 6]
    again = run("train", f"resume={resume}", cwd=work)
    assert (again.returncode, "has finished" in again.stderr) == (2, True)


def test_sites_left_out_go_on_where_the_images_are_now(run: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    sites = [draw_folders(tmp_path / name, train=8, test=2, seed=seed) for seed, name in enumerate(("A", "St. John's"))]
    roots = "data.root=[{}]".format(",".join(map(str, sites)))
    done = run("train", "protocol=leave_one_site_out", "data=folder", roots, *TINY, *EPOCH)
    assert done.returncode == 0, done.stderr
    assert "pooled over 2 models: 2 runs, 80 images" in done.stdout
    parent = in_store(work, f"{PARENT}.info.run_id")
    one = f"[r for r in {CHILDREN} if r.data.tags['member'] == \"site St. John's\"][0].info.run_id"
    # As after a power cut between the two.
    in_store(work, f"[c.delete_run({one}), c.set_terminated({parent!r}, 'KILLED')] and None")
    moved = [site.rename(site.parent / f"moved {number}") for number, site in enumerate(sites)]
    places = [(tmp_path / "elsewhere" / site.name) for site in sites]
    places[0].parent.mkdir()
    for now, place in zip(moved, places, strict=True):
        now.rename(place)
    there = "data.root=[{}]".format(",".join(map(str, places)))
    another = places[0] / "Training" / "glioma" / "another.png"
    shutil.copy(next((places[1] / "Testing" / "pituitary").glob("*.png")), another)
    done = run("train", f"resume={parent}", there, cwd=work)
    assert done.returncode == 2
    assert "have changed since the first of these runs" in done.stderr
    another.unlink()
    done = run("train", f"resume={parent}", there, cwd=work)
    assert done.returncode == 0, done.stderr
    assert "pooled over 2 models: 2 runs, 80 images" in done.stdout


def test_what_cannot_be_leaves_no_run_to_go_on_with(run: Run, tmp_path: Path) -> None:
    done = run("train", "protocol.folds=40", *TINY, *EPOCH, *PHANTOM)
    assert (done.returncode, "use fewer folds" in done.stderr, "resume=" in done.stderr) == (2, True, False)
    assert in_store(tmp_path / "work", "len(c.search_runs(['0', '1']))") == 0
    done = run("train", "protocol=leave_one_site_out", *TINY, *EPOCH, *PHANTOM)
    assert done.returncode == 2
    assert "leave_one_site_out needs folders, one a site, and not data=phantom" in done.stderr


@pytest.mark.parametrize("key", ["seeds=[0,1]", "protocol.folds=3"])
def test_a_sweep_takes_no_several_runs(key: str, run: Run) -> None:
    done = run("train", key, *TINY, *PHANTOM, "seed=0,1", "-m")
    assert done.returncode == 2
    assert "asks for several runs" in done.stderr
    assert json.dumps(done.stderr.count("\n")) == "1"
