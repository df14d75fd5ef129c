"""The classifier that is built on a backbone of the registry, and its parts.

Backbones are built flat, on the classifier's own input: a nested backbone breaks sub-models in Keras 3, which
Grad-CAM needs.
"""

import re
from pathlib import Path
from typing import Any

import keras

from brain_tumor.config.train import Head
from brain_tumor.errors import InputError
from brain_tumor.models import cct, cnn, efficientnet, hybrid, lite, resnet3d, slices, vit
from brain_tumor.models.backbones import Backbone, Family, check_shape, get_backbone
from brain_tumor.models.heads import add_head, is_head

_BLOCK = re.compile(r"(block\d+[a-z]?|top)_")


def build_classifier(
    name: str,
    *,
    shape: tuple[int, ...],
    classes: int = 4,
    weights: Path | None,
    dropout: float,
    seed: int,
    head: Head = "pooled",
) -> keras.Model:
    """Build a classifier whose input scaling is inside.

    Args:
        name: key of the table of backbones.
        shape: of an image: of slices (S, S, 3), S at least 32 and of transformers a multiple of their patches'; of
            whole volumes (D, H, W, C). Any such shape goes with any weights.
        classes: number of classes.
        weights: file with the backbone's weights, from `resolve_weights`; None leaves it untrained.
        dropout: fraction of the pooled features that is dropped in training, 0..1 (1 excluded).
        seed: of every initial weight and every dropout. It seeds Python's, NumPy's and TensorFlow's global
            generators, for Keras' initialisers draw from them: the same seed builds equal weights.
        head: how the answer is made of the backbone's activations, see `heads`.

    Returns:
        Flat functional model from images (B, *shape), RGB or gray, uint8 or float, 0..255, to float32
        probabilities (B, classes). Its last layers are `avg_pool`, `dropout`, `logits`, `probabilities`.

    Raises:
        InputError: unknown name, an image size or dropout out of range, or a file that does not fit.
    """
    backbone = get_backbone(name)
    check_shape(name, shape)
    if not 0 <= dropout < 1:
        raise InputError(f"model.dropout={dropout} is out of range: give a fraction from 0 to below 1")
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape, name="image")
    trunk = _build_trunk(backbone, inputs, weights)
    probabilities = add_head(trunk, backbone, head=head, classes=classes, dropout=dropout, seed=seed)
    return keras.Model(inputs, probabilities, name=name)


def _build_trunk(backbone: Backbone, inputs: Any, weights: Path | None) -> keras.Model:
    build, load = {
        Family.cnn: (cnn.build_cnn, efficientnet.load_hdf5),
        Family.efficientnet: (efficientnet.build_efficientnet, efficientnet.load_hdf5),
        Family.efficientnet_v2: (efficientnet.build_efficientnet_v2, efficientnet.load_hdf5),
        Family.efficientnet_lite: (lite.build_lite, lite.load_lite),
        Family.cct: (cct.build_cct, efficientnet.load_hdf5),
        Family.hybrid_lite: (hybrid.build_hybrid, lite.load_lite),
        Family.slices_lite: (slices.build_slices, lite.load_lite),
        Family.cnn_3d: (resnet3d.build_cnn3d, efficientnet.load_hdf5),
        Family.resnet_3d: (resnet3d.build_resnet3d, efficientnet.load_hdf5),
        Family.vit: (vit.build_vit, vit.load_vit),
    }[backbone.family]
    trunk = build(backbone, inputs)
    if weights is not None:
        load(trunk, backbone, weights)
    return trunk


def blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """Group a classifier's backbone by its blocks, from input to output; the head is left out.

    The stem (with the input scaling) is the first, then each `block…`; the last is `top`: of the EfficientNets the last
    convolution, of the transformers the last normalisation. Also right for a reloaded model. Used to unfreeze the last
    N.
    """
    groups: dict[str, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        if is_head(layer) or type(layer).__name__ == "InputLayer":
            continue
        block = _BLOCK.match(layer.name)
        groups.setdefault(block[1] if block else "stem", []).append(layer)
    return list(groups.values())
