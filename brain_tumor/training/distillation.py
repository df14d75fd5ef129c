"""Distillation: a student learns a teacher's probabilities beside the labels (Hinton et al. 2015, arXiv:1503.02531).

With the temperature T and the weight w an image's loss is that of the soft distillation of DeiT (Touvron et al. 2021,
arXiv:2012.12877, section 4):

    (1 - w) L(label, p) + w T² KL(softmax(z' / T) || softmax(z / T))

where L is the phase's loss by the label, focal or smoothed, p and z are the student's probabilities and logits, and z'
the teacher's logits: the calibrated ones, by which it answers. The weights of classes and sites count for both terms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from brain_tumor.config.schedule import DistillConfig

LEAST = 1e-20  # of a probability, of which the logarithm is taken


@dataclass(frozen=True, eq=False)
class Teacher:
    """Of whom is learned beside the labels, and how."""

    model: keras.Model  # from `teacher_of`
    distill: DistillConfig


def teacher_of(model: keras.Model, order: Sequence[int], shape: tuple[int, ...]) -> keras.Model:
    """A classifier as a teacher: from images 0..255 (B, *shape) to its logits (B, C).

    It sees slices (S, S, 3) at its own size, and whole volumes (D, H, W, 1) as they are. `order` names for each class
    of the student the place of it among the classifier's outputs. The classifier's last weights are changed.
    """
    logits = model.get_layer("logits")
    logits.set_weights([weights[..., list(order)] for weights in logits.get_weights()])
    side = model.input_shape[1]
    images = shown = keras.Input(shape, name="image")
    if side != shape[0]:
        shown = keras.layers.Resizing(side, side, antialias=True, name="resized")(images)
    answered = keras.Model(model.inputs, logits.output, name="answered")(shown, training=False)
    teacher = keras.Model(images, answered, name=f"{model.name}_{side}_teacher")
    teacher.jit_compile = False  # measured 7 times slower on a CPU
    return teacher


def asking(teacher: keras.Model) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The teacher as a function of images uint8 (B, …, C), which several threads may call."""
    run = tf.function(
        lambda images: teacher(images, training=False),
        input_signature=[tf.TensorSpec(teacher.input_shape, tf.uint8)],
    )
    run.get_concrete_function()  # traced here and now, by one thread
    return lambda images: np.asarray(run(images), np.float32)


def distilled(loss: Callable[[Any, Any], Any], distill: DistillConfig) -> Callable[[Any, Any], Any]:
    """The loss (B,) of labels beside a teacher's logits (B, 1 + C) and the student's probabilities (B, C).

    `loss` is that of labels (B,) and probabilities.
    """
    ops, temperature, weight = keras.ops, distill.temperature, distill.weight

    def both(truth: Any, probabilities: Any) -> Any:
        teacher = ops.log_softmax(truth[:, 1:] / temperature)
        student = ops.log_softmax(ops.log(ops.maximum(probabilities, LEAST)) / temperature)
        apart = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
        labels = ops.cast(truth[:, 0], "int32")
        return (1 - weight) * loss(labels, probabilities) + weight * temperature**2 * apart

    return both


def accuracy(truth: Any, probabilities: Any) -> Any:
    """Whether each label (B,) of labels beside a teacher's logits is the most probable class."""
    return keras.metrics.sparse_categorical_accuracy(truth[:, 0], probabilities)
