"""A saved model answers for files in a fresh process as it did here, and refuses what is none."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import draw, environment

from brain_tumor import NOTICE
from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.evaluation.uncertainty.calibration import Scaling
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.evaluation.uncertainty.out_of_distribution import Gaussians
from brain_tumor.models.classifier import build_classifier
from brain_tumor.serving.predictor import keras_predictor, predict_scan
from brain_tumor.serving.reply import reply
from brain_tumor.tracking import registry, runs, served
from brain_tumor.tracking.store import open_store

FRESH = """
import json, sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
content = pd.DataFrame({"content": json.load(sys.stdin)})
print('>' + json.dumps([mlflow.pyfunc.load_model(uri).predict(content) for uri in sys.argv[2:]]))
"""


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw(seed % 4, np.random.default_rng(seed))).save(file, "PNG")
    return file.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


PICTURES = [picture(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    """A small network whose answers differ from picture to picture."""
    model = build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0.2, seed=0)
    head = model.get_layer("logits")
    images = np.concatenate([open_scan(each).pixels(32) for each in PICTURES])
    features = keras.Model(model.inputs, model.get_layer("avg_pool").output).predict(images, verbose=0)
    kernel = np.random.default_rng(0).normal(size=head.kernel.shape)
    kernel *= 2 / (features @ kernel).std(axis=0)
    head.set_weights([kernel, -(features.mean(axis=0) @ kernel)])
    return model


@pytest.fixture(scope="module")
def uncertainty(classifier: keras.Model) -> Uncertainty:
    wide = classifier.get_layer("avg_pool").output.shape[-1]
    return Uncertainty(
        classes=STANDARD.names,
        scaling=Scaling("none", np.ones(4), np.zeros(4), "as it is"),
        sets=Sets((0.9,), np.full((1, 4), 0.7), (100,) * 4, (100,) * 4),
        accuracy=0.98,
        confidence=0.8,
        gaussians=Gaussians(np.zeros((4, wide)), np.eye(wide)),
        distance=1e9,
    )


@pytest.fixture(scope="module")
def logged(
    classifier: keras.Model, uncertainty: Uncertainty, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """Address of a store, and the run in it that logged version 1 with a decision, and version 2 without."""
    place = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{place}/mlflow.db"
    store = open_store(TrackingConfig(uri, "e", "m", "c", False))
    with runs.started(store, system_metrics=False) as run_id:
        assert registry.log_model(classifier, STANDARD, uncertainty, register="m", tags={}) == ("models:/m/1", "1")
        alone, version = registry.log_model(classifier, STANDARD, register=None, tags={})
        assert version is None
        assert registry.register_model(alone, "m", {}) == "2"  # as the best model of a sweep
    return uri, run_id


def folder_of(logged: tuple[str, str], version: int, into: Path) -> Path:
    return Path(mlflow.artifacts.download_artifacts(f"models:/m/{version}", dst_path=str(into), tracking_uri=logged[0]))


def expected(classifier: keras.Model, uri: str, uncertainty: Uncertainty | None) -> list[dict[str, Any]]:
    """What this process says of PICTURES, as a client would read it."""
    predictor = keras_predictor(classifier, uri, STANDARD, uncertainty)
    scans = [open_scan(each) for each in PICTURES]
    return json.loads(json.dumps([reply(each, predict_scan(predictor, each.pixels(32))) for each in scans]))


def fresh(code: str, *arguments: str, stdin: str = "", path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    env = environment(path or Path("/nowhere")) | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, timeout=300)


def test_both_flavours_read_one_file_and_the_decision_lies_beside_it(logged: tuple[str, str], tmp_path: Path) -> None:
    for version, names in ((1, {"classifier", "decision"}), (2, {"classifier"})):
        place = tmp_path / str(version)
        place.mkdir()
        folder = folder_of(logged, version, place)
        assert {path.name for path in (folder / "artifacts").iterdir()} == names
        assert [path.name for path in folder.rglob("*.keras")] == ["model.keras"]
        assert not list(folder.rglob("*.pkl"))
        assert not list(folder.rglob("predictor.py"))  # the package is not copied
        assert mlflow.models.Model.load(str(folder)).flavors.keys() == {"keras", "python_function"}
        assert "tensorflow==" in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("version", [1, 2])
def test_the_keras_flavour_is_the_classifier(logged: tuple[str, str], classifier: keras.Model, version: int) -> None:
    mlflow.set_tracking_uri(logged[0])
    found = mlflow.keras.load_model(f"models:/m/{version}", load_model_kwargs={"compile": False})
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(found.predict_on_batch(images), classifier.predict_on_batch(images))


@pytest.fixture(scope="module")
def answers(logged: tuple[str, str]) -> list[list[dict[str, Any]]]:
    """What a fresh process says of PICTURES by both versions."""
    done = fresh(FRESH, logged[0], "models:/m/1", "models:/m/2", stdin=json.dumps([text(each) for each in PICTURES]))
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout.rsplit(">", 1)[1])
    return found


@pytest.mark.parametrize("version", [1, 2])
def test_a_fresh_process_answers_the_same_without_pickle(
    answers: list[list[dict[str, Any]]],
    logged: tuple[str, str],
    classifier: keras.Model,
    uncertainty: Uncertainty,
    version: int,
) -> None:
    uri, found = f"models:/m/{version}", answers[version - 1]
    assert len({each["class"] for each in found}) > 1
    wanted = expected(classifier, uri, uncertainty if version == 1 else None)
    for number, (one, other) in enumerate(zip(found, wanted, strict=True), start=1):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-5)
        [mine], [its] = one.pop("slices"), other.pop("slices")
        assert mine.pop("probabilities") == pytest.approx(its.pop("probabilities"), abs=1e-5)
        assert mine == its
        assert one == other | {"files": [number], "model": uri, "run": logged[1], "notice": NOTICE}
        assert (one["not_sure"] is None) == (version == 2)


def test_without_the_package_it_says_what_to_install(logged: tuple[str, str], tmp_path: Path) -> None:
    folder = folder_of(logged, 1, tmp_path)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['brain_tumor'] = None\n")
    done = fresh(f"import mlflow; mlflow.pyfunc.load_model({str(folder)!r})", path=hidden)
    assert done.returncode == 1
    assert "This model is answered by the package brain-tumor with all that it needs: install it" in done.stderr


@pytest.fixture(scope="module")
def loaded(logged: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model with a decision, from a folder: it belongs to no store any more."""
    folder = folder_of(logged, 1, tmp_path_factory.mktemp("model"))
    moved = tmp_path_factory.mktemp("moved, (1) = é") / "model"
    shutil.move(folder, moved)
    (moved / "registered_model_meta").unlink(missing_ok=True)
    return mlflow.pyfunc.load_model(str(moved))


def test_a_model_that_was_moved_says_which_one_it_is(loaded: Any, logged: tuple[str, str]) -> None:
    [found] = loaded.predict(pd.DataFrame({"content": [text(PICTURES[0])]}))
    assert found["model"] == f"models:/{loaded.metadata.model_id}"
    assert found["run"] == logged[1]


def test_the_files_of_a_series_and_a_zip_of_them_are_one_volume(loaded: Any) -> None:
    dicom = pytest.importorskip("dicom_files").dicom
    lies = {"SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    files = [
        dicom(draw(place, np.random.default_rng(place))[..., 0], ImagePositionPatient=[0, 0, -5.0 * place], **lies)
        for place in range(4)
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for place, content in enumerate(files):
            archive.writestr(f"DOE/{place}.dcm", content)
    sent = [*map(text, files[:2]), text(PICTURES[0]), *map(text, files[2:]), text(packed.getvalue())]
    volume, picture, zipped = json.loads(json.dumps(loaded.predict(pd.DataFrame({"content": sent}))))
    assert [each["files"] for each in (volume, picture, zipped)] == [[1, 2, 4, 5], [3], [6]]
    assert [each["class"] is None for each in (volume, picture, zipped)] == [True, False, True]
    assert [each["file"] for each in volume["slices"]] == [f"file {place} of 6" for place in (5, 4, 2, 1)]
    assert [each["position_mm"] for each in zipped["slices"]] == [-15, -10, -5, 0]
    labels = [each["class"] for each in volume["slices"] if not each["not_brain_mri"]]
    assert volume["volume"]["shares"] == {name: labels.count(name) / len(labels) for name in STANDARD.names}
    assert volume["volume"] == zipped["volume"]
    for one, other in zip(volume["slices"], zipped["slices"], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_a_refusal_is_our_line_whatever_is_put_before_it(loaded: Any) -> None:
    with pytest.raises(served.Refused) as caught:
        loaded.predict(pd.DataFrame({"content": [os.fspath(Path(__file__))]}))
    assert caught.value.get_http_status_code() == 400
    caught.value.message = "Failed to predict data '…'"  # as MLflow's server does
    body = json.loads(caught.value.serialize_as_json())
    assert body["message"].startswith("file 1 of 1: content is not base64")
    assert body.keys() == {"error_code", "message"}


def test_a_failure_says_where_and_nothing_of_the_request(
    loaded: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(sent: Any, *_: Any) -> None:
        raise RuntimeError(repr(sent.contents))

    monkeypatch.setattr(served, "fitted", fail)
    with pytest.raises(served.Refused) as caught:
        loaded.predict(pd.DataFrame({"content": [text(PICTURES[0])]}))
    assert caught.value.get_http_status_code() == 500
    assert "PNG" not in caught.value.serialize_as_json()
    told = capsys.readouterr().err
    assert "a request failed: RuntimeError" in told
    assert "in _answers" in told
    assert "PNG" not in told
