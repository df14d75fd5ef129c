"""Several classifiers as one whose probabilities are the mean of theirs, in the form of our own.

The members' layers stand side by side on one input, flat, each with its member's prefix before its name. The layer
`logits` takes the logarithm of the mean, so that calibration is folded into it as into any other's. What is read beside
the answer, features and a lesion map, has to stand on the way to it: `logits` takes them in as well, with weights of 0.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from brain_tumor.models.adopted_input import MOST_FEATURES
from brain_tumor.models.heads import LESION_MAP
from brain_tumor.models.members import prefix

NAME = "ensemble"
LEAST = 1e-30  # of a mean probability, before its logarithm


def average(members: Sequence[Any]) -> Any:
    """One classifier of several, which take images of one size and know the same classes; they stay as they are.

    Its features are those of all members; where these are more than MOST_FEATURES, their logits. It has a lesion map,
    the mean of the members', where all draw one of the same size.
    """
    layers = keras.layers
    image = keras.Input(members[0].input_shape[1:], name="image")
    copies = [_copied(member, image, prefix(number)) for number, member in enumerate(members, start=1)]
    features = _outputs(copies, "avg_pool")
    wide = sum(each.shape[-1] for each in features) > MOST_FEATURES
    beside = [layers.Concatenate(dtype="float32", name="avg_pool")(_outputs(copies, "logits") if wide else features)]
    drawn = _outputs(copies, LESION_MAP)
    if len(drawn) == len(members) and len({each.shape for each in drawn}) == 1:
        lesion = layers.Average(dtype="float32", name=LESION_MAP)(drawn)
        beside.append(layers.GlobalMaxPooling2D(dtype="float32", name="lesion_peak")(lesion))
    mean = layers.Average(dtype="float32", name="mean")(_outputs(copies, "probabilities"))
    logarithm = keras.ops.log(keras.ops.maximum(mean, LEAST))
    x = layers.Concatenate(dtype="float32", name="members")([*beside, logarithm])
    classes = mean.shape[-1]
    logits = layers.Dense(classes, dtype="float32", name="logits")
    x = logits(x)
    others = np.zeros((logits.kernel.shape[0] - classes, classes))
    logits.set_weights([np.vstack([others, np.eye(classes)]), np.zeros(classes)])
    return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x), name=NAME)


def _copied(member: Any, image: Any, name: str) -> tuple[str, Any]:
    """A member's prefix, and its layers and weights again on another input."""

    def again(layer: Any) -> Any:
        config = layer.get_config()
        return type(layer).from_config({**config, "name": f"{name}{config['name']}"})

    inputs = keras.tree.map_structure(lambda _: image, member.input)  # a list where it was made with one
    copy = keras.models.clone_model(member, input_tensors=inputs, clone_function=again)
    for layer in member.layers:
        if layer.weights:
            made = copy.get_layer(f"{name}{layer.name}")
            made.set_weights(layer.get_weights())
            if isinstance(made, keras.layers.Normalization):
                made.finalize_state()  # it computes by what it has made of its weights
    return name, copy


def _outputs(copies: Sequence[tuple[str, Any]], name: str) -> list[Any]:
    """Of each member that has a layer of this name what that puts out."""
    there = [{layer.name: layer for layer in copy.layers}.get(f"{before}{name}") for before, copy in copies]
    return [layer.output for layer in there if layer is not None]
