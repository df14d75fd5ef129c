"""What a training step gains: python benchmarks/training_step.py [--model effnet_lite0] [--size 160] [--batch 32].

Four variants in processes of their own, in turn: `keras` has Keras' batch norm, `fused` that of training/batch_norm,
`kept` besides keeps the memory that a step frees (`start_tensorflow`), and `last 12` trains the last 12 blocks only,
as `schedule=fast` does. Each is a `fit` on random images, as in `train`. Prints images a second and the ratio of each
variant to the one above it, round by round: the median and the range.
"""

import argparse
import json

from jobs import machine
from turns import THREADS, clocked_fit, in_turn, median, times

VARIANTS = ("keras", "fused", "kept", "last 12")


def measure(variant: str, name: str, size: int, batch: int) -> dict[str, float]:
    """Wall and processor seconds of an image."""
    from brain_tumor.models.backend import import_tensorflow, start_tensorflow

    import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    if variant in ("kept", "last 12"):
        start_tensorflow()
    import keras
    import numpy as np

    from brain_tumor.models.classifier import blocks, build_classifier
    from brain_tumor.training.batch_norm import learning_model

    tf.config.experimental.enable_op_determinism()
    model = build_classifier(name, shape=(size, size, 3), weights=None, dropout=0.2, seed=0)
    if variant == "last 12":
        for layer in (layer for block in blocks(model)[:-12] for layer in block):
            layer.trainable = False
    learner = model if variant == "keras" else learning_model(model)
    learner.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy", jit_compile=False)
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype(np.uint8)
    wall, processor = clocked_fit(learner, (images, np.arange(batch) % 4))
    return {"wall": wall, "processor": processor}


def main() -> None:
    """Run the variants in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="effnet_lite0")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(json.dumps(measure(chosen.variant, chosen.model, chosen.size, chosen.batch)))
        return
    same = ["--model", chosen.model, "--size", str(chosen.size), "--batch", str(chosen.batch)]
    found = in_turn(VARIANTS, chosen.rounds, same)
    print(f"{chosen.model}, {chosen.size} px, batch {chosen.batch}, {THREADS} threads; {machine()}")
    print("| variant | images/s | to the one above | images per processor second | to the one above |")
    print("|---|---|---|---|---|")
    for position, variant in enumerate(VARIANTS):
        cells = []
        for kind in ("wall", "processor"):
            above = found[VARIANTS[position - 1]]
            cells += [f"{1 / median(found[variant], kind):.1f}"]
            cells += [times(above, found[variant], kind) if position else ""]
        print(f"| {variant} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
