"""Three-dimensional networks, trained from nothing: ResNets of basic blocks, and a small plain one."""

from typing import Any

import keras

from brain_tumor.models.backbones import Backbone

_BLOCKS = {"10": (1, 1, 1, 1), "18": (2, 2, 2, 2)}  # basic blocks of each of the four stages
_FILTERS = (64, 128, 256, 512)
_PLAIN = (16, 32, 64, 128)
_BN_MOMENTUM = 0.9  # statistics settle within the first epochs of a few hundred volumes


def build_resnet3d(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, 0..255 (B, D, H, W, C); the output is (B, ⌈D/16⌉, ⌈H/32⌉, ⌈W/32⌉, 512), >= 0.

    ResNet-10 and ResNet-18 as Hara, Kataoka & Satoh (2018, arXiv:1711.09577) made them of He et al. (2015,
    arXiv:1512.03385): a stem of 7 x 7 x 7 that halves the slices' sides alone, for these are finer than their distance.
    """
    x = _standardised(inputs)
    x = _conv(x, 64, 7, (1, 2, 2), "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    x = keras.layers.MaxPooling3D(3, 2, padding="same", name="stem_pool")(x)
    for stage, (count, filters) in enumerate(zip(_BLOCKS[backbone.variant], _FILTERS, strict=True), start=1):
        for place in range(count):
            x = _basic(x, filters, 2 if stage > 1 and place == 0 else 1, f"block{stage}{'ab'[place]}")
    return keras.Model(inputs, x, name=backbone.name)


def build_cnn3d(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, 0..255 (B, D, H, W, C); the output is (B, ⌈D/8⌉, ⌈H/16⌉, ⌈W/16⌉, 128), >= 0.

    One convolution of 3 x 3 x 3 a block, each with batch normalisation and ReLU.
    """
    x = _standardised(inputs)
    for block, filters in enumerate(_PLAIN, start=1):
        x = _conv(x, filters, 3, (1, 2, 2) if block == 1 else 2, f"block{block}")
        x = keras.layers.ReLU(name=f"block{block}_relu")(x)
    return keras.Model(inputs, x, name=backbone.name)


def _standardised(inputs: Any) -> Any:
    """Undoes the grays of `data.volumes.fitting.standardised`: deviations from the head's mean."""
    return keras.layers.Rescaling(1 / 42.5, offset=-128 / 42.5, name="rescaling")(inputs)


def _basic(x: Any, filters: int, stride: int, name: str) -> Any:
    way = x
    if stride > 1 or x.shape[-1] != filters:
        way = _conv(x, filters, 1, stride, f"{name}_shortcut")
    x = _conv(x, filters, 3, stride, f"{name}_first")
    x = keras.layers.ReLU(name=f"{name}_first_relu")(x)
    x = _conv(x, filters, 3, 1, f"{name}_second")
    x = keras.layers.Add(name=f"{name}_add")([x, way])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _conv(x: Any, filters: int, size: int, stride: int | tuple[int, ...], name: str) -> Any:
    x = keras.layers.Conv3D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=False,  # batch normalisation has its own
        kernel_initializer=keras.initializers.HeNormal(),
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=_BN_MOMENTUM, name=f"{name}_bn")(x)
