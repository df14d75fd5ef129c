"""Batch normalisation that learns in one operation, where Keras takes a dozen.

On a CPU Keras' layer computes its statistics, and their gradients, operation by operation, each of which reads or
writes the whole activation. TensorFlow's FusedBatchNorm (Ioffe & Szegedy 2015) does the same in one pass forth and one
back. `benchmarks/training_step.py` measures what that gives.
"""

from typing import Any

import keras
import tensorflow as tf

from brain_tumor.training.distribute import replicas


class FusedBatchNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Does what `source`, a Keras layer, does, with its variables; one for which `can_fuse` says so."""

    def __init__(self, source: keras.layers.BatchNormalization) -> None:
        super().__init__(name=source.name, dtype=source.dtype_policy)
        self.source = source

    def call(self, inputs: Any, training: bool = False, mask: None = None) -> Any:
        source = self.source
        if not (training and source.trainable):
            return source(inputs, training=False)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, source.gamma, source.beta, epsilon=source.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], variance.dtype)
        variance *= 1 - 1 / count  # the operation estimates that of the population, Keras keeps that of the batch
        for average, value in ((source.moving_mean, mean), (source.moving_variance, variance)):
            average.assign(average * source.momentum + value * (1 - source.momentum))
        return outputs


def can_fuse(layer: keras.layers.Layer) -> bool:
    """Whether the layer is a batch norm over the channels of float32 pictures, with scale and shift, that learns."""
    return (
        isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and layer.compute_dtype == "float32"
        and layer.gamma is not None
        and layer.beta is not None
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.epsilon > 1.001e-5  # the operation takes no less
    )


def learning_model(model: keras.Model) -> keras.Model:
    """The model to train: of the same variables in the same order, its batch norms that learn in one operation each.

    Made anew for each phase, since it goes by what is trainable. It is the model itself where there is nothing to gain,
    or where several devices take their statistics together, which the operation cannot.
    """
    if replicas(model) > 1 or not any(can_fuse(layer) for layer in model.layers):
        return model
    bare = keras.Model(model.inputs, model.outputs, name=model.name)  # what an earlier phase compiled is not cloned
    return keras.models.clone_model(
        bare, clone_function=lambda layer: FusedBatchNormalization(layer) if can_fuse(layer) else layer
    )
