"""What a lesion map is taught where the lesion is known."""

from typing import Any

import keras

KNOWN_FROM = -0.5  # below it a cell of the target says that the lesion is not known
SMOOTHING = 1.0  # cells, of the Dice coefficient: an empty map of an empty mask has 1


def lesion_loss(target: Any, drawn: Any) -> Any:
    """The loss (B,) of maps (B, h, w, 1), 0 where the target is not known.

    Cross-entropy, the mean over the cells, says what each cell is; 1 - soft Dice (Milletari et al. 2016,
    arXiv:1606.04797, without its squares), that few cells of many are the lesion.
    """
    ops = keras.ops
    known = ops.cast(target[:, 0, 0, 0] > KNOWN_FROM, drawn.dtype)
    target = ops.maximum(ops.cast(target, drawn.dtype), 0)
    entropy = ops.mean(keras.losses.binary_crossentropy(target, drawn), axis=(1, 2))
    both = ops.sum(target * drawn, axis=(1, 2, 3))
    either = ops.sum(target + drawn, axis=(1, 2, 3))
    dice = (2 * both + SMOOTHING) / (either + SMOOTHING)
    return known * (entropy + 1 - dice)
