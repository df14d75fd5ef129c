"""A model file of ONNX that somebody else has made, looked through before ONNX Runtime is given anything of it.

A graph of ONNX's own operators runs no code that a file brings. What is refused are operators of other origin, loops,
which may never end, and weights that lie anywhere but in the file or in one beside it, as PyTorch writes them.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brain_tumor.command_line import pip_install
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy

onnx = lazy("onnx")

EXTRA = "brain-tumor[export]"
MOST_BYTES = 2 * 2**30  # of a file with its weights: protobuf holds no more
OPERATORS = ("", "ai.onnx", "com.microsoft")  # ONNX' own, and those that ONNX Runtime brings
LOOPS = ("Loop", "Scan")


def require_packages() -> None:
    """Raise InputError unless such a file can be opened here."""
    absent = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent:
        raise InputError(f"an ONNX model needs {' and '.join(absent)}, not installed here: {pip_install(EXTRA)}")


def read_onnx(path: Path) -> Any:
    """The model of a file with all its weights, as an `onnx.ModelProto`; nothing is run.

    Raises InputError if it is cut short, too large or of another kind, or holds what is refused.
    """
    require_packages()
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"file={path} is larger than {MOST_BYTES // 2**30} GiB, which no ONNX file is")
    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's and the file system's
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"file={path} is no ONNX model, or is cut short: {reason}") from error
    if not model.graph.node:
        raise InputError(f"file={path} is no ONNX model, or is cut short: it has no operators")
    own = {(function.domain, function.name) for function in model.functions}  # made of operators that are looked at too
    beside = set()
    for part in _parts(model):
        if isinstance(part, onnx.NodeProto):
            if part.op_type in LOOPS:
                raise InputError(f"file={path}: it holds a {part.op_type}, which may never end: it is not opened")
            if part.domain not in OPERATORS and (part.domain, part.op_type) not in own:
                raise InputError(
                    f"file={path}: operator {part.op_type} of {part.domain} is none of ONNX' own: it is not opened"
                )
        elif isinstance(part, onnx.TensorProto) and part.data_location == onnx.TensorProto.EXTERNAL:
            beside.add({each.key: each.value for each in part.external_data}.get("location", ""))
    _add_weights(model, path, beside)
    return model


def _add_weights(model: Any, path: Path, beside: set[str]) -> None:
    """Read what lies in files beside `path`, which PyTorch calls FILE.onnx.data."""
    for name in beside:
        file = path.parent / name
        if Path(name).name != name or file.is_symlink():
            raise InputError(f"file={path} has weights in {name!r}, which is no file beside it: it is not opened")
        if not file.is_file():
            raise InputError(f"file={path} has its weights in {name}, which is not beside it: bring both files")
    if sum((path.parent / name).stat().st_size for name in beside) > MOST_BYTES - path.stat().st_size:
        raise InputError(f"file={path} has more than {MOST_BYTES // 2**30} GiB of weights: no more can be kept of one")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # of an offset behind the file's end, say
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"file={path}: its weights in {', '.join(beside)} do not fit it: {reason}") from error


def _parts(message: Any) -> Iterator[Any]:
    """A protobuf message and all within it."""
    left = [message]
    while left:
        part = left.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                left += [value] if hasattr(value, "ListFields") else list(value)
