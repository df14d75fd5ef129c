"""A model that somebody else has trained, in the form of our own: so that it is measured like any other.

Its layers are built again, flat, between an input that takes RGB 0..255 and scales it as the model was trained, and a
head with the layers of `heads.HEAD`. A softmax over classes keeps its very weights; one sigmoid of two classes becomes
two logits half as far from zero each; of a sigmoid for each class the logits are the logarithms, so that the
probabilities are shares of their sum.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.commands import Channels, Scaling
from brain_tumor.config.train import ADOPTED
from brain_tumor.errors import InputError
from brain_tumor.models.adopted_input import MOST_FEATURES, require_gray, scaling_of, square
from brain_tumor.models.heads import HEAD

LINEAR = frozenset(("softmax", "linear"))
_TAKEN = (*HEAD, "image", "adopted_input", "adopted_scores", "adopted_log")


class End(NamedTuple):
    """How a model ends: scores (B, K) are `features @ kernel + bias`, and `kind` what is made of them."""

    features: Any  # symbolic, (B, D)
    kernel: NDArray[Any]  # (D, K)
    bias: NDArray[Any]  # (K,)
    kind: str  # softmax, sigmoid or linear


def open_file(path: Path) -> Any:
    """The Keras model in a file that `adopted_file.check_file` has looked through; InputError if it does not load."""
    try:
        with keras.StatelessScope(initialize_variables=False):  # whether the weights fit, before any is allocated
            keras.saving.load_model(path, compile=False, safe_mode=True)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras' and h5py's, of whatever kind
        reason = " ".join(str(error).split())[:400]
        raise InputError(f"file={path} cannot be opened by Keras {keras.__version__}: {reason}") from error


def wrap(model: Any, classes: int, scaling: Scaling, channels: Channels, size: int | None = None) -> Any:
    """A classifier as `classifier.build_classifier` gives one, that answers as `model` does.

    `size` is the side of its images where it takes any. Raises InputError: its input is no square image, its end no
    classifier of so many classes, or `channels` do not fit.
    """
    side, depth = _input_of(model, size)
    require_gray(depth, channels)
    inputs = keras.Input((side, side, 3), name="image")
    x = _scaled(inputs, depth, scaling, channels)
    end = _end(_flat(model, set(_TAKEN))(x))
    return keras.Model(inputs, _headed(end, classes), name=ADOPTED)


def _input_of(model: Any, size: int | None) -> tuple[int, int]:
    """Pixels a side, and channels."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise InputError(f"the model has {counts}: one of each is read")
    return square(model.inputs[0].shape[1:], size)


def _scaled(image: Any, depth: int, scaling: Scaling, channels: Channels) -> Any:
    """What the model was trained on, of RGB 0..255: one convolution of 1 x 1, whose weights do not train."""
    kernel, bias = scaling_of(scaling, channels, depth)
    layer = keras.layers.Conv2D(depth, 1, trainable=False, name="adopted_input")
    scaled = layer(image)
    layer.set_weights([kernel[None, None], bias])
    return scaled


def _flat(model: Any, taken: set[str]) -> Callable[[Any], Any]:
    """The layers of a model, and of models inside it, built again on another input, each under a name of its own."""

    def again(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Sequential | keras.Model):
            return _flat(layer, taken)(args[0])
        kwargs.pop("training", None)
        config = layer.get_config()
        name = next(each for each in (config["name"], *_numbered(config["name"])) if each not in taken)
        taken.add(name)
        made = type(layer).from_config({**config, "name": name})
        output = made(*args, **kwargs)
        if isinstance(layer, keras.layers.Layer):
            made.set_weights(layer.get_weights())
        if isinstance(layer, keras.layers.Normalization):
            made.finalize_state()  # it computes by what it has made of its weights
        return output

    def run(x: Any) -> Any:
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                x = again(layer, x)
            return x
        # As keras.models.clone_model does it, which leaves models inside models as they are.
        return model._run_through_graph(x, operation_fn=lambda operation: partial(again, operation))

    return run


def _numbered(name: str) -> list[str]:
    return [f"{name}_{number}" for number in range(1, 10_000)]


def _end(output: Any) -> End:
    """How the graph of a symbolic output ends."""
    kind, layer = "linear", output._keras_history.operation
    if isinstance(layer, keras.layers.Activation | keras.layers.Softmax):
        kind = "softmax" if isinstance(layer, keras.layers.Softmax) else layer.activation.__name__
        output = layer.input
        layer = output._keras_history.operation
    if isinstance(layer, keras.layers.Dense):
        own = layer.activation.__name__
        if own != "linear" and kind != "linear":
            raise InputError(f"the model ends in {own} below {kind}: it must end in softmax, sigmoid or logits")
        kernel, *bias = layer.get_weights()
        zero = np.zeros(layer.units, np.float32)
        end = End(layer.input, kernel, bias[0] if bias else zero, own if own != "linear" else kind)
    else:
        width = int(output.shape[-1] or 0)
        end = End(output, np.eye(width, dtype=np.float32), np.zeros(width, np.float32), kind)
    if len(end.features.shape) != 2 or end.kind not in {*LINEAR, "sigmoid"}:
        raise InputError(f"the model ends in {layer.name} ({end.kind}): it must end in softmax, sigmoid or logits")
    return end


def _headed(end: End, classes: int) -> Any:
    """Probabilities (B, classes) by the layers of HEAD."""
    features, kernel, bias, kind = end
    outputs = len(bias)
    if outputs == 1 and classes == 2:
        kernel, bias, kind = np.hstack([-kernel / 2, kernel / 2]), np.array([-bias[0] / 2, bias[0] / 2]), "linear"
    elif outputs != classes:
        raise InputError(f"the model puts out {outputs} values, and classes names {classes}: name all, in its order")
    layers, wide = keras.layers, features.shape[-1] > MOST_FEATURES
    x = features if wide else layers.Activation("linear", name="avg_pool")(features)
    if wide or kind == "sigmoid":
        scores = layers.Dense(classes, name="adopted_scores")
        x = scores(x)
        scores.set_weights([kernel, bias])
        kernel, bias = np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)
        if kind == "sigmoid":
            x = layers.Activation("log_sigmoid", name="adopted_log")(x)
        x = layers.Activation("linear", name="avg_pool")(x) if wide else x
    logits = layers.Dense(classes, name="logits")
    x = logits(x)
    logits.set_weights([kernel, bias])
    return layers.Activation("softmax", dtype="float32", name="probabilities")(x)
