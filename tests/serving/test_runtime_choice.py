"""Which runtime answers, and that what is missing or disagrees is said."""

import importlib.util
import re
from typing import Any

import keras
import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import answering
from brain_tumor.models.classifier import build_classifier
from brain_tumor.serving import runtime_choice
from brain_tumor.serving.runtimes import FORMATS

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0.0, seed=0)


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else find(name))


@pytest.mark.parametrize("kind", ["keras", "onnx", "tflite"])
def test_the_one_that_is_asked_for_answers(kind: Any, model: keras.Model) -> None:
    run, said = runtime_choice.choose(kind, model, IMAGES, total=1)
    assert said.startswith(kind)
    assert ("the same class on 100.0%" in said) == (kind != "keras")
    answers = run(IMAGES) if kind != "keras" else answering(run)(IMAGES)
    np.testing.assert_allclose(answers.probabilities, model.predict(IMAGES, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "package"), [("onnx", "tf2onnx"), ("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")]
)
def test_a_missing_package_is_named_with_what_installs_it(
    kind: Any, package: str, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, package)
    with pytest.raises(InputError, match=rf"^{kind} needs {package}, not installed here: \S+ -m pip .+\[export\]'$"):
        runtime_choice.choose(kind, model, IMAGES, total=1)


def test_auto_stays_with_keras_where_nothing_else_is_installed_or_would_pay(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = runtime_choice.choose("auto", model, IMAGES, total=6)
    assert hasattr(run, "predict_on_batch")
    assert "keras (6 images take it about 0 s, too few for an export to pay)" in said
    hide(monkeypatch, "onnxruntime", "ai_edge_litert")
    _, said = runtime_choice.choose("auto", model, IMAGES, total=10**9)
    assert re.fullmatch(r"keras \(others to choose from: \S+ -m pip install '.+\[export\]'\)", said)


@pytest.mark.parametrize("best", ["keras", "onnx", "tflite"])
def test_auto_takes_the_fastest(best: str, model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        runtime_choice, "seconds", lambda runs, _images: {each: 1.0 if each == best else 2.0 for each in runs}
    )
    monkeypatch.setattr(runtime_choice, "exported", lambda name, *_: (name, ""))
    run, said = runtime_choice.choose("auto", model, IMAGES, total=1000)
    assert run == best or (best == "keras" and hasattr(run, "predict_on_batch"))
    assert said.startswith(f"{best} (milliseconds an image: keras ")
    assert f"{best} 1000.00" in said


def test_time_is_measured_in_turn_and_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    clock = [0.0]
    monkeypatch.setattr(runtime_choice.time, "perf_counter", lambda: clock[0])

    def runtime(name: str, takes: float) -> Any:
        def run(_images: Any) -> None:
            turns.append(name)
            clock[0] += takes

        return run

    taken = runtime_choice.seconds({"slow": runtime("slow", 0.06), "fast": runtime("fast", 0.006)}, IMAGES)
    assert turns[:4] == ["slow", "fast", "slow", "fast"]
    assert taken == pytest.approx({"slow": 0.01, "fast": 0.001})  # of six images


def test_auto_says_which_export_disagrees_and_goes_on_without_it(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = runtime_choice.exported

    def failing(name: str, *rest: Any) -> Any:
        if name == "onnx":
            raise InputError("onnx disagrees with Keras")
        return exported(name, *rest)

    monkeypatch.setattr(runtime_choice, "exported", failing)
    monkeypatch.setattr(runtime_choice, "PAYS", 0.0)
    _, said = runtime_choice.choose("auto", model, IMAGES, total=1)
    assert "keras " in said
    assert "tflite " in said
    assert said.endswith("; onnx disagrees with Keras)")


def test_every_format_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "tf2onnx", "onnxruntime", "ai_edge_litert")
    for name in FORMATS:
        with pytest.raises(InputError, match="not installed here"):
            runtime_choice.require(name)
