"""What answers batches of images in place of a Keras model: an exported file, in ONNX Runtime or LiteRT.

Whatever takes a model to measure by (`predict`, `observe`) takes such a Runtime as well. Nothing here needs TensorFlow.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from brain_tumor.command_line import pip_install
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import Answers, Runtime
from brain_tumor.lazy import lazy
from brain_tumor.models.backend import default_threads, quiet
from brain_tumor.models.onnx_file import EXTRA
from brain_tumor.models.onnx_model import open_session

ai_edge_litert = lazy("ai_edge_litert")


def open_onnx(path: Path, threads: int | None = None) -> Runtime:
    """An ONNX export in ONNX Runtime on the CPU; `threads` None: as many as TensorFlow would take.

    The file is read whole, and may then go. Several threads may call the Runtime at once.
    """
    session = open_session(path.read_bytes(), threads)
    [image] = [each.name for each in session.get_inputs()]
    given = {each.name for each in session.get_outputs()}
    outputs = [name for name in Answers._fields if name in given]

    def run(images: NDArray[np.uint8]) -> Answers:
        return Answers(*session.run(outputs, {image: images}))

    return run


def open_tflite(path: Path, threads: int | None = None) -> Runtime:
    """A TFLite export in LiteRT on the CPU, as `open_onnx`; but one thread at a time may call it."""
    with quiet():
        interpreter = ai_edge_litert.interpreter.Interpreter(
            model_content=path.read_bytes(), num_threads=threads or default_threads()
        )
        interpreter.allocate_tensors()
    [signature] = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    [image] = runner.get_input_details()

    def run(images: NDArray[np.uint8]) -> Answers:
        return Answers(**runner(**{image: images}))

    return run


@dataclass(frozen=True)
class Format:
    """A kind of export."""

    file: str  # its name in a folder of exports
    packages: tuple[str, ...]  # that make and open it, as they are imported
    open: Callable[[Path], Runtime]
    exact: bool  # whether it has to agree with Keras


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "onnx": Format("model.onnx", ("tf2onnx", "onnxruntime"), open_onnx, True),
        "tflite": Format("model.tflite", ("ai_edge_litert",), open_tflite, True),
        "tflite_int8": Format("model_int8.tflite", ("ai_edge_litert",), open_tflite, False),
    }
)


def missing(name: str) -> list[str]:
    """The packages of a format that are not installed; none of them is imported."""
    return [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]


def require(name: str) -> None:
    """Raise InputError unless a format can be made and opened."""
    if missing(name):
        raise InputError(f"{name} needs {' and '.join(missing(name))}, not installed here: {pip_install(EXTRA)}")
