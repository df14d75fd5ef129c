"""EfficientNet and EfficientNetV2 from `keras.applications`, their input scaling, and Keras weights files."""

from pathlib import Path
from typing import Any

import keras

from brain_tumor.errors import InputError
from brain_tumor.models.backbones import Backbone

# Mean and standard deviation of ImageNet's pixels, RGB, 0..1.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def build_efficientnet(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build EfficientNet B0 to B7 on `inputs`, RGB 0..255 (B, H, W, 3); the output is (B, H/32, W/32, C)."""
    build = getattr(keras.applications, f"EfficientNet{backbone.variant.upper()}")
    trunk = build(include_top=False, weights=None, input_tensor=inputs)
    _set_imagenet_scaling(trunk)
    return trunk


def build_efficientnet_v2(backbone: Backbone, inputs: Any) -> keras.Model:
    """Build EfficientNetV2 B0 to B3 or S, as `build_efficientnet`.

    Keras scales by (x / 255 - mean) / std in the B variants and by x / 128 - 1 in S, whatever the weights.
    """
    build = getattr(keras.applications, f"EfficientNetV2{backbone.variant.upper()}")
    return build(include_top=False, weights=None, input_tensor=inputs, include_preprocessing=True)


def _set_imagenet_scaling(trunk: keras.Model) -> None:
    """Give EfficientNet the scaling that its weights were trained with, (x / 255 - mean) / std.

    The hosted files carry std where the Normalization layer expects std². Keras makes up for it with a
    further Rescaling, but only for weights="imagenet", silently not for a file; and without weights the
    layer does nothing (github.com/tensorflow/tensorflow/issues/49930). The true values serve all three.
    """
    for layer in trunk.layers:
        # EfficientNetV2 fixes its scaling when built, and so has no such weights.
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.adapt_mean.assign(_IMAGENET_MEAN)
            layer.adapt_variance.assign([std**2 for std in _IMAGENET_STD])
            layer.finalize_state()


def load_hdf5(trunk: keras.Model, backbone: Backbone, path: Path) -> None:
    """Load a Keras HDF5 file of a backbone without classifier, then restore the input scaling.

    Raises:
        InputError: the file cannot be read, or is of another model.
    """
    try:
        trunk.load_weights(path)
    except Exception as error:  # h5py and Keras raise half a dozen types for a file that does not fit
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"{path} does not hold the weights of {backbone.name} without its ImageNet classifier: {reason}"
        ) from error
    _set_imagenet_scaling(trunk)
