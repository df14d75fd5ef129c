"""Class activation maps: where in an image a class's logit comes from, by one convolutional layer.

With A_k the layer's k-th channel (h, w) and G_k the gradient by it of the class's logit (before softmax),
each method is a plain function of A and G. All maps are then cut off at 0 and divided by their maximum.
"""

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.errors import InputError

Array = NDArray[np.float32]


def _gradcam(A: Array, G: Array) -> Array:
    """Selvaraju et al. 2017: sum over k of (mean of G_k over the map) A_k."""
    return np.asarray(np.einsum("bijk,bk->bij", A, G.mean(axis=(1, 2))))


def _gradcam_plus_plus(A: Array, G: Array) -> Array:
    """Chattopadhay et al. 2018, for the score exp(logit), as there: sum over k of w_k A_k.

    w_k is the sum over the map of alpha relu(G_k), alpha = G² / (2 G² + (sum of A_k over the map) G³). G² is
    cancelled, for it underflows; the score is one positive factor per image, which normalisation takes away.
    """
    below = 2 + A.sum(axis=(1, 2), keepdims=True) * G
    alpha = np.divide(1, below, out=np.zeros_like(below), where=below != 0)
    return np.asarray(np.einsum("bijk,bk->bij", A, (alpha * np.maximum(G, 0)).sum(axis=(1, 2))))


def _hirescam(A: Array, G: Array) -> Array:
    """Draelos & Carin 2020: sum over k of G_k A_k."""
    return np.asarray((A * G).sum(axis=-1))


def _layercam(A: Array, G: Array) -> Array:
    """Jiang et al. 2021: sum over k of relu(G_k) A_k."""
    return np.asarray((A * np.maximum(G, 0)).sum(axis=-1))


METHODS: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {"gradcam": _gradcam, "gradcam++": _gradcam_plus_plus, "hirescam": _hirescam, "layercam": _layercam}
)


def gradcam(
    model: Any,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    *,
    layer: str,
    method: str = "gradcam",
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Explain a class of each image by a map of the size of `layer`'s output.

    Args:
        model: functional Keras model with a linear layer `logits`; built here or reloaded.
        images: (N, H, W, 3) RGB 0..255.
        classes: (N,) index of the class to explain, usually the predicted one.
        layer: name of a layer with output (B, h, w, K), usually the last convolution's activation.
        method: a key of METHODS.
        batch_size: images at a time; it does not change the maps.

    Returns:
        (N, h, w) float32 in [0, 1], with 1 at each map's maximum; all 0 where nothing speaks for the class.

    Raises:
        InputError: the layer or the method is unknown, or the layer's output is no map that feeds the logits.
    """
    if method not in METHODS:
        raise InputError(f"explain.method={method} is unknown: choose one of {', '.join(METHODS)}")
    differentiate = _differentiate(model, layer)
    outputs = model.get_layer("logits").output.shape[-1]
    if len(images) != len(classes) or not np.all((classes >= 0) & (classes < outputs)):
        raise ValueError(f"each of the {len(images)} images needs a class from 0 to {outputs - 1}")
    maps = np.empty((len(images), *model.get_layer(layer).output.shape[1:3]), dtype=np.float32)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        activations, gradients = differentiate(np.asarray(images[part]), classes[part])
        maps[part] = _normalise(METHODS[method](activations, gradients))
    return maps


def upsample(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge maps (N, h, w) to `size` (H, W), bilinear, each value standing at the centre of its cell."""
    import cv2

    enlarged = np.empty((len(maps), *size), dtype=np.float32)
    for index, values in enumerate(maps):
        cv2.resize(values.astype(np.float32), size[::-1], dst=enlarged[index], interpolation=cv2.INTER_LINEAR)
    return enlarged


def _differentiate(model: Any, layer: str) -> Callable[[NDArray[Any], NDArray[Any]], tuple[Array, Array]]:
    """One graph for any batch: (images, classes) -> the layer's output, the logits' gradients by it."""
    import keras
    import tensorflow as tf

    target = output_of(model, layer)
    observed = keras.Model(model.inputs, [target, model.get_layer("logits").output])
    dtype = model.inputs[0].dtype

    def run(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)  # so that a frozen model is recorded, too
            activations, logits = observed(images, training=False)
            explained = tf.gather(logits, classes, batch_dims=1)
        return activations, tape.gradient(explained, activations)

    # The concrete function, for TensorFlow warns of retracing where a second model is explained.
    graph = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype), tf.TensorSpec((None,), tf.int32)
    )

    def differentiate(images: NDArray[Any], classes: NDArray[Any]) -> tuple[Array, Array]:
        activations, gradients = graph(tf.constant(images, dtype), tf.constant(classes, tf.int32))
        if gradients is None:
            raise InputError(f"explain.layer={layer} does not feed the logits: {_choices(model, layer)}")
        return activations.numpy().astype(np.float32), gradients.numpy().astype(np.float32)

    return differentiate


def output_of(model: Any, layer: str) -> Any:
    """The symbolic output (B, h, w, K) of a layer by name; InputError where there is none."""
    names = [each.name for each in model.layers]
    if "logits" not in names:
        raise InputError(f"model {model.name} has no layer named logits, which Grad-CAM differentiates")
    if layer not in names:
        raise InputError(f"explain.layer={layer} is unknown: {_choices(model, layer)}")
    output = model.get_layer(layer).output
    if not _is_map(output):
        shape = getattr(output, "shape", "several outputs")
        raise InputError(f"explain.layer={layer} is no map (B, h, w, K) but {shape}: {_choices(model, layer)}")
    return output


def _is_map(output: Any) -> bool:
    return len(getattr(output, "shape", ())) == 4


def _choices(model: Any, layer: str) -> str:
    maps = [each.name for each in model.layers if _is_map(each.output)]
    near = difflib.get_close_matches(layer, maps, n=2)
    # The last layers see the most context, and a B7 has some 800 of them.
    names = dict.fromkeys([*near, *reversed(maps[-6:])])
    return f"choose a convolutional layer of {model.name}, such as {', '.join(names)}"


def _normalise(maps: Array) -> Array:
    positive = np.maximum(maps, 0)
    peak = positive.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(positive, peak, out=np.zeros_like(positive), where=peak > 0))
