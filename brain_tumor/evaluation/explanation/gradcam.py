"""Class activation maps: where in an image a class's logit comes from, by one convolutional layer.

With A_k the layer's k-th channel (h, w), of whole volumes (d, h, w), and G_k the gradient by it of the class's logit
(before softmax), each method is a plain function of A and G. All maps are then cut off at 0. EVIDENCE is no class
activation map but what a model with a lesion map reads its answer from, nor is ROLLOUT: both are the same for every
class.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.rollout import rollout
from brain_tumor.lazy import lazy
from brain_tumor.models.members import prefixes

keras = lazy("keras")
tf = lazy("tensorflow")

Array = NDArray[np.float32]
Kind = tuple[str, str]  # method, layer


def _cells(A: Array) -> tuple[int, ...]:
    """The axes along which a map's cells lie."""
    return tuple(range(1, A.ndim - 1))


def _gradcam(A: Array, G: Array) -> Array:
    """Selvaraju et al. 2017: sum over k of (mean of G_k over the map) A_k."""
    return np.asarray(np.einsum("b...k,bk->b...", A, G.mean(axis=_cells(A))))


def _gradcam_plus_plus(A: Array, G: Array) -> Array:
    """Chattopadhay et al. 2018, for the score exp(logit), as there: sum over k of w_k A_k.

    w_k is the sum over the map of alpha relu(G_k), alpha = G² / (2 G² + (sum of A_k over the map) G³). G² is
    cancelled, for it underflows; the score is one positive factor per image, which normalisation takes away.
    """
    below = 2 + A.sum(axis=_cells(A), keepdims=True) * G
    alpha = np.divide(1, below, out=np.zeros_like(below), where=below != 0)
    return np.asarray(np.einsum("b...k,bk->b...", A, (alpha * np.maximum(G, 0)).sum(axis=_cells(A))))


def _hirescam(A: Array, G: Array) -> Array:
    """Draelos & Carin 2020: sum over k of G_k A_k."""
    return np.asarray((A * G).sum(axis=-1))


def _layercam(A: Array, G: Array) -> Array:
    """Jiang et al. 2021: sum over k of relu(G_k) A_k."""
    return np.asarray((A * np.maximum(G, 0)).sum(axis=-1))


METHODS: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {"gradcam": _gradcam, "gradcam++": _gradcam_plus_plus, "hirescam": _hirescam, "layercam": _layercam}
)

EVIDENCE, ROLLOUT = "evidence", "rollout"
PRODUCT = "*"  # between the names of layers whose maps are multiplied

_WITHOUT_LAYER = {
    EVIDENCE: "the lesion map that the answer is read from",
    ROLLOUT: "rollout of the attention in all blocks, which is blind to the class",
}


def described(method: str, layer: str, label: str = "") -> str:
    """How a map is made, for titles and reports; of a class of this `label`, if the method knows of classes."""
    said = f"{method} at {layer.replace(PRODUCT, ' × ')}" + (f", for {label}" if label else "")
    return _WITHOUT_LAYER.get(method, said)


def _evidence(A: Array, G: Array) -> Array:
    """The map (B, h, w) itself."""
    return A[..., 0]


_EVERY: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType({**METHODS, EVIDENCE: _evidence})


def layer_maps(
    model: Any, kinds: Sequence[Kind], logits: str = "logits"
) -> Callable[[NDArray[Any], NDArray[np.int64]], list[Array]]:
    """What explains a class of each image of a batch, at the layers' own resolution.

    Args:
        model: functional Keras model with a linear layer `logits`; built here or reloaded. Weights that change later
            are followed.
        kinds: (method, layer) of each map: a key of METHODS or EVIDENCE, and a layer with output (B, h, w, K); or
            ROLLOUT, whatever the layer.
        logits: the layer whose values are explained.

    Returns:
        Function of images (B, H, W, 3) RGB 0..255 and classes (B,), usually the predicted ones; it gives a map
        (B, h, w) float32, at least 0, for each of `kinds`; all 0 where nothing speaks for the class. Of whole volumes
        all have one axis more.

    Raises:
        InputError: a layer or a method is unknown, or a layer's output is no map that feeds the logits.
    """
    layers = list(dict.fromkeys(layer for method, layer in kinds if method != ROLLOUT))
    methods = {method for method, _ in kinds}
    unknown = sorted(methods - {*_EVERY, ROLLOUT})
    if unknown:
        raise InputError(f"explain.method={unknown[0]} is unknown: choose one of {', '.join(METHODS)}")
    differentiate = _differentiate(model, layers, logits) if layers else lambda images, classes: []
    roll = rollout(model) if ROLLOUT in methods else lambda images: np.empty(0, np.float32)

    def explain(images: NDArray[Any], classes: NDArray[np.int64]) -> list[Array]:
        found = dict(zip(layers, differentiate(images, classes), strict=True))
        rolled = roll(images)
        return [
            rolled if method == ROLLOUT else np.maximum(_EVERY[method](*found[layer]), 0).astype(np.float32)
            for method, layer in kinds
        ]

    return explain


def _differentiate(
    model: Any, layers: Sequence[str], logits: str
) -> Callable[[NDArray[Any], NDArray[Any]], list[tuple[Array, Array]]]:
    """One graph for any batch: (images, classes) -> each layer's output, and the logits' gradients by it."""
    targets = [output_of(model, layer) for layer in layers]
    observed = keras.Model(model.inputs, [*targets, model.get_layer(logits).output])
    dtype = model.inputs[0].dtype

    def run(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)  # so that a frozen model is recorded, too
            *activations, values = observed(images, training=False)
            explained = tf.gather(values, classes, batch_dims=1)
        return activations, tape.gradient(explained, activations)

    # The concrete function, for TensorFlow warns of retracing where a second model is explained.
    graph = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype), tf.TensorSpec((None,), tf.int32)
    )

    def differentiate(images: NDArray[Any], classes: NDArray[Any]) -> list[tuple[Array, Array]]:
        activations, gradients = graph(tf.constant(images, dtype), tf.constant(classes, tf.int32))
        for layer, gradient in zip(layers, gradients, strict=True):
            if gradient is None:
                raise InputError(f"explain.layer={layer} does not feed the logits: {_choices(model, layer)}")
        pairs = zip(activations, gradients, strict=True)
        return [(_of_images(each.numpy(), images), _of_images(by.numpy(), images)) for each, by in pairs]

    return differentiate


def _of_images(values: NDArray[Any], images: NDArray[Any]) -> Array:
    """What a layer gives for images (B, …): of slices that it sees one by one, put together again (B, D, h, w, K)."""
    shape = values.shape if len(values) == len(images) else (*images.shape[:2], *values.shape[1:])
    return np.asarray(values.reshape(shape), np.float32)


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
    return len(getattr(output, "shape", ())) in (4, 5)


def _choices(model: Any, layer: str) -> str:
    # Of an ensemble the layers of the network that is meant.
    network = next((each for each in prefixes(model) if layer.startswith(each)), "")
    maps = [each.name for each in model.layers if _is_map(each.output) and each.name.startswith(network)]
    near = difflib.get_close_matches(layer, maps, n=2)
    # The last layers see the most context, and a B7 has some 800 of them.
    names = dict.fromkeys([*near, *reversed(maps[-6:])])
    return f"choose a convolutional layer of {model.name}, such as {', '.join(names)}"
