"""A classifier as a file for other runtimes, and how far that file agrees with Keras.

An export takes `image`, uint8 RGB 0..255 (B, S, S, 3) or whole volumes (B, D, H, W, 1), and gives the outputs of
`Answers` by their names, of which the lesion map only where the model draws one; the calibration is in the weights.
Keras' own exporters make it.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import Runtime, answers_of_layers, observe, observing
from brain_tumor.lazy import lazy
from brain_tumor.models.backend import quiet
from brain_tumor.serving.runtimes import FORMATS

keras = lazy("keras")
tf = lazy("tensorflow")
tf2onnx = lazy("tf2onnx")

TOLERANCE = 1e-4  # of probabilities and of lesion maps: float32 sums in another order stay below it
INT8_IMAGES = 128  # fix the range of every activation of an int8 export
COMPARED_IMAGES = 64

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """An export against Keras on the same images."""

    images: int
    difference: float  # the largest of any probability
    same_class: float  # share of images whose most probable class is the same
    map_difference: float | None = None  # the largest of any value of the lesion map; None: there is none

    def __str__(self) -> str:
        drawn = "" if self.map_difference is None else f", the lesion map within {self.map_difference:.1e}"
        return (
            f"probabilities within {self.difference:.1e} of Keras' on {self.images} images, "
            f"the same class on {self.same_class:.1%}{drawn}"
        )

    def plain(self) -> dict[str, Any]:
        """Its values by name, for JSON; without those that the model does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def convert(name: str, model: Any, path: Path, calibration: Images | None = None) -> None:
    """Write a Keras classifier to `path` in a format of FORMATS.

    `calibration` (n, S, S, 3) are training images, needed for tflite_int8 alone: weights and activations become int8,
    with their ranges on those images; input and outputs stay as in the others.
    """
    inputs = [keras.InputSpec(dtype="uint8", shape=model.input_shape, name="image")]
    exported = _exportable(model)
    if name == "onnx":
        with quiet():
            tf2onnx.handler.tf_op("Erfc")(_Erfc)
            exported.export(path, format="onnx", input_signature=inputs, verbose=False)
        return
    options: dict[str, Any] = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}  # no Flex delegate
    if name == "tflite_int8":
        assert calibration is not None

        def images() -> Iterator[list[Images]]:
            for image in calibration:
                yield [image[None]]

        options |= {"optimizations": [tf.lite.Optimize.DEFAULT], "representative_dataset": images}
    with quiet():
        exported.export(path, format="litert", input_signature=inputs, verbose=False, **options)


class _Erfc:
    """1 - erf(x), which ONNX has: TensorFlow's GELU is made of Erfc, and tf2onnx would leave that as it is."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """In place of a node of `graph`, from this opset on."""
        name, outputs, facts = node.name, node.output, {"shapes": node.output_shapes, "dtypes": node.output_dtypes}
        erf = graph.make_node("Erf", node.input).output[0]
        one = graph.make_const(f"{name}_one", np.ones((), np.float32)).output[0]
        graph.remove_node(name)
        graph.make_node("Sub", [one, erf], name=name, outputs=outputs, **facts)


def compare(run: Runtime, model: Any, images: Images) -> Agreement:
    """How far a Runtime answers as a Keras classifier does, on uint8 RGB (n, S, S, 3)."""
    rows = np.arange(len(images))
    ours, keras = (observe(each, images, rows) for each in (run, observing(model)))
    same = ours.probabilities.argmax(axis=1) == keras.probabilities.argmax(axis=1)
    difference = float(np.abs(ours.probabilities - keras.probabilities).max())
    if ours.lesion_map is None or keras.lesion_map is None:
        return Agreement(len(images), difference, float(same.mean()))
    drawn = float(np.abs(ours.lesion_map - keras.lesion_map).max())
    return Agreement(len(images), difference, float(same.mean()), drawn)


def check(name: str, agreement: Agreement) -> None:
    """Raise InputError where a float export disagrees with Keras."""
    differences = (agreement.difference, agreement.map_difference or 0.0)
    if FORMATS[name].exact and not all(each <= TOLERANCE for each in differences):  # also of NaN
        raise InputError(
            f"{name} disagrees with Keras: {agreement}, where {TOLERANCE:.0e} is allowed. Leave {name} out, "
            "and report it with the versions of tensorflow, keras, tf2onnx, onnxruntime and ai-edge-litert"
        )


def make(
    name: str, model: Any, path: Path, images: Images, calibration: Images | None = None
) -> tuple[Runtime, Agreement]:
    """Convert to `path`, open that, and compare on `images`; InputError if a float export disagrees with Keras."""
    convert(name, model, path, calibration)
    run = FORMATS[name].open(path)
    agreement = compare(run, model, images)
    check(name, agreement)
    return run, agreement


def write_export(name: str, model: Any, folder: Path, images: Images, calibration: Images) -> tuple[Path, Agreement]:
    """`make` an export, and only then give the file its name in `folder`.

    Raises:
        InputError: the export disagrees with Keras, or cannot be written.
    """
    place = folder / FORMATS[name].file
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
            path = Path(temporary) / place.name
            _, agreement = make(name, model, path, images, calibration)
            os.replace(path, place)
    except OSError as error:
        raise InputError(f"out={folder} cannot be written: {error.strerror or error}") from error
    return place, agreement


def _exportable(model: Any) -> Any:
    """The classifier with the outputs of `Answers` by name, on the same weights.

    Keras' Normalization holds its statistics as eager tensors, of which tf2onnx makes inputs of the graph; as a
    Rescaling they are constants. LiteRT has no pooling in three dimensions.
    """

    def plain(layer: Any) -> Any:
        if isinstance(layer, keras.layers.MaxPooling3D):
            return _in_two_steps(layer)
        if not isinstance(layer, keras.layers.Normalization):
            return layer
        mean, deviation = np.ravel(layer.mean), np.sqrt(np.ravel(layer.variance))
        return keras.layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist(), name=layer.name)

    return keras.models.clone_model(keras.Model(model.inputs, answers_of_layers(model)), clone_function=plain)


def _in_two_steps(layer: Any) -> Any:
    """MaxPooling3D as the same along the depth alone, and then within the slices."""
    ops = keras.ops
    inputs = keras.Input(layer.input.shape[1:])
    depth, height, width, channels = inputs.shape[1:]
    (along, *across), (along_step, *across_steps) = layer.pool_size, layer.strides
    x = ops.reshape(inputs, (-1, depth, height * width, channels))
    x = ops.max_pool(x, (along, 1), (along_step, 1), layer.padding)
    depth = x.shape[1]
    x = ops.reshape(x, (-1, height, width, channels))
    x = ops.max_pool(x, tuple(across), tuple(across_steps), layer.padding)
    return keras.Model(inputs, ops.reshape(x, (-1, depth, *x.shape[1:])), name=layer.name)
