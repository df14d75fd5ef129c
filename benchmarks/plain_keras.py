"""The plain Keras script of the field, as a peer: python benchmarks/plain_keras.py TREE [--size 128] [--seed 0].

TREE has train/, val/ and test/, a folder a class in each. The same backbone, with the same weights, as `train` builds;
`image_dataset_from_directory`, cached; augmentation by Keras' layers; `fit` with AdamW, warm-up and cosine. After each
epoch it prints the validation part's macro F1, and in the end the test part's accuracy of the best epoch's weights.
"""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import accuracy_score, f1_score

from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.weights import resolve_weights


def images(tree: Path, part: str, size: int, seed: int | None = None) -> Any:
    """Batches of a part, shuffled by `seed`, or as they are."""
    options = {"image_size": (size, size), "batch_size": 32, "shuffle": seed is not None, "seed": seed}
    return keras.utils.image_dataset_from_directory(tree / part, verbose=False, **options)


def augmentation() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(15 / 360, fill_mode="constant"),
            keras.layers.RandomTranslation(0.0625, 0.0625, fill_mode="constant"),
            keras.layers.RandomZoom(0.1, fill_mode="constant"),
            keras.layers.RandomBrightness(0.2),
            keras.layers.RandomContrast(0.2),
        ]
    )


class BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps those of the epoch with the best macro F1, and prints it."""

    def __init__(self, val: Any) -> None:
        super().__init__()
        self.val, self.best, self.weights = val, -1.0, None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        score = f1_score(*answers(self.model, self.val), average="macro")
        if score > self.best:
            self.best, self.weights = score, self.model.get_weights()
        print(f"epoch {epoch + 1}: val/macro_f1 {score:.4f}", flush=True)


def answers(model: keras.Model, dataset: Any) -> tuple[Any, Any]:
    """The true and the predicted classes (n,) of a dataset."""
    truth = np.concatenate([np.asarray(labels) for _, labels in dataset])
    return truth, model.predict(dataset, verbose=0).argmax(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    chosen = parser.parse_args()
    keras.utils.set_random_seed(chosen.seed)
    weights = resolve_weights("effnet_lite0", "imagenet")
    model = build_classifier(
        "effnet_lite0", shape=(chosen.size, chosen.size, 3), weights=weights, dropout=0.2, seed=chosen.seed
    )
    augment = augmentation()
    train = images(chosen.tree, "train", chosen.size, chosen.seed).cache()
    steps = len(train)
    train = train.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    val, test = (images(chosen.tree, part, chosen.size).cache() for part in ("val", "test"))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, (chosen.epochs * steps) - steps // 2, warmup_target=1e-3, warmup_steps=steps // 2
    )
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.05)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss=lambda truth, found: smoothed(tf.one_hot(tf.cast(tf.reshape(truth, [-1]), tf.int32), 4), found),
        metrics=["accuracy"],
    )
    kept = BestWeights(val)
    model.fit(train.prefetch(tf.data.AUTOTUNE), epochs=chosen.epochs, callbacks=[kept], verbose=0)
    model.set_weights(kept.weights)
    print(f"test accuracy {accuracy_score(*answers(model, test)):.4f}", flush=True)


if __name__ == "__main__":
    main()
