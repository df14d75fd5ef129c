"""Attention rollout: what share of an answer comes from each cell, by a transformer's attention alone.

Abnar & Zuidema 2020 (arXiv:2005.00928, section 3). Of what a block hands on, half is what it was given, for it adds to
that, and half what its heads attend to in the mean; shares are multiplied from the answer down to the first block. It
knows neither what a cell says nor the logits, and so it is blind to the class: one map, whatever is answered.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.lazy import lazy
from brain_tumor.models.backbones import ATTENDED, SHARES
from brain_tumor.models.members import prefixes

keras = lazy("keras")
tf = lazy("tensorflow")


def attended(model: Any) -> list[str]:
    """The layers that the blocks of a transformer attend to, the first block's first; none of anything else."""
    if prefixes(model) != [""]:
        return []
    return [layer.name for layer in model.layers if layer.name.endswith(ATTENDED)]


def rollout(model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Function of images (B, H, W, 3) RGB 0..255 that gives the shares (B, h, w), 1 in sum, of the tokens' cells.

    Weights that change later are followed. The model has blocks, see `attended`.
    """
    names = attended(model)
    attentions = [model.get_layer(f"{name.removesuffix(ATTENDED)}_attention") for name in names]
    weighing = [layer.output for layer in model.layers if layer.name == SHARES]
    observed = keras.Model(model.inputs, [*(model.get_layer(name).output for name in names), *weighing])
    rows, columns = observed.outputs[0].shape[1:3]
    cells, dtype = rows * columns, model.inputs[0].dtype

    def run(images: Any) -> Any:
        outputs = observed(images, training=False)
        # Tokens are read in their mean, where the network does not weigh them itself.
        flow = tf.ones((tf.shape(images)[0], 1, cells)) / cells
        for shares in outputs[len(names) :]:
            flow = tf.reshape(tf.cast(shares, "float32"), (-1, 1, cells))
        for layer, tokens in reversed(list(zip(attentions, outputs, strict=False))):
            _, scores = layer(tokens, tokens, return_attention_scores=True, training=False)  # (B, heads, h, w, h, w)
            mean = tf.reshape(tf.reduce_mean(tf.cast(scores, "float32"), axis=1), (-1, cells, cells))
            flow = (flow + flow @ mean) / 2
        return tf.reshape(flow, (-1, rows, columns))

    graph = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype)
    )
    return lambda images: np.asarray(graph(tf.constant(images, dtype)).numpy())
