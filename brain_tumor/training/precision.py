"""Mixed precision (Micikevicius et al. 2018): layers compute in 16 bits while they train, weights stay float32."""

import keras

from brain_tumor.models.hardware import Precision
from brain_tumor.models.heads import FLOAT32


def compute_in(model: keras.Model, precision: Precision) -> None:
    """Let the classifier's layers compute in `precision` from their next tracing on; what is in FLOAT32 stays so.

    The layers are told, and not built so: a model that has trained in 16 bits is told "float32" in the end, and what is
    kept of it computes alike on every machine.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    for layer in model._flatten_layers(include_self=False):  # also those of which an attention is made
        if layer.name not in FLOAT32:
            layer.dtype_policy = policy


def scaled(optimizer: keras.Optimizer, precision: Precision) -> keras.Optimizer:
    """The optimizer; for float16, whose small gradients vanish, one that scales the loss as far as it can be."""
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
