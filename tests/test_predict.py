"""`predict` as a user types it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import call, environment, hear_ctrl_c, train_tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in `bars`, and in `work` the store of a run trained on them."""
    place = tmp_path_factory.mktemp("trained")
    train_tiny(place)
    return place


def predict(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return call(place, "predict", "model_uri=models:/brain-tumor@champion", *arguments)


def logged(place: Path) -> pd.DataFrame:
    """What training predicted for the test part, by path."""
    [path] = place.glob("work/mlruns/artifacts/*/artifacts/tables/test_predictions.csv")
    return pd.read_csv(path).set_index("path")


@pytest.mark.parametrize("runtime", ["keras", "onnx"])
def test_answers_are_those_of_training(trained: Path, runtime: str) -> None:
    out = trained / f"answers {runtime}.csv"
    done = predict(trained, f"input={trained / 'bars'}", f"out={out}", f"runtime={runtime}")
    assert done.returncode == 0, done.stderr
    found, known = pd.read_csv(out).set_index("path"), logged(trained)
    assert len(found) == 120
    columns = [name for name in known.columns if name.startswith("probability_")]
    assert len(columns) == 4
    difference = np.abs(found.loc[known.index, columns].to_numpy() - known[columns].to_numpy()).max()
    assert difference < (1e-5 if runtime == "keras" else 1e-4)
    assert (found.loc[known.index, "class"] == known["prediction"]).all()


def test_what_was_stopped_goes_on(trained: Path) -> None:
    whole, out = trained / "whole.jsonl", trained / "stopped.jsonl"
    assert predict(trained, f"input={trained / 'bars'}", f"out={whole}").returncode == 0
    assert (
        predict(trained, f"input={trained / 'bars'}", f"out={trained / 'again.jsonl'}", "plane=axial").returncode == 0
    )
    lines = whole.read_bytes().splitlines(keepends=True)
    about = {"model": "models:/brain-tumor/1", "plane": "auto", "input": str(trained / "bars"), "maps": None}
    [run] = trained.glob("work/mlruns/artifacts/*/artifacts/decision")
    about["run"] = run.parents[1].name
    lines = [line.replace(b', "model": "models:/brain-tumor/1"', b"") for line in lines]
    marked = lines[0].replace(b'"image"', b'"kept as it was"')
    part = trained / "stopped.jsonl.part"
    part.write_bytes(json.dumps(about).encode() + b"\n" + marked + lines[1][:20])
    done = predict(trained, f"input={trained / 'bars'}", f"out={out}")
    assert done.returncode == 0, done.stderr
    assert "files     120 in" in done.stdout
    assert ", 1 of them answered before" in done.stdout
    written = out.read_bytes().replace(b', "model": "models:/brain-tumor/1"', b"")
    assert written.splitlines(keepends=True) == [marked, *lines[1:]]


def test_a_stop_says_what_is_kept_and_the_same_line_goes_on(trained: Path) -> None:
    many, out = trained / "many", trained / "many.jsonl"
    many.mkdir()
    content = (trained / "bars/Testing/glioma/0.png").read_bytes()
    for index in range(4000):
        (many / f"{index:04d}.png").write_bytes(content)
    line = [sys.executable, "-m", "brain_tumor.predict", "model_uri=models:/brain-tumor@champion"]
    line += [f"input={many}", f"out={out}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(line, cwd=trained / "work", env=environment(trained), preexec_fn=hear_ctrl_c, **pipes)
    part = trained / "many.jsonl.part"
    while running.poll() is None and not (part.exists() and part.stat().st_size > 50_000):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=120)
    kept = len(part.read_bytes().splitlines()) - 1
    assert running.returncode == 130
    assert 0 < kept < 4000
    assert f"stopped: {kept} of 4000 files answered, kept in {part}; to go on, type the same line again" in error
    assert "Traceback" not in error
    done = predict(trained, f"input={many}", f"out={out}")
    assert f"{kept} of them answered before" in done.stdout, done.stderr
    paths = [json.loads(each)["path"] for each in out.read_text(encoding="utf-8").splitlines()]
    assert paths == [f"{index:04d}.png" for index in range(4000)]


def test_overlays_are_pictures_that_differ_from_their_input(trained: Path) -> None:
    out = trained / "explained.csv"
    done = predict(trained, f"input={trained / 'bars/Testing/glioma'}", f"out={out}", "explain=true")
    assert done.returncode == 0, done.stderr
    maps = sorted((trained / "explained_maps").rglob("*.png"))
    assert [path.name for path in maps] == [f"{index}.png.png" for index in range(6)]
    given = Image.open(trained / "bars/Testing/glioma/0.png").resize((32, 32), Image.Resampling.BILINEAR)
    with Image.open(maps[0]) as shown:
        assert (shown.size, shown.mode) == ((32, 32), "RGB")
        assert np.abs(np.asarray(shown, int) - np.asarray(given, int)).max() > 50


def test_a_broken_file_is_named_and_the_rest_answered(trained: Path) -> None:
    folder = trained / "mixed"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "whole.png").write_bytes((trained / "bars/Testing/glioma/0.png").read_bytes())
    done = predict(trained, f"input={folder}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "broken.png" in done.stdout.split("whole.png")[0]
    assert "answered  1 file:" in done.stdout
    assert "refused   1 file\n          broken.png: " in done.stdout
    assert "not a medical device" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["input=nothing*.png"], "error: input=nothing*.png: there is no such file, and no file that this matches"),
        (["input=.", "explain=true"], "error: explain=true writes a folder beside out"),
        (["input=.", "out=x.txt"], "error: out=x.txt: name a file that ends in .csv or .jsonl"),
        (["input=.", "plane=oblique"], "plane: input should be 'auto', 'axial', 'coronal' or 'sagittal'"),
        ([], "Missing mandatory value: input"),
    ],
)
def test_a_mistake_is_one_line(trained: Path, arguments: list[str], message: str) -> None:
    done = predict(trained, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
