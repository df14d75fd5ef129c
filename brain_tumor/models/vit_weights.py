"""Published weights of vision transformers, in the layout of the layers here: read and checked without TensorFlow.

Google's files (`.npz`, github.com/google-research/vision_transformer) have it already; timm's (`.safetensors`) have it
transposed, with query, key and value in one matrix. Both have a class token, which is left out here together with its
position, and so is the ImageNet classifier.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.models.backbones import ATTENDED, Backbone
from brain_tumor.models.tensor_files import Arrays, read_tensors

ndimage = lazy("scipy.ndimage")

PATCH = 16  # pixels a side
DEPTH = 12
_LEFT_OUT = {"cls", "cls_token", "head/kernel", "head/bias", "head.weight", "head.bias"} | {
    f"pre_logits{end}" for end in ("/kernel", "/bias", ".fc.weight", ".fc.bias")
}

Weights = list[NDArray[Any]]


class Shape(NamedTuple):
    """What differs among the sizes."""

    width: int
    heads: int


SHAPES = {"ti16": Shape(192, 3), "s16": Shape(384, 6), "b16": Shape(768, 12)}


class VitWeights(NamedTuple):
    """All weights of a vision transformer without a class token."""

    kernel: NDArray[Any]  # (16, 16, 3, D)
    bias: NDArray[Any]  # (D,)
    positions: NDArray[Any]  # (g, g, D)
    layers: dict[str, Weights]  # of every other layer by name


def read_vit(backbone: Backbone, path: Path) -> VitWeights:
    """Read the weights of a vision transformer.

    Raises:
        InputError: the file cannot be read, or is of another model.
    """
    state = read_tensors(path)
    shape = SHAPES[backbone.variant]
    try:
        found = _from_google(state) if "embedding/kernel" in state else _from_timm(state, shape)
        _check(found, shape)
    except KeyError as error:
        raise InputError(f"{path} does not hold the weights of {backbone.name}: it has no {error}") from error
    except ValueError as error:
        raise InputError(f"{path} does not hold the weights of {backbone.name}: {error}") from error
    if foreign := sorted(set(state) - _LEFT_OUT):
        raise InputError(f"{path} does not hold the weights of {backbone.name}, which has no {foreign[0]}")
    return found


def resized(positions: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Position embeddings (g, g, D) for another grid, linear between those of the first and the last token, as Google's
    own code does it."""
    zoom = (rows / positions.shape[0], columns / positions.shape[1], 1)
    return np.asarray(ndimage.zoom(positions, zoom, order=1), np.float32)


def _from_google(state: Arrays) -> VitWeights:
    def pair(name: str, first: str = "kernel") -> Weights:
        return [state.pop(f"{name}/{first}"), state.pop(f"{name}/bias")]

    layers = {"top_norm": pair("Transformer/encoder_norm", "scale")}
    for index in range(DEPTH):
        theirs = f"Transformer/encoderblock_{index}"
        attention = [
            pair(f"{theirs}/MultiHeadDotProductAttention_1/{part}") for part in ("query", "key", "value", "out")
        ]
        layers |= _block(
            index,
            pair(f"{theirs}/LayerNorm_0", "scale"),
            [each for both in attention for each in both],
            pair(f"{theirs}/LayerNorm_2", "scale"),
            pair(f"{theirs}/MlpBlock_3/Dense_0"),
            pair(f"{theirs}/MlpBlock_3/Dense_1"),
        )
    positions = _grid(state.pop("Transformer/posembed_input/pos_embedding"), "cls" in state)
    return VitWeights(state.pop("embedding/kernel"), state.pop("embedding/bias"), positions, layers)


def _from_timm(state: Arrays, shape: Shape) -> VitWeights:
    def pair(name: str, change: Callable[[NDArray[Any]], NDArray[Any]] = np.transpose) -> Weights:
        return [change(state.pop(f"{name}.weight")), state.pop(f"{name}.bias")]

    kernel, bias = pair("patch_embed.proj", lambda kernel: kernel.transpose(2, 3, 1, 0))  # (D, 3, h, w)
    positions = _grid(state.pop("pos_embed"), "cls_token" in state)
    layers = {"top_norm": pair("norm")}
    width, heads = shape
    for index in range(DEPTH):
        theirs = f"blocks.{index}"
        kernels, biases = pair(f"{theirs}.attn.qkv")  # (D, 3 D), (3 D,)
        out, out_bias = pair(f"{theirs}.attn.proj")
        split = zip(np.moveaxis(kernels.reshape(width, 3, heads, -1), 1, 0), biases.reshape(3, heads, -1), strict=True)
        layers |= _block(
            index,
            pair(f"{theirs}.norm1"),
            [*(each for both in split for each in both), out.reshape(heads, -1, width), out_bias],
            pair(f"{theirs}.norm2"),
            pair(f"{theirs}.mlp.fc1"),
            pair(f"{theirs}.mlp.fc2"),
        )
    return VitWeights(kernel, bias, positions, layers)


def _block(
    index: int, norm1: Weights, attention: Weights, norm2: Weights, mlp1: Weights, mlp2: Weights
) -> dict[str, Weights]:
    """One block's layers by name. Keras keeps attention's variables as query, key, value, out, each kernel and bias."""
    of_block = {ATTENDED: norm1, "_attention": attention, "_norm2": norm2, "_mlp1": mlp1, "_mlp2": mlp2}
    return {f"block{index + 1}{layer}": weights for layer, weights in of_block.items()}


def _grid(positions: NDArray[Any], with_token: bool) -> NDArray[Any]:
    """Position embeddings (1, n, D) as (g, g, D), without that of the class token."""
    if positions.ndim != 3:
        raise ValueError(f"its position embeddings have the shape {positions.shape}")
    of_patches = positions[0, int(with_token) :]
    side = math.isqrt(len(of_patches))
    if not side or side * side != len(of_patches):
        raise ValueError(f"its {len(of_patches)} position embeddings are of no square of patches")
    return of_patches.reshape(side, side, -1)


def _check(found: VitWeights, shape: Shape) -> None:
    """ValueError unless every array has the shape that its layer takes."""
    width, heads = shape
    each = (width, heads, width // heads)
    norm, hidden = [(width,)] * 2, 4 * width
    of_block = {
        ATTENDED: norm,
        "_attention": [each, each[1:]] * 3 + [(*each[1:], width), (width,)],
        "_norm2": norm,
        "_mlp1": [(width, hidden), (hidden,)],
        "_mlp2": [(hidden, width), (width,)],
    }
    expected = {f"block{index + 1}{layer}": shapes for index in range(DEPTH) for layer, shapes in of_block.items()}
    expected |= {"top_norm": norm, "embedding": [(PATCH, PATCH, 3, width), (width,)], "positions": [(width,)]}
    given = found.layers | {"embedding": [found.kernel, found.bias], "positions": [found.positions[0, 0]]}
    for name, shapes in expected.items():
        if (are := [array.shape for array in given[name]]) != shapes:
            raise ValueError(f"{name} takes {shapes}, and it has {are}")
