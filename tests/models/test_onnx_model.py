"""Models of ONNX as PyTorch and Keras write them, in the form of our exports: the same answers; what is hostile is not
opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.special import expit, softmax

from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import observe, observing, predict
from brain_tumor.evaluation.uncertainty.calibration import Scaling, fold_in
from brain_tumor.models.adopted_file import check_file
from brain_tumor.models.onnx_file import read_onnx
from brain_tumor.models.onnx_model import OnnxModel, wrap_onnx

RNG = np.random.default_rng(0)
IMAGES = (RNG.integers(0, 256, (5, 16, 16, 3)) * RNG.uniform(0.2, 1, (5, 1, 1, 3))).astype(np.uint8)
KERNEL, BIAS = (RNG.normal(size=shape).astype(np.float32) for shape in ((4, 3), (4,)))


def network(
    outputs: int = 4, end: str = "", *, batch: int | str = "N", first: bool = True, side: int | str = 16
) -> onnx.ModelProto:
    """The mean of each channel, and a linear layer: of rows of channels as in PyTorch, or of pixels as in Keras."""
    axes = [2, 3] if first else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["mean", "kernel", "bias"], ["scores"], transB=1),
        *([helper.make_node(end, ["scores"], ["answer"])] if end else []),
    ]
    shape = [batch, 3, side, side] if first else [batch, side, side, 3]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    put = helper.make_tensor_value_info("answer" if end else "scores", TensorProto.FLOAT, [batch, outputs])
    weights = [numpy_helper.from_array(KERNEL[:outputs], "kernel"), numpy_helper.from_array(BIAS[:outputs], "bias")]
    graph = helper.make_graph(nodes, "main_graph", [given], [put], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def scores(prepared: np.ndarray, outputs: int = 4) -> np.ndarray:
    """What `network` puts out before its end, worked out here."""
    return prepared.mean(axis=(1, 2)) @ KERNEL[:outputs].T + BIAS[:outputs]


def opened(model: onnx.ModelProto, folder: Path) -> Any:
    """The model in a file, looked through and read back."""
    onnx.save(model, folder / "theirs.onnx")
    return read_onnx(check_file(str(folder / "theirs.onnx")))


@pytest.mark.parametrize("batch", ["N", 1, 2])  # PyTorch writes the batch that it was shown, unless it is told not to
@pytest.mark.parametrize(
    ("made", "classes", "of_scores"),
    [
        ({"end": "Softmax"}, 4, lambda z: softmax(z, axis=1)),
        ({"end": "", "first": False}, 4, lambda z: softmax(z, axis=1)),
        ({"end": "Sigmoid"}, 4, lambda z: expit(z) / expit(z).sum(axis=1, keepdims=True)),
        ({"outputs": 1, "end": "Sigmoid"}, 2, lambda z: np.hstack([1 - expit(z), expit(z)])),
    ],
)
def test_it_answers_as_the_file_does(
    tmp_path: Path, batch: Any, made: dict[str, Any], classes: int, of_scores: Callable[..., Any]
) -> None:
    model = wrap_onnx(opened(network(batch=batch, **made), tmp_path), classes, "rescale", "rgb", None)
    model.save(tmp_path / "ours.onnx")
    again = OnnxModel((tmp_path / "ours.onnx").read_bytes())
    expected = of_scores(scores(IMAGES / 255, made.get("outputs", 4)))
    np.testing.assert_allclose(predict(again, IMAGES, np.arange(5)), expected, atol=1e-6)
    found = observe(observing(again), IMAGES, np.arange(5))
    np.testing.assert_allclose(softmax(found.logits, axis=1), expected, atol=1e-6)
    np.testing.assert_allclose(found.features, (IMAGES / 255).mean(axis=(1, 2)), atol=1e-6)
    assert (again.input_shape, again.output_shape) == ((None, 16, 16, 3), (None, classes))


def test_pixels_are_scaled_as_it_was_trained(tmp_path: Path) -> None:
    model = wrap_onnx(opened(network(side="H"), tmp_path), 4, "torch", "bgr", 16)  # of any side
    turned = (IMAGES[..., ::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), softmax(scores(turned), axis=1), atol=1e-5)


def test_calibration_is_folded_in(tmp_path: Path) -> None:
    model = wrap_onnx(opened(network(), tmp_path), 4, "rescale", "rgb", None)
    shift = np.array([0.5, -0.5, 1.0, -1.0])
    fold_in(observing(model), Scaling("vector", np.full(4, 2.0), shift, ""))
    expected = softmax(2 * scores(IMAGES / 255) + shift, axis=1)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), expected, atol=1e-6)


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    """As torch.onnx.export leaves them."""
    onnx.save(network(), tmp_path / "a.onnx", save_as_external_data=True, location="a.onnx.data", size_threshold=0)
    model = wrap_onnx(read_onnx(check_file(str(tmp_path / "a.onnx"))), 4, "rescale", "rgb", None)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), softmax(scores(IMAGES / 255), axis=1), atol=1e-6)
    (tmp_path / "a.onnx.data").write_bytes(b"")
    with pytest.raises(InputError, match=r"its weights in a\.onnx\.data do not fit it"):
        check_file(str(tmp_path / "a.onnx"))
    (tmp_path / "a.onnx.data").unlink()
    with pytest.raises(InputError, match=r"its weights in a\.onnx\.data, which is not beside it"):
        check_file(str(tmp_path / "a.onnx"))


def hostile(kind: str) -> onnx.ModelProto:
    model = network()
    if kind == "operator":
        model.graph.node[0].domain, model.graph.node[0].op_type = "lab", "Attention"
        model.opset_import.append(helper.make_opsetid("lab", 1))
    elif kind == "loop":  # within the branch of an If
        body = helper.make_graph([helper.make_node("Loop", ["n", ""], ["x"])], "branch", [], [])
        model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body))
    else:
        held = model.graph.initializer[0]
        held.data_location = TensorProto.EXTERNAL
        held.external_data.add(key="location", value="/etc/passwd" if kind == "absolute" else "../passwd")
    return model


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("operator", "operator Attention of lab is none of ONNX' own"),
        ("loop", "it holds a Loop, which may never end"),
        ("absolute", "weights in '/etc/passwd', which is no file beside it"),
        ("above", r"weights in '\.\./passwd', which is no file beside it"),
    ],
)
def test_what_is_hostile_is_not_opened(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "bad.onnx").write_bytes(hostile(kind).SerializeToString())
    with pytest.raises(InputError, match=said) as refused:
        check_file(str(tmp_path / "bad.onnx"))
    assert "\n" not in str(refused.value)


def test_what_is_no_whole_file_is_one_line(tmp_path: Path) -> None:
    whole = network().SerializeToString()
    for content in (b"", b"not a model", whole[: len(whole) // 2], whole[:-1]):
        (tmp_path / "cut.onnx").write_bytes(content)
        with pytest.raises(InputError, match="is no ONNX model, or is cut short") as refused:
            check_file(str(tmp_path / "cut.onnx"))
        assert "\n" not in str(refused.value)


def unfit(kind: str) -> onnx.ModelProto:
    model = network()
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if kind == "wide":
        dims[3].dim_value = 20
    elif kind == "huge":
        dims[2].dim_value = dims[3].dim_value = 10**6
    elif kind == "two":
        model.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, None))
    elif kind == "broken":
        model.graph.node[1].op_type = "Nothing"
    return model


@pytest.mark.parametrize(
    ("kind", "classes", "said"),
    [
        ("wide", 4, "not a square one"),
        ("huge", 4, "1000000 pixels a side: 8 to 2048 are read"),
        ("two", 4, "1 inputs and 2 outputs"),
        ("broken", 4, r"ONNX Runtime \S+ cannot run the model: .*Nothing"),
        ("", 3, "puts out 4 values an image, and classes names 3"),
    ],
)
def test_what_does_not_fit_is_said(kind: str, classes: int, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        wrap_onnx(unfit(kind), classes, "rescale", "rgb", None)
    assert "\n" not in str(refused.value)
