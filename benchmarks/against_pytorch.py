"""EfficientNet-Lite0 here and in PyTorch: python benchmarks/against_pytorch.py [--size 160] [--batch 32] [--rounds 3].

    pip install 'brain-tumor[benchmarks]'

Ours trains by `model.fit` on a generator and predicts by `predict_on_batch`, as `train` and `evaluate` do. The twin
(efficientnet-lite-pytorch) has the same layers, weights, uint8 pictures, loss and AdamW, there in PyTorch's fused form;
of its two memory layouts the table gives the better one of each task. fp32, two threads, in turn, a process each.
"""

import argparse
import json
from typing import Any

from jobs import machine
from networks import endless, learner, ours, pictures, scaled, twin
from turns import WARM_UP, Clock, clocked, in_turn, median, times

VARIANTS = ("ours", "channels_last", "contiguous_format")
TASKS = ("train", "infer")
STEPS = 6


def measure_ours(size: int, batch: int) -> dict[str, float]:
    """Milliseconds an image."""
    model, images = ours(size), pictures(batch, size)
    import keras

    clocks = []

    class Start(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            if step == WARM_UP:
                clocks.append(Clock())

    steps = WARM_UP + STEPS
    learner(model, steps).fit(endless(images), steps_per_epoch=steps, callbacks=[Start()], shuffle=False, verbose=0)
    trained = clocks[0].spent(STEPS * batch)
    model.jit_compile = False  # as in evaluation/prediction.py
    return report(trained, clocked(lambda: model.predict_on_batch(images), batch))


def measure_twin(layout: str, size: int, batch: int) -> dict[str, float]:
    """Milliseconds an image."""
    model, images = twin(size, layout), pictures(batch, size)
    import torch

    labels = torch.arange(batch) % 4
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-4, fused=True)

    def train() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(scaled(images, layout)), labels, label_smoothing=0.05)
        loss.backward()
        optimizer.step()
        loss.item()

    def infer() -> None:
        with torch.inference_mode():
            torch.softmax(model(scaled(images, layout)), dim=1).numpy()

    trained = clocked(train, batch)
    model.eval()
    return report(trained, clocked(infer, batch))


def report(*spent: tuple[float, float]) -> dict[str, float]:
    """Of train and infer: wall and processor milliseconds an image."""
    return {
        f"{task} {kind}": 1000 * seconds
        for task, both in zip(TASKS, spent, strict=True)
        for kind, seconds in zip(("wall", "processor"), both, strict=True)
    }


def main() -> None:
    """Run the variants in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant == "ours":
        print(json.dumps(measure_ours(chosen.size, chosen.batch)))
        return
    if chosen.variant:
        print(json.dumps(measure_twin(chosen.variant, chosen.size, chosen.batch)))
        return
    found = in_turn(VARIANTS, chosen.rounds, ["--size", str(chosen.size), "--batch", str(chosen.batch)])
    print(f"EfficientNet-Lite0, {chosen.size} px, batch {chosen.batch}; {machine('torch')}")
    print("| task | ours, processor ms an image | PyTorch | times as much | and in wall time | PyTorch's layout |")
    print("|---|---|---|---|---|---|")
    for task in TASKS:
        key = f"{task} processor"
        layout = min(VARIANTS[1:], key=lambda each: median(found[each], key))
        cells = [f"{median(found[each], key):.1f}" for each in ("ours", layout)]
        cells += [times(found[layout], found["ours"], f"{task} {kind}") for kind in ("processor", "wall")]
        print(f"| {task} | {' | '.join(cells)} | {layout} |")


if __name__ == "__main__":
    main()
