"""What a lesion map costs in training: python benchmarks/evidence_head.py [--model effnet_lite0] [--size 128].

A step of `model.head=evidence`, with the masks that it learns from, against one of `pooled`: each a `fit` on random
images in a process of its own, in turn. Prints milliseconds an image and the ratio, round by round: median and range.
"""

import argparse
import json
from typing import Any

from composed import configured
from jobs import machine
from turns import THREADS, clocked_fit, in_turn, median, times

VARIANTS = ("pooled", "evidence")
BATCH = 32


def measure(head: Any, name: str, size: int) -> dict[str, float]:
    """Wall and processor milliseconds of an image."""
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.batch_norm import learning_model
    from brain_tumor.training.optimizers import Objective, losses
    from brain_tumor.training.stage import with_map

    tf.config.experimental.enable_op_determinism()
    built = build_classifier(name, shape=(size, size, 3), weights=None, dropout=0.2, seed=0, head=head)
    model = learning_model(with_map(built))
    phase = configured(["model.weights=none"]).schedule["all"]
    model.compile(keras.optimizers.AdamW(1e-4), **losses(model, phase, Objective()), jit_compile=False)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (BATCH, size, size, 3)).astype(np.uint8)
    labels = np.arange(BATCH, dtype=np.int32) % 4
    targets: Any = labels
    if head == "evidence":
        targets = labels, (generator.random((BATCH, *model.outputs[1].shape[1:])) < 0.05).astype(np.float32)

    wall, processor = clocked_fit(model, (images, targets))
    return {"wall": 1000 * wall, "processor": 1000 * processor}


def main() -> None:
    """Run both in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="effnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(json.dumps(measure(chosen.variant, chosen.model, chosen.size)))
        return
    found = in_turn(VARIANTS, chosen.rounds, ["--model", chosen.model, "--size", str(chosen.size)])
    print(f"{chosen.model}, {chosen.size} px, batch {BATCH}, {THREADS} threads; {machine()}")
    print("| head | ms an image | processor ms an image |\n|---|---|---|")
    for head in VARIANTS:
        print(f"| {head} | {median(found[head], 'wall'):.1f} | {median(found[head], 'processor'):.1f} |")
    ratios = (times(found["evidence"], found["pooled"], kind) for kind in ("wall", "processor"))
    print(f"| evidence to pooled | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
