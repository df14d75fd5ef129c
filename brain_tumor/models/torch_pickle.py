"""Reads the tensors of a legacy (pre-1.6) `torch.save` file without PyTorch, and runs nothing in it.

The file is a row of pickles (magic number, protocol, system, the state dict, storage keys), then each
storage as an int64 count of elements and its raw little-endian bytes. The state dict refers to storages by
key (layout: `_legacy_load` in torch/serialization.py).

A pickle is a program. Three fences keep this one harmless: only the opcodes that a state dict needs are let
through, before anything is unpickled; only the four names below resolve, and to inert records of ours;
and no size is believed before the bytes behind it are there.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from brain_tumor.errors import InputError

MAX_BYTES = 1 << 30  # the largest published EfficientNet-Lite is 60 MB

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ITEM_COUNT_BYTES = 8
_OPCODES = frozenset(
    [
        *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
    ]
)


class _Storage(NamedTuple):
    key: str
    dtype: str
    elements: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _StateDict(dict[str, Any]):
    """Stands in for OrderedDict; drops the module versions that torch attaches as `_metadata`."""

    def __setstate__(self, state: object) -> None:
        pass


class _RebuildTensor:
    """Stands in for `_rebuild_tensor_v2`; has no attributes, so that the opcode BUILD cannot set any."""

    __slots__ = ()

    def __call__(
        self,
        storage: _Storage,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        *_unused: object,  # requires_grad, hooks, metadata
    ) -> _Tensor:
        return _Tensor(storage, offset, size, stride)


_ADMITTED = {
    ("collections", "OrderedDict"): _StateDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, program: bytes, storages: dict[str, _Storage]) -> None:
        super().__init__(io.BytesIO(program))
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise ValueError(f"it asks for {module}.{name}, which weights do not need; nothing was executed")
        return _ADMITTED[module, name]

    def persistent_load(self, reference: Any) -> _Storage:
        kind, dtype, key, _location, elements, view = reference
        storage = _Storage(key, dtype, elements)
        if kind != "storage" or dtype not in ("<f4", "<i8") or type(elements) is not int or view is not None:
            raise ValueError(f"storage {key!r} is described in an unknown way")
        if self._storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key!r} is described twice, differently")
        return storage


def _next_pickle(stream: io.BytesIO, storages: dict[str, _Storage]) -> Any:
    start = stream.tell()
    earlier: list[str] = []  # opcodes so far, without those that only memoize
    flat: dict[Any, bool] = {}  # memoized tuple -> whether no element of it is a tuple
    for position, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name not in _OPCODES:
            raise ValueError(f"it holds the opcode {opcode.name}, which weights do not need; nothing was executed")
        # The C unpickler allocates its memo up to the largest index named.
        if opcode.name == "LONG_BINPUT" and argument is not None and argument > position:
            raise ValueError("its memo index is out of range")
        # A tuple of one tuple twice, and so on, takes exponential time to hash or to print.
        if opcode.name.endswith("BINGET") and not flat.get(argument, True):
            raise ValueError("it uses a nested tuple twice, which weights do not need")
        if not opcode.name.endswith("BINPUT"):
            earlier.append("TUPLE" if opcode.name.endswith("BINGET") and argument in flat else opcode.name)
        elif earlier[-1].startswith("TUPLE"):
            flat[argument] = _is_flat(earlier)
    program = stream.getvalue()[start : stream.tell()]
    return _Unpickler(program, storages).load()


def _is_flat(opcodes: list[str]) -> bool:
    """Whether no element of the tuple that the last opcode made is a tuple."""
    if opcodes[-1] == "TUPLE":
        count = next((back for back, name in enumerate(reversed(opcodes[:-1])) if name == "MARK"), len(opcodes) - 1)
    else:
        count = int(opcodes[-1][-1])
    return not any(name.startswith("TUPLE") for name in opcodes[len(opcodes) - 1 - count : -1])


def _read_storages(
    content: bytes, position: int, keys: list[str], declared: dict[str, _Storage]
) -> dict[str, NDArray[Any]]:
    if sorted(keys) != sorted(declared):
        raise ValueError("its storages are not those that its tensors refer to")
    arrays: dict[str, NDArray[Any]] = {}
    for key in keys:
        storage = declared[key]
        count = int.from_bytes(content[position : position + _ITEM_COUNT_BYTES], "little", signed=True)
        position += _ITEM_COUNT_BYTES
        length = storage.elements * np.dtype(storage.dtype).itemsize
        if count != storage.elements or count < 0 or position + length > len(content):
            raise ValueError(f"storage {key!r} is cut short or of another size than declared")
        arrays[key] = np.frombuffer(content, storage.dtype, count, position)
        position += length
    return arrays


def _as_array(name: object, tensor: object, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if not isinstance(name, str) or not isinstance(tensor, _Tensor):
        raise ValueError(f"{name!r} is no tensor")
    values = storages[tensor.storage.key]
    numbers = (tensor.offset, *tensor.size, *tensor.stride)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"tensor {name} has an impossible shape")
    count, itemsize = math.prod(tensor.size), values.itemsize
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if not 0 < count <= len(values) or last >= len(values):
        raise ValueError(f"tensor {name} does not lie within its storage")
    # Kernels that were converted from TensorFlow keep its order of axes in their strides.
    steps = [step * itemsize for step in tensor.stride]
    return as_strided(values[tensor.offset :], tensor.size, steps, writeable=False)


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a legacy PyTorch state dict.

    Args:
        path: file written by `torch.save(model.state_dict(), path)` before PyTorch 1.6, or since then with
            `_use_new_zipfile_serialization=False`.

    Returns:
        Arrays by parameter name, float32 or int64, in PyTorch's layout, read-only.

    Raises:
        InputError: the file is not of that format, is truncated, or asks for anything but tensors. Nothing
            in it has been executed then.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
        if content[:2] == b"PK":
            raise ValueError("it is in PyTorch's zip format: save it with _use_new_zipfile_serialization=False")
        stream = io.BytesIO(content)
        declared: dict[str, _Storage] = {}
        if _next_pickle(stream, declared) != _MAGIC or _next_pickle(stream, declared) != _PROTOCOL:
            raise ValueError("it does not begin as torch.save does")
        if _next_pickle(stream, declared)["little_endian"] is not True:
            raise ValueError("it was written on a big-endian machine")
        state = _next_pickle(stream, declared)
        if not isinstance(state, dict):
            raise ValueError("it holds no state dict")
        keys = _next_pickle(stream, declared)
        storages = _read_storages(content, stream.tell(), keys, declared)
        return {name: _as_array(name, tensor, storages) for name, tensor in state.items()}
    except Exception as error:  # a hostile file can fail in any way; none of them is worth a traceback
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as PyTorch weights (legacy format): {reason}") from error
