"""Grad-CAM maps a second, here and by others' tools: python benchmarks/gradcam.py [--size 160] [--rounds 3].

    pip install 'brain-tumor[benchmarks]'

Maps at the image's resolution of the last batch norm of EfficientNet-Lite0, of the same weights, class and random
pictures. tf-keras-vis and, where it is installed, Xplique explain our own model; pytorch-grad-cam the PyTorch twin, in
the layout that is the faster one in `against_pytorch.py`. `frozen` is pytorch-grad-cam on a twin of which nothing below
that layer learns, so that the way back ends there, as ours does. Also how alike the maps are. fp32, two threads, in
turn, a process each.
"""

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jobs import machine
from networks import ours, pictures, scaled, twin
from turns import clocked, in_turn, median, times

KERAS = ("ours", "tf-keras-vis", *(["xplique"] if importlib.util.find_spec("xplique") else []))
VARIANTS = (*KERAS, "pytorch-grad-cam", "frozen")
LAYOUT = "channels_last"
Mapping = Callable[[], np.ndarray]  # gives the maps (B, S, S) of class 0


def by_keras(images: np.ndarray, kernel: np.ndarray, variant: str) -> Mapping:
    """By ours, tf-keras-vis or Xplique."""
    model = ours(images.shape[1])
    import keras

    from brain_tumor.evaluation.explanation.maps import mapper

    model.get_layer("logits").set_weights([kernel, np.zeros(4, np.float32)])
    if variant == "ours":
        make = mapper(model, [("gradcam", "top_bn")], 1)
        return lambda: make(images, np.zeros(len(images), np.int64))[0]
    logits = keras.Model(model.inputs, model.get_layer("logits").output)
    floats = images.astype(np.float32)
    if variant == "xplique":
        from xplique.attributions import GradCAM

        explain = GradCAM(logits, batch_size=len(images), conv_layer="top_bn")
        first = np.eye(4, dtype=np.float32)[np.zeros(len(images), int)]
        return lambda: np.asarray(explain(floats, first))[..., 0]
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    explain = Gradcam(logits, clone=False)
    score = CategoricalScore([0] * len(images))
    return lambda: explain(score, floats, penultimate_layer="top_bn", seek_penultimate_conv_layer=False)


def by_pytorch(images: np.ndarray, kernel: np.ndarray, variant: str) -> Mapping:
    """By pytorch-grad-cam."""
    model = twin(images.shape[1], LAYOUT).eval()
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model._fc.weight.data[:] = torch.from_numpy(kernel.T)
    model._fc.bias.data[:] = 0
    if variant == "frozen":
        model.requires_grad_(False)
        model._bn1.requires_grad_(True)
    explain = GradCAM(model=model, target_layers=[model._bn1])
    targets = [ClassifierOutputTarget(0)] * len(images)
    return lambda: explain(input_tensor=scaled(images, LAYOUT), targets=targets)


def main() -> None:
    """Run the variants in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--maps", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        images = pictures(chosen.batch, chosen.size)
        kernel = np.random.default_rng(1).normal(0, 0.05, (1280, 4)).astype(np.float32)
        by = by_keras if chosen.variant in KERAS else by_pytorch
        make = by(images, kernel, chosen.variant)
        wall, processor = clocked(make, chosen.batch)
        np.save(chosen.maps / f"{chosen.variant}.npy", make())
        print(json.dumps({"wall": 1000 * wall, "processor": 1000 * processor}))
        return
    with tempfile.TemporaryDirectory() as folder:
        same = ["--size", str(chosen.size), "--batch", str(chosen.batch), "--maps", folder]
        found = in_turn(VARIANTS, chosen.rounds, same)
        maps = {variant: np.load(Path(folder) / f"{variant}.npy").ravel() for variant in VARIANTS}
    print(f"Grad-CAM, {chosen.size} px, batch {chosen.batch}; {machine('tf-keras-vis', 'torch', 'grad-cam')}")
    print("| tool | processor ms a map | maps/s | processor time, times ours | wall time, times ours | correlation |")
    print("|---|---|---|---|---|---|")
    for variant, rounds in found.items():
        cells = [f"{median(rounds, 'processor'):.1f}", f"{1000 / median(rounds, 'wall'):.0f}"]
        cells += [times(rounds, found["ours"], kind) for kind in ("processor", "wall")]
        print(f"| {variant} | {' | '.join(cells)} | {np.corrcoef(maps['ours'], maps[variant])[0, 1]:.3f} |")


if __name__ == "__main__":
    main()
