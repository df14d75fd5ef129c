"""What a model that somebody else has trained takes: which images, and how it had their pixels scaled."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.commands import Channels, Scaling
from brain_tumor.errors import InputError

GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and OpenCV have it
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # of what has been turned to BGR
SIDES = range(8, 2049)
MOST_FEATURES = 4096  # an image: what is wider has a covariance that no memory holds


def square(shape: Sequence[int | None], size: int | None) -> tuple[int, int]:
    """Pixels a side and channels of images (side, side, channels); `size` is the side where the model takes any.

    Raises InputError where they are no square images of one or three channels, or of another side than `size`.
    """
    if len(shape) != 3 or shape[2] not in (1, 3) or shape[0] != shape[1]:
        said = ", ".join(str(each or "any") for each in shape)
        raise InputError(f"the model takes ({said}) an image, and not a square one of 1 or 3 channels")
    side = shape[0] or size
    if side is None:
        raise InputError("the model takes images of any size: give the side it was trained at, data.image_size=224")
    if size not in (None, side):
        raise InputError(f"the model takes images of {side} pixels a side: leave out data.image_size={size}")
    if side not in SIDES:
        raise InputError(f"the model takes images of {side} pixels a side: {SIDES[0]} to {SIDES[-1]} are read")
    assert shape[2] is not None
    return side, shape[2]


def require_gray(depth: int, channels: Channels) -> None:
    """Raise InputError where a model of one channel would be given colours."""
    if depth == 1 and channels != "gray":
        raise InputError(f"the model takes images of one channel, and channels={channels}: give channels=gray")


def scaling_of(scaling: Scaling, channels: Channels, depth: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel (3, depth) and bias (depth,) that make of RGB 0..255 what the model was trained on."""
    mean, sd = {
        "rescale": (np.zeros(3), np.full(3, 255.0)),
        "tf": (np.full(3, 127.5), np.full(3, 127.5)),
        "torch": (255 * np.array(IMAGENET_MEAN), 255 * np.array(IMAGENET_SD)),
        "caffe": (np.array(CAFFE_MEAN), np.ones(3)),
        "efficientnet": (np.zeros(3), np.ones(3)),  # they scale themselves
        "none": (np.zeros(3), np.ones(3)),
    }[scaling]
    mean, sd = mean[:depth], sd[:depth]
    turned = (channels == "bgr") != (scaling == "caffe")  # Keras' own scaling turns what it is given, RGB or not
    order = np.tile(np.array(GRAY)[:, None], (1, depth)) if channels == "gray" else np.eye(3)[:, :: -1 if turned else 1]
    return order / sd, -mean / sd
