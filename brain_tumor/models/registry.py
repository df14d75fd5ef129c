"""The models by name: the table of backbones, and the classifier that is built on one.

The table is read without TensorFlow, so that an unknown name is answered at once. Backbones are built
flat, on the classifier's own input: a nested backbone breaks sub-models in Keras 3, which Grad-CAM needs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from brain_tumor.errors import InputError

if TYPE_CHECKING:
    import keras

HEAD = ("avg_pool", "dropout", "logits", "probabilities")
MIN_SIZE = 32  # pixels a side: the backbones halve it five times
_BLOCK = re.compile(r"(block\d+[a-z]?|top)_")


class Family(StrEnum):
    """Backbones of one family are built by one function and take their weights from one kind of file."""

    cnn = "cnn"
    efficientnet = "efficientnet"  # Tan & Le 2019, arXiv:1905.11946, from keras.applications
    efficientnet_v2 = "efficientnet_v2"  # Tan & Le 2021, arXiv:2104.00298, from keras.applications
    efficientnet_lite = "efficientnet_lite"  # Liu 2020: without squeeze-and-excite, ReLU6


@dataclass(frozen=True)
class Backbone:
    """One row of the registry."""

    name: str  # key here, stem of conf/model/<name>.yaml
    family: Family
    variant: str  # within the family: "b0" … "b7", "s", "lite0"; empty where there is only one
    native_size: int  # pixels a side that it was designed and, with ImageNet weights, trained for
    cam_layer: str  # the last activation at a 16th of the input's side, (B, h, w, C): what LayerCAM looks at


_ROWS = (
    ("cnn_baseline", Family.cnn, "", 128),
    ("effnet_b0", Family.efficientnet, "b0", 224),
    ("effnet_b1", Family.efficientnet, "b1", 240),
    ("effnet_b2", Family.efficientnet, "b2", 260),
    ("effnet_b3", Family.efficientnet, "b3", 300),
    ("effnet_b4", Family.efficientnet, "b4", 380),
    ("effnet_b5", Family.efficientnet, "b5", 456),
    ("effnet_b6", Family.efficientnet, "b6", 528),
    ("effnet_b7", Family.efficientnet, "b7", 600),
    ("effnet_v2_b0", Family.efficientnet_v2, "b0", 224),
    ("effnet_v2_b1", Family.efficientnet_v2, "b1", 240),
    ("effnet_v2_b2", Family.efficientnet_v2, "b2", 260),
    ("effnet_v2_b3", Family.efficientnet_v2, "b3", 300),
    ("effnet_v2_s", Family.efficientnet_v2, "s", 384),
    ("effnet_lite0", Family.efficientnet_lite, "lite0", 224),
    ("effnet_lite1", Family.efficientnet_lite, "lite1", 240),
    ("effnet_lite2", Family.efficientnet_lite, "lite2", 260),
)

BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        name: Backbone(
            name, family, variant, size, "block4_relu" if family is Family.cnn else "block6a_expand_activation"
        )
        for name, family, variant, size in _ROWS
    }
)


def get_backbone(name: str) -> Backbone:
    """Return the registry row of a name.

    Raises:
        InputError: the name is not in the registry; the message gives the nearest names, or all of them.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name, BACKBONES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(BACKBONES)}"
    raise InputError(f"model={name} is unknown: {hint}")


def build_classifier(
    name: str, *, image_size: int, classes: int = 4, weights: Path | None, dropout: float, seed: int
) -> keras.Model:
    """Build a classifier whose input scaling is inside.

    Args:
        name: key of the registry.
        image_size: pixels a side, at least 32; any size goes with any weights.
        classes: number of classes.
        weights: file with the backbone's weights, from `resolve_weights`; None leaves it untrained.
        dropout: fraction of the pooled features that is dropped in training, 0..1 (1 excluded).
        seed: of every initial weight and every dropout. It seeds Python's, NumPy's and TensorFlow's global
            generators, for Keras' initialisers draw from them: the same seed builds equal weights.

    Returns:
        Flat functional model from RGB (B, image_size, image_size, 3), uint8 or float, 0..255, to float32
        probabilities (B, classes). Its last layers are `avg_pool`, `dropout`, `logits`, `probabilities`.

    Raises:
        InputError: unknown name, an image size or dropout out of range, or a file that does not fit.
    """
    backbone = get_backbone(name)
    if image_size < MIN_SIZE:
        raise InputError(f"data.image_size={image_size} is too small: {name} needs at least {MIN_SIZE} pixels")
    if not 0 <= dropout < 1:
        raise InputError(f"model.dropout={dropout} is out of range: give a fraction from 0 to below 1")
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((image_size, image_size, 3), name="image")
    trunk = _build_trunk(backbone, inputs, weights)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    x = keras.layers.Dropout(dropout, seed=seed, name="dropout")(x)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    x = keras.layers.Dense(classes, kernel_initializer=initializer, name="logits")(x)
    probabilities = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, probabilities, name=name)


def _build_trunk(backbone: Backbone, inputs: Any, weights: Path | None) -> keras.Model:
    from brain_tumor.models import cnn, efficientnet, lite

    build, load = {
        Family.cnn: (cnn.build_cnn, efficientnet.load_hdf5),
        Family.efficientnet: (efficientnet.build_efficientnet, efficientnet.load_hdf5),
        Family.efficientnet_v2: (efficientnet.build_efficientnet_v2, efficientnet.load_hdf5),
        Family.efficientnet_lite: (lite.build_lite, lite.load_lite),
    }[backbone.family]
    trunk = build(backbone, inputs)
    if weights is not None:
        load(trunk, backbone, weights)
    return trunk


def blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """Group a classifier's backbone by its blocks, from input to output; the head is left out.

    The stem (with the input scaling) is the first, then each `block…`; the EfficientNets end with `top`, the
    last convolution. Also right for a reloaded model. Used to unfreeze the last N.
    """
    groups: dict[str, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        if layer.name in HEAD or type(layer).__name__ == "InputLayer":
            continue
        block = _BLOCK.match(layer.name)
        groups.setdefault(block[1] if block else "stem", []).append(layer)
    return list(groups.values())


def head_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the classifier's layers after the backbone: pooling, dropout, logits, probabilities."""
    return [model.get_layer(name) for name in HEAD]
