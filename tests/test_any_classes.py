"""Two classes, and six without a healthy one, go all the way: trained, evaluated, predicted, exported, served."""

import base64
import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import TINY, client, run_id, scores_of, tags_of

Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.slow

SIDE = 42


class Case(NamedTuple):
    folders: tuple[str, ...]
    keys: tuple[str, ...]
    names: tuple[str, ...]
    healthy: str | None
    last: str  # class of the last folder


CASES = {
    "two": Case(
        ("yes", "sound"), ("data.rename={yes: tumour}", "data.healthy=sound"), ("sound", "tumour"), "sound", "sound"
    ),
    "six": Case(
        ("Grade 1", "Grade 2", "Grade 3", "metastasis", "meningioma_tumor", "other things"),
        (),
        ("Grade 1", "Grade 2", "Grade 3", "meningioma", "metastasis", "other things"),
        None,
        "other things",
    ),
}


def draw(root: Path, masks: Path, case: Case, count: int, seed: int) -> None:
    """Noise with a bar whose place tells the class, and its mask where the class is not the healthy one."""
    rng = np.random.default_rng(seed)
    height = SIDE // len(case.folders)
    for place, name in enumerate(case.folders):
        (root / name).mkdir(parents=True)
        (masks / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = rng.integers(0, 90, (SIDE, SIDE, 3)).astype(np.uint8)
            image[place * height : (place + 1) * height] += 120
            Image.fromarray(image).save(root / name / f"{index}.png")
            if name != "sound":
                mask = np.zeros((SIDE, SIDE), np.uint8)
                mask[place * height + 1 : (place + 1) * height - 1, 4:18] = 255
                Image.fromarray(mask).save(masks / name / f"{index}.png")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_any_classes_go_all_the_way(case: Case, run: Run, tmp_path: Path) -> None:
    root, masks, work = tmp_path / "images", tmp_path / "masks", tmp_path / "work"
    draw(root, masks, case, 40, 0)
    patients = [(f"{name}/{index}.png", f"{name} {index // 2}") for name in case.folders for index in range(40)]
    pd.DataFrame(patients, columns=["path", "patient"]).to_csv(tmp_path / "patients.csv", index=False)
    data = ("data=folder", f"data.root={root}", f"data.masks={masks}", f"data.patients={tmp_path}/patients.csv")
    more = ("data.calibration_fraction=0.4", "explain.sanity=true", "schedule.scratch.epochs=8")
    done = run("train", *TINY, *data, *case.keys, *more)
    assert done.returncode == 0, done.stderr
    marked = [f"{each} (healthy)" if each == case.healthy else each for each in case.names]
    assert f"classes: {', '.join(marked)}\n" in done.stderr
    trained = run_id(done.stdout)
    scores = scores_of(work, trained)
    assert scores["accuracy"] > 0.8
    assert {f"recall_{name}" for name in case.names} <= scores.keys()
    assert tags_of(work, trained)["classes"] == ", ".join(case.names)

    artifacts = Path(client(work).get_run(trained).info.artifact_uri.removeprefix("file://"))
    removal = pd.read_csv(artifacts / "tables" / "test_removal.csv")
    assert ("to_healthy" in set(removal["metric"])) == (case.healthy is not None)
    assert set(removal["class"]) - {"all"} <= set(case.names) - {case.healthy}
    assert json.loads((artifacts / "decision" / "decision.json").read_text())["classes"] == list(case.names)
    again = run("evaluate", "model_uri=models:/brain-tumor/1", "bootstrap=100")
    assert again.returncode == 0, again.stderr
    assert scores_of(work, run_id(again.stdout))["accuracy"] == pytest.approx(scores["accuracy"], abs=1e-9)
    _evaluate_without_the_last(case, run, tmp_path)
    rows = _predict(case, run, tmp_path)

    made = run("export", "model_uri=models:/brain-tumor/1", f"out={tmp_path}/exported", "formats=[onnx,tflite]")
    assert made.returncode == 0, made.stderr
    about = json.loads((tmp_path / "exported" / "model.json").read_text())
    assert (about["classes"], about["healthy"]) == (list(case.names), case.healthy)

    served = mlflow.pyfunc.load_model(str(next((work / "mlruns").rglob("MLmodel")).parent))
    content = base64.b64encode((root / case.folders[0] / "0.png").read_bytes()).decode()
    (answer,) = served.predict(pd.DataFrame({"content": [content]}))
    row = next(row for row in rows if row["path"] == f"{case.folders[0]}/0.png")
    assert answer["class"] == row["class"]
    expected = {name: float(row[f"probability_{name}"]) for name in case.names}
    assert answer["probabilities"] == pytest.approx(expected, abs=1e-5)


def _evaluate_without_the_last(case: Case, run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site"
    draw(site, tmp_path / "masks of the site", case, 3, 1)
    shutil.rmtree(site / case.folders[-1])
    done = run(
        "evaluate",
        "model_uri=models:/brain-tumor/1",
        "data=folder",
        f"data.root={site}",
        *(key for key in case.keys if "rename" in key),
        "bootstrap=100",
    )
    assert done.returncode == 0, done.stderr
    said = f"The test part has no image of {case.last}: its scores are of the other classes."
    assert said in " ".join(done.stdout.split())


def _predict(case: Case, run: Run, tmp_path: Path) -> list[dict[str, str]]:
    out = tmp_path / "out.csv"
    done = run("predict", "model_uri=models:/brain-tumor/1", f"input={tmp_path}/images", f"out={out}", "explain=true")
    assert done.returncode == 0, done.stderr
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [key for key in rows[0] if key.startswith("probability_")] == [f"probability_{name}" for name in case.names]
    assert {row["class"] for row in rows} == set(case.names)
    assert set(rows[0]["set_95"].split("; ")) <= set(case.names)
    return rows


def test_folds_and_a_sweep_of_three_classes(run: Run, tmp_path: Path) -> None:
    case = Case(("glioma", "meningioma", "pituitary"), (), (), None, "")
    draw(tmp_path / "images", tmp_path / "masks", case, 12, 0)
    folder = ("data=folder", f"data.root={tmp_path}/images")
    data = (*folder, "data.classes=[pituitary,glioma,meningioma]")
    folds = run("train", *TINY, *data, "protocol=grouped", "protocol.folds=2", "data.calibration_fraction=null")
    assert folds.returncode == 0, folds.stderr
    assert "36 images" in folds.stdout
    sweep = run("train", *TINY, *data, "sweep=base", "model.dropout=0,0.2", "-m")
    assert sweep.returncode == 0, sweep.stderr
    fewer = run("train", *TINY, *folder, "data.classes=[glioma,pituitary]", "-v")
    assert "it knows other classes (pituitary, glioma, meningioma)" in " ".join(fewer.stdout.split())
