"""The block that all transformers here are made of, on a grid of tokens that stays one: (B, h, w, D).

Maps, stored features and heads take a block's output as they take that of a convolution.
"""

from typing import Any

import keras

from brain_tumor.models.backbones import ATTENDED

EPSILON = 1e-6  # of every layer normalisation, as in the published vision transformers


def positions() -> keras.initializers.Initializer:
    """Of what is learned for each place."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


def norm(x: Any, name: str) -> Any:
    """Normalise each token over its channels."""
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def placed(x: Any, width: int, name: str) -> Any:
    """Each cell of (B, h, w, C) as a token of `width` channels, to which a position is added that is learned."""
    layer = keras.layers.EinsumDense(
        "bhwc,cd->bhwd",
        output_shape=(*x.shape[1:3], width),
        bias_axes="hwd",
        kernel_initializer="lecun_normal",
        bias_initializer=positions(),
        name=name,
    )
    return layer(x)


def encoder_block(x: Any, name: str, *, heads: int, hidden: int, drop_rate: float) -> Any:
    """Attention among all tokens of (B, h, w, D), then a perceptron on each, both on what is normalised and both added.

    Vaswani et al. 2017 (arXiv:1706.03762), normalised first as in Dosovitskiy et al. 2020 (arXiv:2010.11929).

    Args:
        x: the tokens.
        name: `block3`; the layers are `block3_norm1`, `_attention`, `_add1`, `_norm2`, `_mlp1`, `_mlp2` and `_add2`.
        heads: of the attention; they divide D.
        hidden: width of the perceptron.
        drop_rate: of stochastic depth (arXiv:1603.09382), which leaves out a whole branch, image by image.
    """
    width = x.shape[-1]
    attention = keras.layers.MultiHeadAttention(
        heads, width // heads, attention_axes=(1, 2), kernel_initializer="glorot_uniform", name=f"{name}_attention"
    )
    y = norm(x, f"{name}{ATTENDED}")
    x = _added(x, attention(y, y), f"{name}_drop1", f"{name}_add1", drop_rate)
    y = norm(x, f"{name}_norm2")
    y = keras.layers.Dense(hidden, activation="gelu", name=f"{name}_mlp1")(y)
    y = keras.layers.Dense(width, name=f"{name}_mlp2")(y)
    return _added(x, y, f"{name}_drop2", f"{name}_add2", drop_rate)


def _added(x: Any, branch: Any, drop: str, add: str, drop_rate: float) -> Any:
    if drop_rate:
        branch = keras.layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=drop)(branch)
    return keras.layers.Add(name=add)([x, branch])
