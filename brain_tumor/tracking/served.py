"""A saved model that answers for files: `mlflow models serve` and `mlflow.pyfunc.load_model`.

It has two flavours. `keras` is the classifier alone, as `mlflow.keras` saves it; `pyfunc` is what serves, from code and
without a pickle: it opens the files, fits them, and says what is sure of them, with `serving.predictor`. Both read
the same `.keras` file. The fitted uncertainty lies beside it, so that no tracking store is needed.
"""

import json
import logging
import sys
import tempfile
import threading
import traceback
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import ColSpec, Schema

from brain_tumor.data.classes import read_classes
from brain_tumor.errors import InputError
from brain_tumor.evaluation.uncertainty.files import read_uncertainty, write_uncertainty
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.lazy import lazy
from brain_tumor.models.backend import default_threads, start_tensorflow
from brain_tumor.models.onnx_model import OnnxModel
from brain_tumor.serving.batching import batched
from brain_tumor.serving.predictor import for_plane, keras_predictor, predict_scan
from brain_tumor.serving.reply import reply, reply_of_whole
from brain_tumor.serving.requests import SentScan, fitted, fitted_volume, sent_files, sent_scans

keras = lazy("keras")

# A column of MLflow's type "binary" is no better: text that is no base64 is taken as far as it goes or passed on as it
# is (mlflow/utils/proto_json_utils.py, cast_df_types_according_to_schema; mlflow/models/utils.py,
# _enforce_mlflow_datatype). So it is text here, and decoded by us.
SIGNATURE = ModelSignature(Schema([ColSpec("string", "content"), ColSpec("string", "plane", required=False)]))
CODE = Path(__file__).with_name("served_code.py")
CLASSIFIER, UNCERTAINTY = "classifier", "decision"  # the artifacts, as the first release named them
KERAS_FILE = "model.keras"  # named by mlflow.keras, whose flavour names its folder alone
ONNX_FILE = "model.onnx"  # in its place, of an adopted model of that kind, which has no flavour of Keras


def save_model(
    path: str, mlflow_model: Model, model: Any, uncertainty: Uncertainty | None, pip_requirements: list[str]
) -> None:
    """Save a classifier, and its uncertainty if it has one, in `path`; called by `mlflow.models.Model.log`."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text) / CLASSIFIER
        folder.mkdir()
        model.save(folder / (ONNX_FILE if isinstance(model, OnnxModel) else KERAS_FILE))
        artifacts = {CLASSIFIER: str(folder)}
        if uncertainty is not None:
            (Path(text) / UNCERTAINTY).mkdir()
            write_uncertainty(uncertainty, Path(text) / UNCERTAINTY)
            artifacts[UNCERTAINTY] = str(Path(text) / UNCERTAINTY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on the input example, which is not given
            mlflow.pyfunc.save_model(
                path,
                python_model=str(CODE),
                artifacts=artifacts,
                signature=SIGNATURE,
                pip_requirements=pip_requirements,
                mlflow_model=mlflow_model,
            )
    if isinstance(model, OnnxModel):
        return
    flavour = {"keras_version": keras.__version__, "keras_backend": keras.backend.backend()}
    mlflow_model.add_flavor("keras", data=f"artifacts/{CLASSIFIER}", save_exported_model=False, **flavour)
    mlflow_model.save(str(Path(path) / "MLmodel"))


def load_onnx(folder: Path) -> OnnxModel:
    """The classifier of a saved model that has no flavour of Keras."""
    return OnnxModel((folder / "artifacts" / CLASSIFIER / ONNX_FILE).read_bytes())


class Refused(MlflowException):  # type: ignore[misc]  # MLflow is not typed
    """What a client reads: one line of ours, without the request's data, which MLflow's server puts before it."""

    def __init__(self, line: str, error_code: int = INVALID_PARAMETER_VALUE) -> None:
        super().__init__(line, error_code)
        self.line = line

    def serialize_as_json(self) -> str:
        """The body of the server's response."""
        return json.dumps({"error_code": self.error_code, "message": self.line})


class ServedModel(PythonModel):  # type: ignore[misc]
    """Answers for files; any number of threads may ask at once. Nothing of a request is logged."""

    def load_context(self, context: Any) -> None:
        """Load classifier and uncertainty, and answer once, so that no client waits for TensorFlow's tracing."""
        start_tensorflow()
        # MLflow would log the names of columns and parameters that it does not know, as a client chose them.
        logging.getLogger("mlflow.models.utils").setLevel(logging.ERROR)

        folder = Path(context.artifacts[CLASSIFIER])
        if (folder / ONNX_FILE).is_file():
            model: Any = load_onnx(folder.parents[1])
        else:
            model = keras.saving.load_model(folder / KERAS_FILE, compile=False, safe_mode=True)
        uncertainty = (
            read_uncertainty(Path(context.artifacts[UNCERTAINTY])) if UNCERTAINTY in context.artifacts else None
        )
        uri, self.run_id = _origin(folder.parents[1])
        facts = Model.load(str(folder.parents[1])).metadata or {}
        classes = read_classes(facts)
        self.shape = tuple(model.input_shape[1:])  # (S, S, 3), or of whole volumes (D, H, W, 1)
        self.spacing = facts.get("spacing")  # see `DataConfig.fitting`
        if len(self.shape) == 4 and "spacing" not in facts:
            raise InputError("the model was registered before models of whole volumes were served: train it anew")
        alone = keras_predictor(model, uri, classes, uncertainty)
        self.until_exit = ExitStack()
        together = self.until_exit.enter_context(batched(alone.run))
        self.predictor = replace(alone, run=together)
        # A small file may decode to gigabytes: no more of them at once than there are cores to do it.
        self.decoding = threading.Semaphore(default_threads())
        predict_scan(self.predictor, np.zeros((1, *self.shape), np.uint8))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:
        """What is said of each scan, as `serving.reply` has it, with `files` (of the request, from 1), `model`, `run`.

        Raises Refused for what is no file, and, with nothing but the places in the code on stderr, for what fails.
        """
        try:
            return self._answers(model_input)
        except InputError as error:
            raise Refused(str(error)) from None
        except Exception as error:
            places = "".join(traceback.format_tb(error.__traceback__))  # its text may hold what the file holds
            print(f"a request failed: {type(error).__name__}\n{places}", file=sys.stderr)
            raise Refused("the model failed on this request: see the server's own output", INTERNAL_ERROR) from None

    def _answers(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        answers = []
        with self.decoding:
            scans = sent_scans(sent_files(rows.to_dict("records")))
        for sent in scans:
            answer = self._of_volume(sent) if len(self.shape) == 4 else self._of_slices(sent)
            answers.append(answer | {"files": list(sent.files), "model": self.predictor.uri, "run": self.run_id})
        return answers

    def _of_slices(self, sent: SentScan) -> dict[str, Any]:
        with self.decoding:
            scan, pixels, extents = fitted(sent, self.predictor.size)
        return reply(scan, predict_scan(for_plane(self.predictor, sent.plane), pixels, extents))

    def _of_volume(self, sent: SentScan) -> dict[str, Any]:
        with self.decoding:
            file = fitted_volume(sent, self.shape, self.spacing)
        assert file.pixels is not None
        return reply_of_whole(file, predict_scan(self.predictor, file.pixels))


def _origin(folder: Path) -> tuple[str, str | None]:
    """Address and run of a saved model; MLflow says what it is registered as only when it was loaded as that."""
    about = Model.load(str(folder))
    uri = f"models:/{about.model_id}"
    registered = folder / "registered_model_meta"
    if registered.is_file():
        facts = yaml.safe_load(registered.read_text(encoding="utf-8"))
        if facts.get("model_name"):
            uri = f"models:/{facts['model_name']}/{facts['model_version']}"
    return uri, about.run_id
