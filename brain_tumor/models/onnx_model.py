"""A classifier of ONNX that somebody else has trained, in the form of our own exports, in ONNX Runtime.

Its graph stays as it is, between operators that make of RGB 0..255 what it was trained on, and operators that make
logits of what it puts out; the last of them is a factor and a shift of each class, into which calibration is folded.
"""

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.commands import Channels, Scaling
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.models.adopted_input import MOST_FEATURES, require_gray, scaling_of, square
from brain_tumor.models.backend import default_threads

onnx = lazy("onnx")
onnxruntime = lazy("onnxruntime")

THEIRS = "theirs/"  # before every name of the graph that is wrapped
SCALE, SHIFT = "scale", "shift"
OUTPUTS = ("probabilities", "logits", "features")  # as the fields of evaluation.prediction.Answers
Floats = NDArray[np.float32]


def open_session(content: bytes, threads: int | None = None) -> Any:
    """A file's content in ONNX Runtime on the CPU; `threads` None: as many as TensorFlow would take."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.log_severity_level = 4  # fatal: what else goes wrong is raised, too
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxModel:
    """What is asked of a Keras classifier, but for layers: it has none, and so no maps; any number of threads may ask.

    It is the layer `logits` as well, whose kernel and bias are the factor and the shift of each class.
    """

    layers: ClassVar[tuple[Any, ...]] = ()
    compiled: ClassVar[bool] = True

    def __init__(self, content: bytes) -> None:
        self._open(content)

    def _open(self, content: bytes) -> None:
        self.content = content
        self._session = open_session(content)
        [image] = self._session.get_inputs()
        self._batch = image.shape[0] if isinstance(image.shape[0], int) else None  # None: of any size
        self.input_shape = (None, *image.shape[1:])
        self.output_shape = (None, self._session.get_outputs()[0].shape[-1])

    def answers(self, images: NDArray[np.uint8]) -> list[Floats]:
        """OUTPUTS of RGB 0..255 (B, S, S, 3)."""
        found = run_in_batches(self._session, images, self._batch)
        return [np.concatenate(each) for each in zip(*found, strict=True)]

    def predict_on_batch(self, images: NDArray[np.uint8]) -> Floats:
        """Probabilities (B, C)."""
        return self.answers(images)[0]

    def save(self, path: Path) -> None:
        """Write it as a file of its own."""
        path.write_bytes(self.content)

    def get_layer(self, name: str) -> "OnnxModel":
        """The layer `logits`."""
        return self

    def get_weights(self) -> list[Floats]:
        """Factor and shift (C,) of the logits."""
        held = {each.name: each for each in onnx.load_model_from_string(self.content).graph.initializer}
        return [onnx.numpy_helper.to_array(held[name]) for name in (SCALE, SHIFT)]

    def set_weights(self, weights: list[NDArray[Any]]) -> None:
        """Set the factor and the shift (C,) of the logits."""
        model = onnx.load_model_from_string(self.content)
        given = dict(zip((SCALE, SHIFT), weights, strict=True))
        for held in model.graph.initializer:
            if held.name in given:
                held.CopyFrom(onnx.numpy_helper.from_array(given[held.name].astype(np.float32), held.name))
        self._open(model.SerializeToString())

    @property
    def observed(self) -> "Observed":
        """The same with all of OUTPUTS."""
        return Observed(self)


class Observed(NamedTuple):
    """An OnnxModel that puts out all of OUTPUTS, as `evaluation.prediction.observing` gives a Keras classifier."""

    model: OnnxModel
    compiled: bool = True

    def predict_on_batch(self, images: NDArray[np.uint8]) -> list[Floats]:
        """OUTPUTS of RGB 0..255 (B, S, S, 3)."""
        return self.model.answers(images)

    def get_layer(self, name: str) -> OnnxModel:
        """The layer `logits`."""
        return self.model


def run_in_batches(session: Any, images: NDArray[np.uint8], batch: int | None) -> list[list[Floats]]:
    """All outputs of a session for each batch of images; with a `batch` so many at a time, as a file may ask for."""
    [image] = session.get_inputs()
    size = batch or len(images)
    found = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)]) if batch else part
        found.append([each[: len(part)] for each in session.run(None, {image.name: padded})])
    return found


class _Theirs(NamedTuple):
    """A graph under names of its own, and what is known of its ends."""

    model: Any  # onnx.ModelProto
    image: str  # what it takes
    kind: int  # of what: a member of onnx.TensorProto.DataType
    batch: int | None  # images at a time; None: any number
    side: int
    depth: int  # channels
    first: bool  # whether channels come before rows and columns, as in PyTorch
    scores: str  # what it puts out, before any softmax or sigmoid
    features: str  # what its last linear layer takes; the scores where that is not plain
    end: str  # Softmax, Sigmoid or ""


def wrap_onnx(model: Any, classes: int, scaling: Scaling, channels: Channels, size: int | None) -> OnnxModel:
    """A classifier that answers as `model` does; `size` is the side of its images where the file has any.

    Raises InputError: its input is no square image, it puts out no scores of so many classes, `channels` do not fit, or
    ONNX Runtime cannot run it.
    """
    theirs = _look(onnx.compose.add_prefix(model, THEIRS), size)
    require_gray(theirs.depth, channels)
    try:
        begun = _begin(theirs, scaling, channels)
        scores, features = _shapes(begun, theirs)
        if len(features) != 2 or features[1] > MOST_FEATURES:
            theirs = theirs._replace(features=theirs.scores)
            begun = _begin(theirs, scaling, channels)
        if len(scores) != 2 or scores[1] not in {classes, *((1,) if classes == 2 else ())}:
            values = " x ".join(map(str, scores[1:]))
            raise InputError(
                f"the model puts out {values} values an image, and classes names {classes}: name all, in its order"
            )
        whole = _end(begun, theirs, scores[1], classes)
        return OnnxModel(whole.SerializeToString())
    except InputError:
        raise
    except Exception as error:  # ONNX Runtime's and protobuf's
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"ONNX Runtime {onnxruntime.__version__} cannot run the model: {reason}") from error


def _look(model: Any, size: int | None) -> _Theirs:
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        counts = f"{len(inputs)} inputs and {len(graph.output)} outputs"
        raise InputError(f"the model has {counts}: one of each is read")
    kind = inputs[0].type.tensor_type.elem_type
    batch, *rest = (each.dim_value or None for each in inputs[0].type.tensor_type.shape.dim or [None])
    first = len(rest) == 3 and rest[0] in (1, 3)
    side, depth = square([*rest[1:], rest[0]] if first else rest, size)
    made_by = {name: node for node in graph.node for name in node.output}
    node = made_by.get(graph.output[0].name)
    while node is not None and node.op_type in ("Identity", "Cast"):
        node = made_by.get(node.input[0])
    end = node.op_type if node is not None and node.op_type in ("Softmax", "Sigmoid") else ""
    scores = node.input[0] if node is not None and end else graph.output[0].name
    features = _features(made_by, scores)
    return _Theirs(model, inputs[0].name, kind, batch, side, depth, first, scores, features, end)


def _features(made_by: dict[str, Any], scores: str) -> str:
    """What the linear layer takes that gives the scores."""
    node = made_by.get(scores)
    if node is not None and node.op_type == "Add":
        node = next((made_by[name] for name in node.input if name in made_by), node)
    return str(node.input[0]) if node is not None and node.op_type in ("Gemm", "MatMul") else scores


def _begin(theirs: _Theirs, scaling: Scaling, channels: Channels) -> Any:
    """The model with operators before it that take `image`, and with scores and features as its outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(theirs.model)
    graph, make, float32 = model.graph, onnx.helper.make_node, onnx.TensorProto.FLOAT
    kernel, bias = scaling_of(scaling, channels, theirs.depth)
    _hold(graph, kernel=kernel, bias=bias)
    nodes = [
        make("Cast", ["image"], ["image_float"], to=float32),
        make("MatMul", ["image_float", "kernel"], ["image_turned"]),
        make("Add", ["image_turned", "bias"], ["image_scaled"]),
        make("Transpose", ["image_scaled"], ["image_placed"], perm=[0, 3, 1, 2] if theirs.first else [0, 1, 2, 3]),
        make("Cast", ["image_placed"], [theirs.image], to=theirs.kind),
        *graph.node,
        make("Cast", [theirs.scores], ["scores"], to=float32),
        make("Cast", [theirs.features], ["features"], to=float32),
    ]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    shape = [theirs.batch or "N", theirs.side, theirs.side, 3]
    graph.input.append(onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, shape))
    for name in ("scores", "features"):
        graph.output.append(onnx.helper.make_tensor_value_info(name, float32, None))
    return model


def _shapes(begun: Any, theirs: _Theirs) -> list[tuple[int, ...]]:
    """Of the scores and the features of one batch of black images."""
    black = np.zeros((theirs.batch or 1, theirs.side, theirs.side, 3), np.uint8)
    return [each.shape for each in open_session(begun.SerializeToString()).run(None, {"image": black})]


def _end(model: Any, theirs: _Theirs, outputs: int, classes: int) -> Any:
    """The model with operators behind it that give OUTPUTS."""
    graph, make = model.graph, onnx.helper.make_node
    _hold(graph, **{SCALE: np.ones(classes), SHIFT: np.zeros(classes), "halves": np.array([[-0.5, 0.5]])})
    nodes = [make("Identity", ["scores"], ["raw"])]
    if outputs == 1:  # the logit of one class of two
        nodes = [make("MatMul", ["scores", "halves"], ["raw"])]
    elif theirs.end == "Sigmoid":  # of each class: its logarithm
        nodes = [
            make("Neg", ["scores"], ["less"]),
            make("Softplus", ["less"], ["soft"]),
            make("Neg", ["soft"], ["raw"]),
        ]
    nodes += [
        make("Mul", ["raw", SCALE], ["scaled"]),
        make("Add", ["scaled", SHIFT], ["logits"]),
        make("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph.node.extend(nodes)
    del graph.output[:]
    for name in OUTPUTS:
        shape = [theirs.batch or "N", "D" if name == "features" else classes]
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return model


def _hold(graph: Any, **arrays: NDArray[Any]) -> None:
    """Constants of a graph."""
    graph.initializer.extend(
        onnx.numpy_helper.from_array(each.astype(np.float32), name) for name, each in arrays.items()
    )
