"""A backbone of slices asked about every slice of a volume."""

from typing import Any

import keras

from brain_tumor.models.backbones import Backbone
from brain_tumor.models.lite import lite_top


def build_slices(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build EfficientNet-Lite on the slices of `inputs`, 0..255 (B, D, H, W, 1); the output is (B D, H/32, W/32, 1280).

    Slices share its weights. The head puts them together again, see `heads`.
    """
    x = keras.ops.reshape(inputs, (-1, *inputs.shape[2:]))
    x = keras.layers.Concatenate(name="rgb")([x] * 3)
    return keras.Model(inputs, lite_top(x, backbone.variant), name=backbone.name)
