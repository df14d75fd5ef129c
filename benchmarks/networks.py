"""EfficientNet-Lite0 as this package trains it, and its twin in PyTorch, of the same weights."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from composed import configured
from turns import THREADS


def pictures(count: int, size: int) -> np.ndarray:
    """Random pictures (count, size, size, 3), 0..255."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def phase(name: str = "all", **changes: Any) -> Any:
    """A phase of the default schedule, as the package's typed configuration."""
    return replace(configured(["schedule=finetune"]).schedule[name], **changes)


def ours(size: int) -> Any:
    """The classifier with ImageNet weights, TensorFlow started as `train` starts it."""
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow(THREADS)
    import tensorflow as tf

    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.models.weights import resolve_weights

    tf.config.experimental.enable_op_determinism()
    weights = resolve_weights("effnet_lite0", "imagenet")
    return build_classifier("effnet_lite0", shape=(size, size, 3), weights=weights, dropout=0.2, seed=0)


def learner(model: Any, steps: int) -> Any:
    """What `train` fits when everything learns."""
    from brain_tumor.training.batch_norm import learning_model
    from brain_tumor.training.fit import compile_phase

    learning = learning_model(model)
    compile_phase(learning, phase(), steps)
    return learning


def endless(images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same batch again and again."""
    while True:
        yield images, (np.arange(len(images)) % 4).astype(np.int32)


def twin(size: int, layout: str) -> Any:
    """The PyTorch model; `layout` is "channels_last" or "contiguous_format"."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from brain_tumor.models.torch_pickle import read_state_dict
    from brain_tumor.models.weights import resolve_weights

    torch.set_num_threads(THREADS)
    model = EfficientNet.from_name("efficientnet-lite0", num_classes=4, image_size=size)
    path = resolve_weights("effnet_lite0", "imagenet")
    assert path is not None
    state = {name: torch.from_numpy(np.array(value)) for name, value in read_state_dict(path).items()}
    model.load_state_dict({name: value for name, value in state.items() if "_fc." not in name}, strict=False)
    for layer in model.modules():  # let the convolution pad, instead of copying its input, wherever it can
        around = getattr(getattr(layer, "static_padding", None), "padding", None)
        if around is not None and len(set(around)) == 1:
            layer.padding, layer.static_padding = around[:2], torch.nn.Identity()
    return model.to(memory_format=getattr(torch, layout))


def scaled(images: np.ndarray, layout: str) -> Any:
    """Pictures (B, H, W, 3), 0..255, as the PyTorch model takes them."""
    import torch

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32)
    return ((pixels - 127) / 128).contiguous(memory_format=getattr(torch, layout))
