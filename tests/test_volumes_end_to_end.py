"""Whole volumes from their files to the registry and back."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from toy import TINY, client, metrics_of, run_id, words

Run = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.slow

CLASSES = {"glioma": 300, "meningioma": -60, "notumor": None}


def draw(root: Path, masks: Path, seed: int = 0) -> None:
    """Heads of noise, each with its own spacing and axes; a tumour is a bright or a dark ball, by its class."""
    rng = np.random.default_rng(seed)
    for name, shade in CLASSES.items():
        for index in range(30):
            step = rng.uniform(3, 6, 3)
            counts = np.ceil(np.array([150, 180, 140]) / step).astype(int)
            place = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1) * step
            middle = (counts - 1) * step / 2
            values = np.where(np.square((place - middle) / [70, 85, 65]).sum(axis=-1) < 1, 100, 0)
            values = values + rng.integers(0, 30, values.shape) * (values > 0)
            ball = np.square(place - middle - rng.uniform(-20, 20, 3)).sum(axis=-1) < 28**2
            affine = np.diag([*step, 1.0])
            for axis in np.flatnonzero(rng.integers(0, 2, 3)):
                affine[axis, axis] *= -1
            folder = Path(name) / f"{name[0]}{index}"
            (root / folder).mkdir(parents=True)
            if shade is not None:
                values[ball] += shade
                (masks / folder).mkdir(parents=True)
                nibabel.save(nibabel.Nifti1Image(ball.astype(np.uint8), affine), masks / folder / "t1c.nii.gz")
            nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), root / folder / "t1c.nii.gz")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("volumes")
    draw(folder / "images", folder / "masks")
    return "data=volumes", f"data.root={folder / 'images'}", f"data.masks={folder / 'masks'}"


def test_a_network_of_volumes_learns_is_measured_and_answers_alike_when_it_is_loaded(
    data: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    keys = ("model=cnn3d_baseline", "data.volume_shape=[12,24,24]", "schedule.scratch.epochs=15", "calibrate=none")
    done = run("train", *TINY, *data, *keys, "data.image_size=null", "tracking.register=volumes")
    assert done.returncode == 0, done.stderr
    trained, work = run_id(done.stdout), tmp_path / "work"
    scores = metrics_of(work, trained)
    assert scores["test/accuracy"] > 0.8
    assert scores["test/kept_without_lesion"] < 0.5  # nothing but the ball tells the class
    names = {each.path for each in client(work).list_artifacts(trained, "figures/test")}
    assert {"figures/test/gradcam.png", "figures/test/maps.png", "figures/test/mistakes.png"} <= names
    again = run("evaluate", "model_uri=models:/volumes/1", "robustness=true")
    assert again.returncode == 0, again.stderr
    assert "Under 7 corruptions the accuracy is" in words(again.stdout)
    evaluated = metrics_of(work, run_id(again.stdout))
    for name in ("test/accuracy", "test/log_loss", "test/pointing", "test/kept_without_lesion"):
        assert evaluated[name] == pytest.approx(scores[name], abs=1e-6)
    root = Path(data[1].removeprefix("data.root="))
    elsewhere = run("evaluate", "model_uri=models:/volumes/1", data[0], f"data.root={_site(root, tmp_path)}")
    assert elsewhere.returncode == 0, elsewhere.stderr
    met = pd.read_csv(client(work).download_artifacts(trained, "data/split.csv")).set_index("path")
    trained_on = sum(met.loc[f"{name}/{name[0]}3/t1c.nii.gz", "part"] != "test" for name in CLASSES)
    assert f"(CONTAMINATED: {trained_on} of 12 have a twin in training)" in words(elsewhere.stdout)
    assert f"{12 - trained_on} images" in words(elsewhere.stdout)
    out = tmp_path / "out.csv"
    answered = run("predict", "model_uri=models:/volumes/1", f"input={root}", f"out={out}", "explain=true")
    assert answered.returncode == 0, answered.stderr
    said = pd.read_csv(out).set_index("path")
    known = pd.read_csv(client(work).download_artifacts(trained, "tables/test_predictions.csv")).set_index("path")
    columns = [f"probability_{name}" for name in CLASSES]
    np.testing.assert_allclose(said.loc[known.index, columns], known[columns], atol=1e-5)
    assert len(list((tmp_path / "out_maps").rglob("*.png"))) == len(said) == 90
    by_onnx = run("predict", "model_uri=models:/volumes/1", f"input={root}", f"out={tmp_path}/onnx.csv", "runtime=onnx")
    assert by_onnx.returncode == 0, by_onnx.stderr
    assert "onnx (probabilities within" in words(by_onnx.stdout)
    again = pd.read_csv(tmp_path / "onnx.csv").set_index("path")
    np.testing.assert_allclose(again.loc[said.index, columns], said[columns], atol=1e-5)
    for command, *others in (
        ("predict", f"input={root}", "plane=axial"),
        ("evaluate", "data=folder", data[1]),
    ):
        refused = run(command, "model_uri=models:/volumes/1", *others)
        assert refused.returncode == 2
        assert "takes whole volumes" in words(refused.stderr)


def _site(home: Path, place: Path) -> Path:
    """Three heads a class of another site, and one a class of `home`."""
    draw(place / "drawn", place / "its masks", seed=7)
    for name in CLASSES:
        for index in range(3):
            shutil.copytree(place / f"drawn/{name}/{name[0]}{index}", place / f"site/{name}/other{index}")
        shutil.copytree(home / f"{name}/{name[0]}3", place / f"site/{name}/known")
    return place / "site"


def test_slices_are_weighed_by_what_is_stored_of_them(data: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    keys = ("model=slices_lite0", "data.volume_shape=[8,64,64]", "calibrate=none")
    once = ("schedule=head_only", "schedule.head.feature_views=1", "explain.views=1", "augment=none", "bootstrap=100")
    done = run("train", *data, *keys, *once)
    assert done.returncode == 0, done.stderr
    scores = metrics_of(tmp_path / "work", run_id(done.stdout))
    assert scores["test/accuracy"] > 0.5
