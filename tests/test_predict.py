"""`predict` as a user types it."""

import json
import re
import signal
import subprocess
import time

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stores import Trained
from toy import call, start, words

CHAMPION = "model_uri=models:/brain-tumor@champion"


def predict(trained: Trained, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return call(trained.place, "predict", CHAMPION, *arguments)


@pytest.mark.parametrize("runtime", ["keras", "onnx"])
def test_answers_are_those_of_training(trained_copy: Trained, runtime: str) -> None:
    out = trained_copy.place / f"answers {runtime}.csv"
    done = predict(trained_copy, f"input={trained_copy.images}", f"out={out}", f"runtime={runtime}")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(out).set_index("path")
    known = pd.read_csv(trained_copy.artifacts / "tables" / "test_predictions.csv").set_index("path")
    assert len(found) == 120
    columns = [name for name in known.columns if name.startswith("probability_")]
    assert len(columns) == 4
    difference = np.abs(found.loc[known.index, columns].to_numpy() - known[columns].to_numpy()).max()
    assert difference < (1e-5 if runtime == "keras" else 1e-4)
    assert (found.loc[known.index, "class"] == known["prediction"]).all()


def test_what_was_stopped_goes_on(trained_copy: Trained) -> None:
    whole, out = trained_copy.place / "whole.jsonl", trained_copy.place / "stopped.jsonl"
    images = f"input={trained_copy.images}"
    assert predict(trained_copy, images, f"out={whole}").returncode == 0
    assert predict(trained_copy, images, f"out={whole.with_name('again.jsonl')}", "plane=axial").returncode == 0
    lines = whole.read_bytes().splitlines(keepends=True)
    about = {"model": "models:/brain-tumor/1", "run": trained_copy.run, "plane": "auto", "maps": None}
    about["input"] = str(trained_copy.images)
    lines = [line.replace(b', "model": "models:/brain-tumor/1"', b"") for line in lines]
    marked = lines[0].replace(b'"image"', b'"kept as it was"')
    part = trained_copy.place / "stopped.jsonl.part"
    part.write_bytes(json.dumps(about).encode() + b"\n" + marked + lines[1][:20])
    done = predict(trained_copy, images, f"out={out}")
    assert done.returncode == 0, done.stderr
    assert re.search("files 120 in .*, 1 of them answered before", words(done.stdout))
    written = out.read_bytes().replace(b', "model": "models:/brain-tumor/1"', b"")
    assert written.splitlines(keepends=True) == [marked, *lines[1:]]


@pytest.mark.slow
def test_a_stop_says_what_is_kept_and_the_same_line_goes_on(trained_copy: Trained) -> None:
    many, out = trained_copy.place / "many", trained_copy.place / "many.jsonl"
    many.mkdir()
    content = (trained_copy.images / "Testing/glioma/0.png").read_bytes()
    for index in range(2000):
        (many / f"{index:04d}.png").write_bytes(content)
    running = start(trained_copy.place, "predict", CHAMPION, f"input={many}", f"out={out}")
    part = trained_copy.place / "many.jsonl.part"
    while running.poll() is None and not (part.exists() and part.stat().st_size > 50_000):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=120)
    kept = len(part.read_bytes().splitlines()) - 1
    assert running.returncode == 130
    assert 0 < kept < 2000
    assert f"stopped: {kept} of 2000 scans answered, kept in {part}; to go on, type the same line again" in error
    assert "Traceback" not in error
    done = predict(trained_copy, f"input={many}", f"out={out}")
    assert f"{kept} of them answered before" in words(done.stdout), done.stderr
    paths = [json.loads(each)["path"] for each in out.read_text(encoding="utf-8").splitlines()]
    assert paths == [f"{index:04d}.png" for index in range(2000)]


def test_overlays_are_pictures_that_differ_from_their_input(trained_copy: Trained) -> None:
    out = trained_copy.place / "explained.csv"
    given = f"input={trained_copy.images / 'Testing/glioma'}"
    done = predict(trained_copy, given, f"out={out}", "explain=true", "report=true")
    assert done.returncode == 0, done.stderr
    pages = sorted((trained_copy.place / "explained_reports").rglob("*.html"))
    assert [page.name for page in pages] == [f"{index}.png.html" for index in range(6)]
    assert "models:/brain-tumor/1" in pages[0].read_text()
    maps = sorted((trained_copy.place / "explained_maps").rglob("*.png"))
    assert [path.name for path in maps] == [f"{index}.png.png" for index in range(6)]
    source = Image.open(trained_copy.images / "Testing/glioma/0.png").resize((32, 32), Image.Resampling.BILINEAR)
    with Image.open(maps[0]) as shown:
        assert (shown.size, shown.mode) == ((32, 32), "RGB")
        assert np.abs(np.asarray(shown, int) - np.asarray(source, int)).max() > 50


def test_an_image_and_its_mirror_image_are_answered_alike_by_two_views(trained_copy: Trained) -> None:
    both, out = trained_copy.place / "both", trained_copy.place / "mirrored.csv"
    both.mkdir()
    with Image.open(trained_copy.images / "Testing/glioma/0.png") as image:
        image.save(both / "a.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(both / "b.png")
    done = predict(trained_copy, f"input={both}", f"out={out}", "views=2", "report=true")
    assert done.returncode == 0, done.stderr
    assert "Views: each answer is the mean over 2 views of the image" in words(done.stdout)
    assert "sets and thresholds are the model's own" in words(done.stdout)
    found = pd.read_csv(out)
    assert found["views"].tolist() == [2, 2]
    answers = found.filter(like="probability_").to_numpy()
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)
    assert "the mean over 2 views" in (trained_copy.place / "mirrored_reports" / "a.png.html").read_text()
    (trained_copy.place / "alone.csv.part").write_text(json.dumps({"views": 2}) + "\n")
    done = predict(trained_copy, f"input={both}", f"out={trained_copy.place / 'alone.csv'}")
    assert "was begun with another " in done.stderr
    assert "views" in done.stderr
    (trained_copy.place / "alone.csv.part").unlink()
    assert predict(trained_copy, f"input={both}", f"out={trained_copy.place / 'alone.csv'}").returncode == 0
    alone = pd.read_csv(trained_copy.place / "alone.csv")
    assert "views" not in alone
    answers = alone.filter(like="probability_").to_numpy()
    assert np.abs(answers[0] - answers[1]).max() > 1e-4


def test_one_volume_of_a_file_of_several_is_answered_and_the_answer_says_which(trained_copy: Trained) -> None:
    scans, out = trained_copy.place / "several", trained_copy.place / "several.jsonl"
    scans.mkdir()
    values = np.random.default_rng(0).integers(0, 900, (20, 21, 5, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), scans / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values[..., 2], np.eye(4)), scans / "b.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values[..., :2], np.eye(4)), scans / "c.nii.gz")
    done = predict(trained_copy, f"input={scans}", "volume=2", f"out={out}")
    assert done.returncode == 0, done.stderr
    several, one, short = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert several["remarks"] == ["volume 2 of 0 to 2"]
    assert one["error"] == "volume=2 is none of its volumes, of which the last is 0"
    assert short["error"] == "volume=2 is none of its volumes, of which the last is 1"
    about = {"model": "models:/brain-tumor/1", "run": trained_copy.run, "plane": "auto", "maps": None, "volume": 1}
    part = trained_copy.place / "begun.jsonl.part"
    part.write_text(json.dumps(about | {"input": str(scans)}) + "\n", encoding="utf-8")
    other = predict(trained_copy, f"input={scans}", "volume=2", f"out={part.with_suffix('')}")
    assert (other.returncode, "was begun with another volume: " in other.stderr) == (2, True)


def test_a_folder_of_series_is_answered_a_volume_each(trained_copy: Trained) -> None:
    dicom = pytest.importorskip("dicom_files").dicom
    scans, out = trained_copy.place / "series", trained_copy.place / "series.csv"
    (scans / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lies = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    for place in range(4):
        for echo in (1, 2):
            pixels = rng.integers(0, 900, (20, 21)).astype(np.uint16)
            said = {"SeriesInstanceUID": "1.2.3", "ImagePositionPatient": [0, 0, 5.0 * place], "EchoNumbers": echo}
            (scans / f"{echo}{9 - place}.dcm").write_bytes(dicom(pixels, **said, **lies))
        said = {"SeriesInstanceUID": "1.2.4", "ImagePositionPatient": [0, 0, 5.0 * place]}
        (scans / "sub" / f"{place}").write_bytes(dicom(pixels, **said, **lies))
    (scans / "sub" / "2").write_bytes((scans / "sub" / "2").read_bytes()[:-50])
    done = predict(trained_copy, f"input={scans}", f"out={out}", "explain=true", "report=true")
    assert done.returncode == 0, done.stderr
    assert "files 12 in " in words(done.stdout)
    assert ", 12 of them slices of 3 DICOM volumes" in words(done.stdout)
    assert "refused 1" in words(done.stdout)
    found = pd.read_csv(out, dtype={"slice": str})
    assert found["path"].tolist() == [
        *["series 1, echo 1 (4 slices)"] * 5, *["series 1, echo 2 (4 slices)"] * 5, "sub/series 1 (4 slices)",
    ]  # fmt: skip
    assert found["error"].tolist()[-1] == "sub/2: truncated: it has fewer pixels than its header says"
    first = found[:5]
    assert first["file"].tolist()[:4] == ["19.dcm", "18.dcm", "17.dcm", "16.dcm"]
    assert first["position_mm"].tolist()[:4] == [0, 5, 10, 15]
    assert first["plane"].tolist()[:4] == ["axial"] * 4
    whole = first.iloc[4]
    assert (whole["slice"], whole["class"]) == ("volume", pytest.approx(np.nan, nan_ok=True))
    answers = first["class"][:4][first["not_brain_mri"][:4].astype(str).str.lower() == "false"]
    assert whole["brain_slices"] == len(answers)
    for name in answers.unique():
        assert whole[f"share_{name}"] == pytest.approx((answers == name).mean())
    assert (trained_copy.place / "series_reports" / "series 1, echo 2 (4 slices).html").is_file()
    again = predict(trained_copy, f"input={scans}")
    lines = [line for line in again.stdout.splitlines() if line.startswith("series 1, echo")]
    assert len(lines) == 2
    assert all("per slice" in line and "axial" in line for line in lines)


def test_a_broken_file_is_named_and_the_rest_answered(trained_copy: Trained) -> None:
    folder = trained_copy.place / "mixed"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "whole.png").write_bytes((trained_copy.images / "Testing/glioma/0.png").read_bytes())
    done = predict(trained_copy, f"input={folder}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "broken.png" in done.stdout.split("whole.png")[0]
    assert "refused 1 Refused: broken.png " in words(done.stdout)
    assert "not a medical device" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["input=nothing*.png"], "error: input=nothing*.png: there is no such file, and no file that this matches"),
        (["input=.", "views=0"], "views: input should be greater than or equal to 1 (got 0)"),
        (["input=.", "report=true"], "error: report=true writes a folder beside out"),
        (["input=.", "explain=true"], "error: explain=true writes a folder beside out"),
        (
            ["input=.", "without_lesion=true"],
            "error: without_lesion=true paints over what a lesion map marks, and ",
        ),
        (["input=.", "out=x.txt"], "error: out=x.txt: name a file that ends in .csv or .jsonl"),
        (["input=.", "plane=oblique"], "plane: input should be 'auto', 'axial', 'coronal' or 'sagittal'"),
        ([], "Missing mandatory value: input"),
    ],
)
def test_a_mistake_is_one_line(trained_copy: Trained, arguments: list[str], message: str) -> None:
    done = predict(trained_copy, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
