"""Gradient accumulation: a batch's step, taken in pieces that fit into the memory there is.

The step is that of the whole batch: the pieces' gradients are added up before the optimizer, its learning rate and its
averaged weights see them. (Keras' own `gradient_accumulation_steps` averages the weights after each piece, and keeps
the pieces in its state, with which a run can only go on in the same pieces.) Two things differ: a batch norm that
learns takes the statistics of a piece, and moves its running averages after each; dropout is drawn piece by piece.
"""

from typing import Any

import keras
import tensorflow as tf


class InPieces(keras.Model):  # type: ignore[misc]
    """`model`, with the same layers and variables, that trains on pieces of at most `size` images."""

    def __init__(self, model: keras.Model, size: int) -> None:
        super().__init__(model.inputs, model.outputs, name=model.name)
        self.piece_size = size

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on images (B, …), targets, labels (B,) and what else is learned, and maybe weights (B,).

        A batch that the pieces do not divide, an epoch's last, is filled up with its first images again; as they share
        their weight with their copies, the gradient stays that of the batch.
        """
        images, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        size = tf.shape(images)[0]
        count = -(-size // self.piece_size)
        share = -(-size // count)
        rows = tf.range(count * share) % size
        copies = tf.where(rows < count * share - size, 2, 1)
        given = tf.ones(count * share) if weights is None else tf.gather(weights, rows)
        shared = tf.cast(given, tf.float32) * tf.cast(count * share / (size * copies), tf.float32)
        rows, shared = tf.reshape(rows, (count, share)), tf.reshape(shared, (count, share))

        def add(index: Any, sums: list[Any]) -> tuple[Any, list[Any]]:
            piece, wanted = keras.tree.map_structure(lambda each: tf.gather(each, rows[index]), (images, targets))
            gradients = self._gradients(piece, wanted, shared[index], size / count)
            return index + 1, [total + gradient for total, gradient in zip(sums, gradients, strict=True)]

        zeros = [tf.zeros(variable.shape) for variable in self.trainable_variables]
        # In parallel they would all be in memory at once.
        _, sums = tf.while_loop(lambda index, _: index < count, add, (0, zeros), parallel_iterations=1)
        means = [total / tf.cast(count, total.dtype) for total in sums]
        self.optimizer.apply(means, self.trainable_variables)
        return dict(self.get_metrics_result())

    def _gradients(self, images: Any, targets: Any, weights: Any, counted: Any) -> list[Any]:
        """Of the piece's mean loss, which counts as that of so many images in what is reported."""
        with tf.GradientTape() as tape:
            outputs = self(images, training=True)
            loss = self.compute_loss(images, targets, outputs, weights, training=True)
            scaled = self.optimizer.scale_loss(loss)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=counted)
        self.compute_metrics(images, targets, outputs, weights)
        return list(tape.gradient(scaled, [variable.value for variable in self.trainable_variables]))
