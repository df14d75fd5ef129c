"""What a transformer costs beside Lite0: python benchmarks/transformers.py [--model vit_ti16] [--size 160].

A training step as `train` takes it, and an answer, of each network in a process of its own, in turn, with random
weights on random images. Prints processor milliseconds an image, and how many times as long as Lite0 the other takes,
round by round: the median and the range. Wanted of vit_ti16 at 160 px: a step of at most 1.2 times, an answer of 2.2.
"""

import argparse
import json

from jobs import machine
from turns import THREADS, clocked, clocked_fit, in_turn, median, times

LITE = "effnet_lite0"
KINDS = ("step", "answer")


def measure(name: str, size: int, batch: int) -> dict[str, float]:
    """Processor milliseconds of an image."""
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow(THREADS)
    import keras
    import numpy as np
    import tensorflow as tf

    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.batch_norm import learning_model

    tf.config.experimental.enable_op_determinism()
    model = build_classifier(name, shape=(size, size, 3), weights=None, dropout=0.2, seed=0)
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype(np.uint8)
    model.compile(jit_compile=False)
    _, answer = clocked(lambda: model.predict_on_batch(images), batch)
    learner = learning_model(model)
    learner.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy", jit_compile=False)
    _, step = clocked_fit(learner, (images, np.arange(batch) % 4))
    return {"step": 1000 * step, "answer": 1000 * answer}


def main() -> None:
    """Run both in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="vit_ti16")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(json.dumps(measure(chosen.variant, chosen.size, chosen.batch)))
        return
    found = in_turn((LITE, chosen.model), chosen.rounds, ["--size", str(chosen.size), "--batch", str(chosen.batch)])
    print(f"{chosen.size} px, batch {chosen.batch}, {THREADS} threads; {machine()}")
    print(f"| processor ms an image | {' | '.join(KINDS)} |\n|---|---|---|")
    for name, rounds in found.items():
        print(f"| {name} | {' | '.join(f'{median(rounds, kind):.1f}' for kind in KINDS)} |")
    ratios = (times(found[chosen.model], found[LITE], kind) for kind in KINDS)
    print(f"| times as long | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
