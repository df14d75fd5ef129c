"""The heads by name: from a backbone's activations to the probabilities of the classes.

Every head ends with the layers of HEAD, under these names: `avg_pool` gives the features (B, D) of an image, `logits`
is a Dense layer, into which calibration is folded, and `probabilities` its softmax.
"""

from typing import Any

import keras

from brain_tumor.models.backbones import Backbone

HEAD = ("avg_pool", "dropout", "logits", "probabilities")


def add_head(trunk: keras.Model, backbone: Backbone, *, head: str, classes: int, dropout: float, seed: int) -> Any:
    """The probabilities (B, classes), float32, that a head of this name makes of the trunk's activations."""
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    # Built at rate 0 it would have no random generator, which a phase with a dropout of its own needs.
    layer = keras.layers.Dropout(dropout or 0.5, seed=seed, name="dropout")
    layer.rate = dropout
    initializer = keras.initializers.GlorotUniform(seed=seed)
    logits = keras.layers.Dense(classes, kernel_initializer=initializer, name="logits")(layer(x))
    return keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)


def is_head(layer: keras.layers.Layer) -> bool:
    """Whether a classifier's layer belongs to its head, and not to its backbone."""
    return layer.name in HEAD
