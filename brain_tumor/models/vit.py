"""Vision transformers (Dosovitskiy et al. 2020, arXiv:2010.11929; sizes of Touvron et al. 2020, arXiv:2012.12877).

Without a class token: what is read is the mean of all tokens (Zhai et al. 2021, arXiv:2106.04560), so that the tokens
stay a grid of pictures' parts.
"""

from pathlib import Path
from typing import Any

import keras

from brain_tumor.models.backbones import Backbone
from brain_tumor.models.transformer import encoder_block, norm, positions
from brain_tumor.models.vit_weights import DEPTH, PATCH, SHAPES, read_vit, resized

_DROP_PATH = 0.1  # of the deepest block; grows linearly from 0 at the first


def build_vit(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/16, W/16, D).

    One layer embeds the patches and adds the positions: its kernel is (16, 16, 3, D), its bias (H/16, W/16, D).
    """
    shape = SHAPES[backbone.variant]
    rows, columns = (side // PATCH for side in inputs.shape[1:3])
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(inputs)
    x = keras.layers.Reshape((rows, PATCH, columns, PATCH, 3), name="patches")(x)
    x = keras.layers.EinsumDense(
        "bhpwqc,pqcd->bhwd",
        output_shape=(rows, columns, shape.width),
        bias_axes="hwd",
        kernel_initializer="lecun_normal",
        bias_initializer=positions(),
        name="embedding",
    )(x)
    for index in range(DEPTH):
        drop_rate = _DROP_PATH * index / (DEPTH - 1)
        name = f"block{index + 1}"
        x = encoder_block(x, name, heads=shape.heads, hidden=4 * shape.width, drop_rate=drop_rate)
    return keras.Model(inputs, norm(x, "top_norm"), name=backbone.name)


def load_vit(trunk: keras.Model, backbone: Backbone, path: Path) -> None:
    """Load a published file into a backbone that `build_vit` made; positions are resized to its grid.

    Raises:
        InputError: the file cannot be read, or is of another model.
    """
    found = read_vit(backbone, path)
    embedding = trunk.get_layer("embedding")
    rows, columns = embedding.bias.shape[:2]
    embedding.set_weights([found.kernel, found.bias + resized(found.positions, rows, columns)])
    for name, weights in found.layers.items():
        trunk.get_layer(name).set_weights(weights)
