"""The heads by name: from a backbone's activations to the probabilities of the classes.

Every head ends with the layers of HEAD, under these names: `avg_pool` gives the features (B, D) of an image, `logits`
is a Dense layer, into which calibration is folded, and `probabilities` its softmax.

`pooled` takes the mean of the last activations over the image. `evidence` draws a map of the lesion first, and its
features are what lies under it: whatever decides passes through the map, and of an empty one nothing is left but the
bias of the logits (attention pooling: Ilse et al. 2018, arXiv:1802.04712, with a sigmoid and a floor for its softmax).

Of a backbone that looks at the slices of a volume one by one, `pooled` takes the mean over the slices, too, and
`attention` weighs them, by that paper's gated attention.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import keras

from brain_tumor.config.train import Head
from brain_tumor.errors import InputError
from brain_tumor.models.backbones import Backbone, check_head

HEAD = ("avg_pool", "dropout", "logits", "probabilities")
LESION_MAP = "lesion_map"  # the layer of the map, (B, h, w, 1) in 0..1, with a cell for 4 x 4 pixels
SLICES = "slices"  # the layer of the slices' features (B, D, K)
ATTENTION = "attention"  # the layer of how much each slice counts (B, D, 1)
GATE = 128
FLOAT32 = (LESION_MAP, "lesion_weights", "lesion_under", "lesion_sum", "lesion_area", "lesion_peak", "probabilities")
CHANNELS = 96
FLOOR = 0.01  # share of the image: what lies under a lesion of this area has half the weight of a large one
SPARSE = 0.03  # of the untrained map everywhere


def add_head(trunk: keras.Model, backbone: Backbone, *, head: Head, classes: int, dropout: float, seed: int) -> Any:
    """The probabilities (B, classes), float32, that a head of this name makes of the trunk's activations."""
    if head not in get_args(Head):
        raise InputError(f"model.head={head} is unknown: choose one of {', '.join(get_args(Head))}")
    check_head(backbone.name, head)
    if head == "evidence":
        fine = [trunk.get_layer(name).output for name in backbone.cam_layer.split("*")]
        features = _under_map(fine if fine[-1] is trunk.output else [*fine, trunk.output])
    elif backbone.by_slice:
        features = _over_slices(trunk, weighed=head == "attention")
    else:
        pool = keras.layers.GlobalAveragePooling3D if backbone.whole else keras.layers.GlobalAveragePooling2D
        features = pool(name="avg_pool")(trunk.output)
    # Built at rate 0 it would have no random generator, which a phase with a dropout of its own needs.
    layer = keras.layers.Dropout(dropout or 0.5, seed=seed, name="dropout")
    layer.rate = dropout
    initializer = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(classes, kernel_initializer=initializer, name="logits")(layer(features))
    return keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)


def is_head(layer: keras.layers.Layer) -> bool:
    """Whether a classifier's layer belongs to its head, and not to its backbone."""
    return layer.name in HEAD or layer.name.startswith(("lesion_", "slice", "attention"))


def head_of(model: keras.Model) -> Head:
    """The name of a classifier's head; also right for a reloaded model."""
    names = {layer.name for layer in model.layers}
    return "evidence" if LESION_MAP in names else "attention" if ATTENTION in names else "pooled"


def _over_slices(trunk: keras.Model, *, weighed: bool) -> Any:
    """Features (B, K) of volumes, of the activations (B D, h, w, K) of their slices."""
    each = keras.layers.GlobalAveragePooling2D(name="slice_pool")(trunk.output)
    stacked = keras.ops.reshape(each, (-1, trunk.input.shape[1], each.shape[-1]))
    slices = keras.layers.Activation("linear", name=SLICES)(stacked)  # a layer, so that it can be found by its name
    if not weighed:
        return keras.layers.GlobalAveragePooling1D(name="avg_pool")(slices)
    return attended(slices, attention_layers())


def attention_layers() -> dict[str, keras.layers.Layer]:
    """The layers of gated attention (Ilse et al. 2018, equation 9), by their names."""
    layers = keras.layers
    made = [
        layers.Dense(GATE, activation="tanh", name="attention_content"),
        layers.Dense(GATE, activation="sigmoid", name="attention_gate"),
        layers.Multiply(name="attention_gated"),
        layers.Dense(1, use_bias=False, name="attention_scores"),
        layers.Softmax(axis=1, dtype="float32", name=ATTENTION),
        layers.Dot(axes=1, name="attention_mean"),
        layers.Flatten(name="avg_pool"),
    ]
    return {layer.name: layer for layer in made}


def attended(slices: Any, layers: Mapping[str, keras.layers.Layer]) -> Any:
    """The mean (B, K) of the slices (B, D, K), weighed by `attention_layers`."""
    gated = layers["attention_gated"]([layers["attention_content"](slices), layers["attention_gate"](slices)])
    weights = layers[ATTENTION](layers["attention_scores"](gated))
    return layers["avg_pool"](layers["attention_mean"]([weights, slices]))


def _under_map(activations: Sequence[Any]) -> Any:
    """Features (B, D) under the lesion map that is drawn of activations (B, h, w, K), the finest first."""
    layers = keras.layers
    seen = _pyramid(activations)
    bias = keras.initializers.Constant(math.log(SPARSE / (1 - SPARSE)))
    # Four cells for each of the activations: what lies where in it, the activations say.
    draw = layers.Conv2DTranspose(
        1, 2, strides=2, activation="sigmoid", bias_initializer=bias, dtype="float32", name=LESION_MAP
    )
    lesion = draw(seen)
    weights = layers.AveragePooling2D(2, dtype="float32", name="lesion_weights")(lesion)
    under = layers.Multiply(dtype="float32", name="lesion_under")([seen, weights])
    # Means over the image for sums over cells, so that the floor is an area whatever the image's size.
    total = layers.GlobalAveragePooling2D(dtype="float32", name="lesion_sum")(under)
    area = layers.GlobalAveragePooling2D(dtype="float32", name="lesion_area")(lesion)
    peak = layers.GlobalMaxPooling2D(dtype="float32", name="lesion_peak")(lesion)
    return layers.Concatenate(dtype="float32", name="avg_pool")([total / (area + FLOOR), area / (area + FLOOR), peak])


def _pyramid(activations: Sequence[Any]) -> Any:
    """Activations of every size added up at the finest (Lin et al. 2017, arXiv:1612.03144), then mixed: (B, h, w, D).

    Normalised cell by cell and not over the batch, so that a phase that leaves batch norm alone trains it as well.
    """
    layers = keras.layers
    side = before = activations[0].shape[1]
    factor = 1
    levels = []
    for place, activation in enumerate(activations):
        level = layers.Conv2D(CHANNELS, 1, use_bias=False, name=f"lesion_level{place}")(activation)
        level = layers.LayerNormalization(name=f"lesion_level{place}_norm")(level)
        factor *= 2 if activation.shape[1] < before else 1  # those of a hybrid's transformer have one size
        before = activation.shape[1]
        if factor > 1:
            # By whole factors: tf2onnx makes a resizing to 13 cells from 7 one to 12.
            level = layers.UpSampling2D(factor, interpolation="bilinear", name=f"lesion_level{place}_enlarged")(level)
            level = _fitted(level, side, f"lesion_level{place}_fitted")
        levels.append(level)
    x = layers.Add(name="lesion_pyramid")(levels)
    x = layers.Activation("swish", name="lesion_pyramid_activation")(x)
    x = layers.SeparableConv2D(CHANNELS, 3, padding="same", use_bias=False, name="lesion_mixed")(x)
    x = layers.LayerNormalization(name="lesion_mixed_norm")(x)
    return layers.Activation("swish", name="lesion_features")(x)


def _fitted(level: Any, side: int, name: str) -> Any:
    """Cut off, or filled up with zeros, at the lower and the right edge: halving has rounded odd sides up, or down."""
    excess = level.shape[1] - side
    if excess > 0:
        return keras.layers.Cropping2D(((0, excess), (0, excess)), name=name)(level)
    return keras.layers.ZeroPadding2D(((0, -excess), (0, -excess)), name=name)(level) if excess else level
