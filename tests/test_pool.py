"""`pool` as a user types it: a model of slices learns to answer for volumes, here and on the server."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mlflow
import nibabel
import numpy as np
import pandas as pd
import pytest
from composition import composed
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax
from stores import Trained
from toy import TINY, call, client, draw, draw_folders, words

from brain_tumor.config.commands import PoolConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.classes import STANDARD
from brain_tumor.errors import InputError
from brain_tumor.evaluation.uncertainty.pooling import log_odds
from brain_tumor.jobs import pool_checks

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PATIENTS, SLICES = 6, 4


def stretched(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without colours, and with all levels of gray, as slices of a volume are shown."""
    gray = picture.mean(axis=2)
    low, high = np.percentile(gray, (0.1, 99.5))
    return np.clip((gray - low) * 255 / (high - low), 0, 255).round().astype(np.uint8)


def volume(slices: list[NDArray[np.uint8]]) -> nibabel.Nifti1Image:
    """Of gray pictures as a reader shows them: right and front of the head first."""
    gray = np.stack(slices, axis=-1)
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    return nibabel.Nifti1Image(np.ascontiguousarray(gray[::-1, ::-1].transpose(1, 0, 2)).astype(np.float32), affine)


def write(root: Path, patients: int = PATIENTS, seed: int = 1) -> Path:
    """Volumes whose slices are as the gray pictures of `grays`, and others."""
    rng = np.random.default_rng(seed)
    for label, name in enumerate(STANDARD.names):
        for patient in range(patients):
            place = root / name / f"{name[0]}{patient}"
            place.mkdir(parents=True)
            nibabel.save(volume([stretched(draw(label, rng)) for _ in range(SLICES)]), place / "a.nii.gz")
    return root


def grays(root: Path) -> Path:
    """`toy.draw_folders`, `stretched`."""
    for path in draw_folders(root).rglob("*.png"):
        with Image.open(path) as picture:
            gray = stretched(np.asarray(picture))
        Image.fromarray(gray).save(path)
    return root


def pool(trained: Trained, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return call(trained.place, "pool", *arguments)


@pytest.mark.slow
def test_a_model_of_slices_learns_to_answer_for_volumes(run: Run, tmp_path: Path) -> None:
    images, root, work = grays(tmp_path / "grays"), write(tmp_path / "volumes"), tmp_path / "work"
    done = run("train", *TINY, "data=folder", f"data.root={images}")
    assert done.returncode == 0, done.stderr
    (root / "glioma" / "met").mkdir()
    known = sorted((images / "Training" / "glioma").glob("*.png"))[:SLICES]
    nibabel.save(volume([np.asarray(Image.open(each)) for each in known]), root / "glioma/met/a.nii.gz")
    done = run("pool", "model_uri=models:/brain-tumor@champion", f"data.root={root}", "selective_accuracy=0.5")
    assert done.returncode == 0, done.stderr
    met = "the model has met a slice of theirs, or of their patient, in training: 1 volume (glioma/met/a.nii.gz)"
    assert f"left out, since {met}" in words(done.stderr)
    assert "models:/brain-tumor/2, now champion, as version 1 was" in words(done.stdout)
    assert "24 of 24 patients (glioma 6, meningioma 6, notumor 6, pituitary 6)" in words(done.stdout)

    version = client(work).get_model_version("brain-tumor", "2")
    assert str(client(work).get_model_version_by_alias("brain-tumor", "champion").version) == "2"
    assert version.tags["pooled_from"] == "models:/brain-tumor/1"
    place = client(work).get_run(version.run_id).info.artifact_uri
    fitted = json.loads(mlflow.artifacts.load_text(f"{place}/decision/decision.json"))["volumes"]
    predictions = pd.read_csv(f"{place}/tables/volumes_predictions.csv")
    assert len(predictions) == 24

    out = tmp_path / "answers.jsonl"
    done = run("predict", "model_uri=models:/brain-tumor@champion", f"input={root}", f"out={out}")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    for each in answers:
        brains = [list(one["probabilities"].values()) for one in each["slices"] if not one["not_brain_mri"]]
        odds = log_odds(fitted["kind"], np.array(brains))
        expected = softmax(np.array(fitted["weights"]) @ odds + fitted["shift"])
        assert list(each["volume"]["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-6)
        assert each["volume"]["class"] == STANDARD.names[int(expected.argmax())]
        assert set(each["volume"]["sets"]) == {"0.9", "0.95"}
    cut = tmp_path / "cut.jsonl"
    arguments = ("model_uri=models:/brain-tumor/2", f"input={root / 'glioma' / 'g0'}", f"out={cut}", "plane=coronal")
    done = run("predict", *arguments)
    assert "Volumes have no class with plane=coronal" in words(done.stdout)
    assert json.loads(cut.read_text(encoding="utf-8"))["volume"]["class"] is None

    address = f"sqlite:///{work / 'mlruns' / 'mlflow.db'}"
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    served = mlflow.pyfunc.load_model("models:/brain-tumor/2")
    file = root / answers[0]["path"]
    content = base64.b64encode(file.read_bytes()).decode()
    [own_cut, other] = served.predict(pd.DataFrame({"content": [content] * 2, "plane": ["auto", "sagittal"]}))
    assert own_cut["class"] == answers[0]["volume"]["class"]
    assert own_cut["probabilities"] == pytest.approx(answers[0]["volume"]["probabilities"], abs=1e-5)
    assert (other["class"], other["volume"]["class"]) == (None, None)

    done = run("evaluate", "model_uri=models:/brain-tumor/2", "bootstrap=100", "explain.views=1")
    assert done.returncode == 0, done.stderr
    card = mlflow.artifacts.load_text(f"{place}/card/model_card.md").replace("\\", "")
    assert "calibrated on 24 volumes of known class" in card
    assert "Whether maps need the model is what the card of models:/brain-tumor/1 says" in card


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        ("", ("model_uri=models:/other/1",), "it has no model 'other'; there is brain-tumor"),
        ("few", (), "of 5 patients are needed of each class of the model, and there are fewer of some (pituitary 4)"),
        ("absent", (), "(pituitary 0): add volumes of these"),
        ("strange", (), "schwannoma"),
        ("parts", (), "holds parts (test, val), and the volumes of one are to be fitted on: give its folder"),
        ("", ("data=folder",), "volumes of known class are read from folders alone: data=volumes data.root=DIR"),
        ("", ("data=phantom_volumes",), "volumes of known class are read from folders alone"),
        ("", ("data.masks=x",), "data.masks=x is not read by pool: leave it out"),
        ("", ("data.healthy=glioma",), "data.healthy=glioma is the model's own"),
        ("", ("trained_root=nowhere",), "trained_root=nowhere is no folder"),
        ("", ("register=a/b",), "register='a/b' is no name for a model"),
        ("", ("coverage=[2]",), "coverage"),
        ("run", (), "is not registered: give the name for it, register=NAME"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    trained_copy: Trained, tmp_path: Path, change: str, arguments: tuple[str, ...], said: str
) -> None:
    root = write(tmp_path / "volumes", 5)
    if change == "few":
        shutil.rmtree(root / "pituitary" / "p0")
    if change == "absent":
        shutil.rmtree(root / "pituitary")
    if change == "strange":
        (root / "notumor").rename(root / "schwannoma")
    if change == "parts":
        shutil.copytree(root, tmp_path / "both" / "val")
        shutil.copytree(root, tmp_path / "both" / "test")
        root = tmp_path / "both"
    uri = f"runs:/{trained_copy.run}/model" if change == "run" else "models:/brain-tumor/1"
    given = [f"model_uri={uri}"] if not any("model_uri" in each for each in arguments) else []
    done = pool(trained_copy, *given, f"data.root={root}", *arguments)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr


def test_volumes_that_cannot_be_read_are_named_before_anything_is_logged(trained_copy: Trained, tmp_path: Path) -> None:
    """The others are gray, and the model, which has learned from colours, takes them for no brain."""
    root = write(tmp_path / "volumes", 5)
    broken = root / "glioma" / "g0" / "a.nii.gz"
    broken.write_bytes(broken.read_bytes()[:500])
    done = pool(trained_copy, "model_uri=models:/brain-tumor/1", f"data.root={root}")
    assert done.returncode == 2
    assert "error: some volumes cannot be read: 1 volume (glioma/g0/a.nii.gz (" in done.stderr
    assert "leave them out with data.on_corrupt=skip" in done.stderr
    done = pool(trained_copy, "model_uri=models:/brain-tumor/1", f"data.root={root}", "data.on_corrupt=skip")
    assert done.returncode == 2
    assert "no slice of theirs passes as brain MRI: 19 volumes (glioma/g1/a.nii.gz, glioma/g2/a.nii.gz, " in words(
        done.stderr
    )
    assert "pituitary 0, 20 of 20 volumes being left out): add volumes of these" in words(done.stderr)
    versions = client(trained_copy.work).search_model_versions("name='brain-tumor'")
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (True, "models:/m/1 takes whole volumes and answers for them as it is: give a model of slices"),
        (False, "models:/m/1 has no decision, so it cannot tell which slices are brain MRI"),
    ],
)
def test_a_model_that_cannot_learn_it_is_refused(monkeypatch: pytest.MonkeyPatch, whole: bool, said: str) -> None:
    found = SimpleNamespace(whole=whole, uri="models:/m/1", run_id="r", name="m", classes=STANDARD)
    monkeypatch.setattr(pool_checks, "model_address", SimpleNamespace(find=lambda uri: found))
    monkeypatch.setattr(pool_checks, "logged_uncertainty", SimpleNamespace(load_uncertainty=lambda run_id: None))
    monkeypatch.setattr(pool_checks, "check_store", lambda tracking: None)
    with pytest.raises(InputError) as refused:
        pool_checks.check_pool(typed(PoolConfig, composed("pool", "model_uri=models:/m/1", "data.root=x")))
    assert str(refused.value).startswith(said)
