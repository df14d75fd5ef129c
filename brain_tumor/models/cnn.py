"""A small convolutional network trained from nothing: what transfer learning has to beat."""

from typing import Any

import keras

from brain_tumor.models.backbones import Backbone

_FILTERS = (32, 64, 128, 256)  # of the four blocks
_BN_MOMENTUM = 0.9  # statistics settle within the first epoch of a few thousand images


def _conv_relu(x: Any, filters: int, stride: int, name: str, suffix: str = "") -> Any:
    x = keras.layers.Conv2D(
        filters,
        3,
        stride,
        padding="same",
        use_bias=False,  # batch normalisation has its own
        kernel_initializer=keras.initializers.HeNormal(),
        name=f"{name}_conv{suffix}",
    )(x)
    x = keras.layers.BatchNormalization(momentum=_BN_MOMENTUM, name=f"{name}_bn{suffix}")(x)
    return keras.layers.ReLU(name=f"{name}_relu{suffix}")(x)


def build_cnn(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/16, W/16, 256), >= 0.

    Convolution, batch normalisation and ReLU as in VGG with normalisation (arXiv:1409.1556, 1502.03167).
    The first block halves the side twice at once, where most of the arithmetic of such a network would lie.
    """
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(inputs)
    x = _conv_relu(x, _FILTERS[0], 2, "block1")
    for index, filters in enumerate(_FILTERS[1:], start=2):
        name = f"block{index}"
        x = keras.layers.MaxPooling2D(name=f"{name}_pool")(x)
        x = _conv_relu(x, filters, 1, name, "_a")
        x = _conv_relu(x, filters, 1, name)
    return keras.Model(inputs, x, name=backbone.name)
