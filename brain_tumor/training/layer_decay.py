"""Learning rates that fall from block to block towards the image (Bao et al. 2021, arXiv:2106.08254, section 3.3).

What a pretrained network knows of images in general lies in its first blocks, which so keep more of it.
"""

from collections.abc import Mapping
from typing import Any

import keras

from brain_tumor.models.classifier import blocks


def layer_rates(model: keras.Model, decay: float | None) -> dict[str, float]:
    """What the learning rate is multiplied by for each layer of the backbone, by name; the head's is 1.

    The last group of `blocks`, of most networks the layer before the head, learns at the full rate.
    """
    if decay is None:
        return {}
    return {layer.name: decay**distance for distance, group in enumerate(reversed(blocks(model))) for layer in group}


def by_layer(kind: type[keras.Optimizer], rates: Mapping[str, float], weight_decay: float) -> type[keras.Optimizer]:
    """An optimizer of this kind with a learning rate of each layer, and with weight decay at the same rate.

    `rates` has a factor for layers by name, 1 for those that it leaves out. The decay is decoupled, as Keras' own is,
    which knows but one rate; what `exclude_from_weight_decay` names is spared.
    """

    class ByLayer(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            path = self._trainable_variables[self._get_variable_index(variable)].path
            rate = learning_rate * rates.get(path.split("/")[0], 1.0)
            if weight_decay and self._use_weight_decay(variable):
                self.assign_sub(variable, variable * keras.ops.cast(rate * weight_decay, variable.dtype))
            super().update_step(gradient, variable, rate)

    return ByLayer
