"""What a lesion map is taught where the lesion is known."""

from typing import Any

import keras

KNOWN_FROM = -0.5  # below it a cell of the target says that the lesion is not known
ENTROPY = 10.0  # of the cross-entropy beside the Dice loss, for the cells of a lesion are few among those of its mean
SMOOTHING = 1.0  # cells, of the Dice coefficient


def lesion_loss(target: Any, drawn: Any) -> Any:
    """The loss (B,) of maps (B, h, w, 1), 0 where the target is not known.

    ENTROPY times the cross-entropy, the mean over the cells, and of a lesion 1 - soft Dice, too (Milletari et al. 2016,
    arXiv:1606.04797, without its squares). Of images without a lesion Dice would press every cell down at once, far
    harder than those with one lift a few: every map becomes empty, and stays so.
    """
    ops = keras.ops
    known = ops.cast(target[:, 0, 0, 0] > KNOWN_FROM, drawn.dtype)
    target = ops.maximum(ops.cast(target, drawn.dtype), 0)
    entropy = ops.mean(keras.losses.binary_crossentropy(target, drawn), axis=(1, 2))
    both = ops.sum(target * drawn, axis=(1, 2, 3))
    either = ops.sum(target + drawn, axis=(1, 2, 3))
    dice = (2 * both + SMOOTHING) / (either + SMOOTHING)
    lesion = ops.cast(ops.sum(target, axis=(1, 2, 3)) > 0, drawn.dtype)
    return known * (ENTROPY * entropy + lesion * (1 - dice))
