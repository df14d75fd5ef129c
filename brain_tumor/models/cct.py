"""A compact convolutional transformer (Hassani et al. 2021, arXiv:2104.05704), small enough to train from nothing."""

from typing import Any

import keras

from brain_tumor.models.backbones import SHARES, Backbone
from brain_tumor.models.transformer import encoder_block, norm, placed

_FILTERS = (32, 64, 128)  # of the convolutions that make tokens, each of which halves the side
_DEPTH, _WIDTH, _HEADS, _HIDDEN = 5, 128, 2, 256
_DROP_PATH = 0.1  # of the deepest block, as there; grows linearly from 0 at the first


def build_cct(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/8, W/8, 128).

    Convolutions make the tokens, and attention over these decides how much each counts in their mean (section 3.3
    there): the output is weighted so already.
    """
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(inputs)
    for index, filters in enumerate(_FILTERS, start=1):
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"stem_conv{index}"
        )(x)
        x = keras.layers.ReLU(name=f"stem_relu{index}")(x)
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name=f"stem_pool{index}")(x)
    x = placed(x, _WIDTH, "embedding")
    for index in range(_DEPTH):
        drop_rate = _DROP_PATH * index / (_DEPTH - 1)
        x = encoder_block(x, f"block{index + 1}", heads=_HEADS, hidden=_HIDDEN, drop_rate=drop_rate)
    x = norm(x, "top_norm")
    shares = keras.layers.Softmax(axis=(1, 2), name=SHARES)(keras.layers.Dense(1, name="top_scores")(x))
    x = keras.layers.Multiply(name="top_weighted")([x, shares])
    # What follows takes the mean of the cells, and the shares add up to 1.
    x = keras.layers.Rescaling(float(x.shape[1] * x.shape[2]), name="top_rescaled")(x)
    return keras.Model(inputs, x, name=backbone.name)
