"""A classifier whose answer rests on the lesion, from its training to its maps."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import TINY, client, metrics_of, run_id, scores_of, tags_of, words

Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.slow

SIDE = 64
SHADES = {"glioma": 230, "meningioma": 0, "notumor": None}


def draw(root: Path, masks: Path) -> None:
    """Gray noise; a tumour is a disc anywhere, bright or dark by its class."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:SIDE, :SIDE]
    for name, shade in SHADES.items():
        (root / name).mkdir(parents=True)
        (masks / name).mkdir(parents=True)
        for index in range(60):
            plane = rng.integers(80, 130, (SIDE, SIDE))
            if shade is not None:
                top, left = rng.integers(14, SIDE - 14, 2)
                lesion = (y - top) ** 2 + (x - left) ** 2 < 8**2
                plane[lesion] = shade
                Image.fromarray(lesion.astype(np.uint8) * 255).save(masks / name / f"{index}.png")
            Image.fromarray(plane.astype(np.uint8)).save(root / name / f"{index}.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder / "images", folder / "masks")
    return f"data.root={folder / 'images'}", f"data.masks={folder / 'masks'}"


def read(work: Path, run: str, name: str) -> pd.DataFrame:
    return pd.read_csv(client(work).download_artifacts(run, f"tables/{name}.csv"))


def test_the_answer_rests_on_the_lesion_and_the_map_shows_it(images: tuple[str, str], run: Run, tmp_path: Path) -> None:
    keys = ("model.head=evidence", "augment=counterfactual", "data.image_size=64", "schedule.scratch.epochs=12")
    done = run("train", *TINY, "data=folder", *images, *keys, "monitor=val/trust", "calibrate=none")
    assert done.returncode == 0, done.stderr
    trained, work = run_id(done.stdout), tmp_path / "work"
    assert tags_of(work, trained)["explain_method"] == "evidence"
    scores = metrics_of(work, trained)
    assert scores["test/accuracy"] > 0.8
    assert scores["test/pointing"] > 0.8
    assert scores["test/kept_without_lesion"] < 0.3  # nothing but the disc tells the class
    assert scores["test/lesion_dice"] > 0.4
    assert scores["test/lesion_found"] > 0.7
    rested = "Most answers rest on the lesion: "
    assert words(done.stdout).split(" metric value")[0].find(rested) > 0  # above the scores
    tables = {name: read(work, trained, f"test_{name}") for name in ("metrics", "removal", "predictions")}
    kept = tables["removal"].set_index(["class", "metric"]).loc[("all", "kept")]
    logged = tables["metrics"].set_index("metric").loc["kept_without_lesion"]
    assert logged.tolist() == kept[["value", "low", "high"]].tolist()
    each = tables["predictions"]
    trust = {point.step: point.value for point in client(work).get_metric_history(trained, "val/trust")}
    kept_epoch = trust.pop(13)  # measured by the removal test, once the model stood
    assert (max(trust), max(trust.values())) == (12, pytest.approx(kept_epoch))
    right = each["correct"] & (each["kept_without_lesion"] != 1)
    assert scores["test/trust"] == pytest.approx(right.mean())
    again = run("evaluate", "model_uri=models:/brain-tumor/1", "bootstrap=100")
    assert again.returncode == 0, again.stderr
    evaluated = scores_of(work, run_id(again.stdout))
    for name in ("accuracy", "trust", "pointing", "kept_without_lesion", "lesion_dice", "lesion_false"):
        assert evaluated[name] == pytest.approx(scores[f"test/{name}"]), name
    card = Path(client(work).download_artifacts(trained, "card/model_card.md")).read_text()
    assert rested in card.split("\n## ")[0]
    out, folder = tmp_path / "answers.csv", images[0].removeprefix("data.root=")
    asked = ("model_uri=models:/brain-tumor/1", f"input={folder}/glioma", f"out={out}", "without_lesion=true")
    for runtime in ("keras", "onnx"):
        done = run("predict", *asked, f"runtime={runtime}", "overwrite=true")
        assert done.returncode == 0, done.stderr
        rows = pd.read_csv(out)
        assert rows["lesion_area"].median() == pytest.approx(np.pi * 8**2 / SIDE**2, rel=0.5)
        assert (rows["class"] == "glioma").mean() > 0.8
        left = rows["without_lesion_probability_glioma"]
        assert left.notna().mean() > 0.9
        assert left.mean() < rows["probability_glioma"].mean() - 0.1


def test_what_it_needs_is_said_at_once(images: tuple[str, str], run: Run) -> None:
    done = run("train", *TINY, "data=folder", images[0], "augment=counterfactual")
    assert done.returncode == 2
    assert "augment=counterfactual needs lesion masks to paint over: give data.masks=DIR" in words(done.stderr)
