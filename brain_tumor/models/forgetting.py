"""Frees what a process's models hold once they are no longer needed, so that it can train any number in turn."""

import gc

import keras
from tensorflow.python.framework import ops


def forget_models() -> None:
    """Free the graphs of all models that nobody refers to any more. Those still in use answer, and learn no more."""
    keras.utils.clear_session()
    # TensorFlow 2.21 (its issue 97697) keeps the gradient of whatever was traced with `tf.custom_gradient` for good,
    # and with it the graph around it: that of every training, since Keras' optimizers sum their gradients through one.
    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]
    gc.collect()
