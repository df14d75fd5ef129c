"""`export` and `evaluate runtime=` as a user types them."""

import json
import subprocess

import onnxruntime
import pandas as pd
import pytest
from stores import Trained
from toy import call, run_id, scores_of, words

from brain_tumor.data.decode import decode

pytestmark = pytest.mark.slow
NAMES = {"model.json", "model.onnx", "model.tflite", "model_int8.tflite"}


def command(trained: Trained, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return call(trained.place, name, "model_uri=models:/brain-tumor@champion", *arguments)


def test_a_model_is_exported_and_answers_without_keras(trained_copy: Trained) -> None:
    out = trained_copy.place / "exports, (1) = é"
    done = command(trained_copy, "export", f"out={out}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in out.iterdir()} == NAMES
    about = json.loads((out / "model.json").read_text(encoding="utf-8"))
    for name, facts in about["exports"].items():
        assert facts["bytes"] == (out / facts["file"]).stat().st_size
        assert facts["difference"] <= (1e-5 if name != "tflite_int8" else 0.2)
    accuracies = about["exports"]["tflite_int8"]["val_accuracy"]
    said = f"right in {accuracies['tflite_int8']:.1%} of the val images, Keras in {accuracies['keras']:.1%}"
    assert said in words(done.stdout)

    table = pd.read_csv(trained_copy.artifacts / "tables" / "test_predictions.csv")
    session = onnxruntime.InferenceSession(out / "model.onnx")
    for row in table.iloc[::7].to_dict("records"):
        image = decode((trained_copy.images / row["path"]).read_bytes(), 32).pixels
        [found] = session.run(["probabilities"], {"image": image[None]})
        predicted = [row[f"probability_{each}"] for each in about["classes"]]
        assert found[0].tolist() == pytest.approx(predicted, abs=1e-5)


@pytest.mark.parametrize("runtime", ["onnx", "auto"])
def test_evaluate_measures_the_same_in_every_runtime(trained_copy: Trained, runtime: str) -> None:
    kept = scores_of(trained_copy.work, trained_copy.run)
    done = command(trained_copy, "evaluate", f"runtime={runtime}", "bootstrap=100")
    assert done.returncode == 0, done.stderr
    assert f"runtime {'keras' if runtime == 'auto' else runtime} (" in words(done.stdout)
    found = scores_of(trained_copy.work, run_id(done.stdout))
    for name in ("accuracy", "log_loss", "ece", "not_brain_mri", "coverage_90"):
        assert found[name] == pytest.approx(kept[name], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out=x", "formats=[torchscript]"], "formats: input should be 'onnx', 'tflite' or 'tflite_int8'"),
        (["out=/proc/exports"], "error: out=/proc/exports cannot be written: "),
        (["out=x", "data.masks=y"], "error: data.masks=y is not read by an export: leave it out"),
        (["formats=[onnx]"], "Missing mandatory value: out"),
    ],
)
def test_a_mistake_is_one_line(trained_copy: Trained, arguments: list[str], message: str) -> None:
    done = command(trained_copy, "export", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
