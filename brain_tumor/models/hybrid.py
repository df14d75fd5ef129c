"""EfficientNet-Lite up to a 16th of the image's side, then attention among its cells (arXiv:2010.11929, "hybrid").

Its convolutions have ImageNet weights that come with this package; its transformer starts from nothing.
"""

from typing import Any

import keras

from brain_tumor.models.backbones import Backbone
from brain_tumor.models.lite import lite_blocks
from brain_tumor.models.transformer import encoder_block, norm, placed

_STAGES = 5  # of Lite's seven: the sixth halves the side once more
_DEPTH, _WIDTH, _HEADS = 4, 192, 3
_DROP_PATH = 0.1  # of the deepest block; grows linearly from 0 at the first


def build_hybrid(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build the backbone on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/16, W/16, 192)."""
    x = lite_blocks(inputs, backbone.variant, _STAGES)
    x = placed(x, _WIDTH, f"block{_STAGES + 1}_embedding")
    for index in range(_DEPTH):
        drop_rate = _DROP_PATH * index / (_DEPTH - 1)
        x = encoder_block(x, f"block{_STAGES + 1 + index}", heads=_HEADS, hidden=4 * _WIDTH, drop_rate=drop_rate)
    return keras.Model(inputs, norm(x, "top_norm"), name=backbone.name)
