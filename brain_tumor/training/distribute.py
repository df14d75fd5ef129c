"""Data-parallel training of one model on several devices, by TensorFlow's MirroredStrategy.

Every device holds the weights and takes its share of each batch; gradients and batch-norm statistics are those of the
whole batch. So the history is that of one device, up to rounding, to dropout, which every device draws alike for its
share, and to batches that cannot be shared equally.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from brain_tumor.models.backend import training_devices

# Inputs (images (B, H, W, 3) uint8 or features (B, D)), labels (B,) int32, and maybe weights (B,).
Stream = Generator[tuple[Any, ...], None, None]


@cache  # a second MirroredStrategy in a process numbers its exchanges as the first did, and TensorFlow mixes them up
def make_strategy(name: str) -> Any:
    """The tf.distribute.Strategy of `hardware.strategy`: for "none" TensorFlow's default, whose scope does nothing.

    A model that is built in its scope trains by it. Raises InputError if there are fewer than two devices to mirror on.
    """
    devices = training_devices(name)
    return tf.distribute.MirroredStrategy(devices) if devices else tf.distribute.get_strategy()


def replicas(model: keras.Model) -> int:
    """How many devices the model trains on."""
    return int(model.distribute_strategy.num_replicas_in_sync)


@contextmanager
def fed(model: keras.Model, start: Callable[[], Stream]) -> Iterator[Any]:
    """What `model.fit` takes to train on the batches of the stream that `start` begins; closed in the end.

    On several devices Keras begins to read its data before it trains, to build the model, and then reads it anew. With
    a generator that would lose batches; here every reading begins a stream of its own, which ends when it is dropped.
    """
    if replicas(model) > 1:
        yield _distributed(model, start)
        return
    stream = start()
    try:
        yield stream
    finally:
        stream.close()


def _distributed(model: keras.Model, start: Callable[[], Stream]) -> Any:
    count = replicas(model)

    def generate() -> Stream:
        stream = start()
        try:
            for batch in stream:
                yield from shares(batch, count)
        finally:
            stream.close()

    signature = (
        tf.TensorSpec(model.input_shape, tf.uint8 if len(model.input_shape) == 4 else tf.float32),  # images or features
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.float32),
    )

    def pipeline(context: Any) -> tf.data.Dataset:
        return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2 * count)

    return model.distribute_strategy.distribute_datasets_from_function(pipeline)


def shares(batch: tuple[Any, ...], count: int) -> Iterator[tuple[Any, ...]]:
    """Split a batch into `count` shares of equal size (Keras needs that), each image with its weight in the gradient.

    A batch that cannot be split so, mostly an epoch's last, is filled up with its first images again; as they share
    their weight with their copies, the gradient stays that of the batch.
    """
    images, labels = batch[:2]
    size = len(labels)
    order = np.arange(-(-size // count) * count) % size
    copies = np.bincount(order)
    given = batch[2] if len(batch) > 2 else np.ones(size)
    weights = (given * len(order) / (size * copies)).astype(np.float32)
    for rows in np.split(order, count):
        yield images[rows], labels[rows], weights[rows]


@contextmanager
def synchronized(model: keras.Model) -> Iterator[None]:
    """Meanwhile the batch-norm layers of a mirrored model take their statistics over all devices.

    Otherwise each device would use those of its share, and only the first one's running averages would be kept.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.synchronized = replicas(model) > 1
    try:
        yield
    finally:
        for layer in norms:
            layer.synchronized = False


def predictor(model: keras.Model) -> keras.Model:
    """The model to predict with while it trains, on one device; of a mirrored one a second model of the same layers.

    For a mirrored model predicts every batch on each device, and returns it as often.
    """
    return model if replicas(model) == 1 else keras.Model(model.inputs, model.outputs, name=model.name)


def finished(model: keras.Model) -> keras.Model:
    """The model without what it was compiled with and trained on, which is nobody's business once training is over."""
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    if replicas(model) == 1:
        return bare
    plain = keras.models.clone_model(bare)
    plain.set_weights(bare.get_weights())
    return plain
