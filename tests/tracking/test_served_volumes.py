"""A saved model of whole volumes answers for each volume of a request as the network does of the fitted one."""

import base64
from pathlib import Path

import mlflow
import nibabel
import numpy as np
import pandas as pd
import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.volumes.decoding import volumes
from brain_tumor.models.classifier import build_classifier
from brain_tumor.tracking import registry, runs
from brain_tumor.tracking.served import Refused
from brain_tumor.tracking.store import open_store

SHAPE, SPACING = (6, 16, 16, 1), (4.0, 3.0, 3.0)


def head(seed: int) -> bytes:
    values = np.zeros((20, 24, 12), np.int16)
    values[4:16, 4:20, 2:10] = 100 + np.random.default_rng(seed).integers(0, 60, (12, 16, 8))
    content: bytes = nibabel.Nifti1Image(values, np.diag([-2.0, -2.0, 4.0, 1.0])).to_bytes()
    return content


def asked(*contents: bytes) -> pd.DataFrame:
    return pd.DataFrame({"content": [base64.b64encode(each).decode() for each in contents]})


def test_each_volume_of_a_request_has_one_answer(tmp_path: Path) -> None:
    model = build_classifier("cnn3d_baseline", shape=SHAPE, weights=None, dropout=0.2, seed=0)
    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", "m", "c", False))
    with runs.started(store, system_metrics=False):
        fitting = {"spacing": list(SPACING)}
        registry.log_model(model, STANDARD, register="volumes", tags={}, fitting=fitting)
        registry.log_model(model, STANDARD, register="before", tags={})
    served = mlflow.pyfunc.load_model("models:/volumes/1")
    found = served.predict(asked(head(0), head(1)))
    for index, answer in enumerate(found):
        (tmp_path / "head.nii").write_bytes(head(index))
        fitted = volumes(SHAPE, SPACING).read(tmp_path / "head.nii")[1]
        expected = model.predict_on_batch(fitted[None, ..., None])[0]
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=1e-6)
        assert answer["class"] == STANDARD.names[int(expected.argmax())]
        assert (answer["files"], answer["kind"]) == ([index + 1], "nifti")
        assert (answer["slices"], answer["volume"]) == ([], None)
    with pytest.raises(Refused, match=r"^INVALID_PARAMETER_VALUE: file 2 of 2: no whole volume|^file 2 of 2: no whole"):
        served.predict(asked(head(0), b"no volume"))
    with pytest.raises(Exception, match="registered before models of whole volumes were served: train it anew"):
        mlflow.pyfunc.load_model("models:/before/1")
