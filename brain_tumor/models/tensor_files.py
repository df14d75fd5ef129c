"""Arrays by name out of `.safetensors` and `.npz` files, of which nothing is believed or executed.

No size is taken from a file before the bytes behind it are there, and both formats are read without pickle.
"""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from brain_tumor.errors import InputError

MAX_BYTES = 1 << 30  # ViT-B's file has 346 MB
_MAX_HEADER = 1 << 20  # ViT-B's has 17 KB
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}

Arrays = dict[str, NDArray[Any]]


def read_tensors(path: Path) -> Arrays:
    """Read every array of a file, as float32.

    Raises:
        InputError: the file is of neither format, truncated, too large, or holds anything but finite floats.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        with path.open("rb") as stream:
            zipped = stream.read(2) == b"PK"
        arrays = _read_npz(path) if zipped else _read_safetensors(path.read_bytes())
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name!r} holds values that are no finite numbers")
        return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
    except Exception as error:  # a hostile file can fail in any way; none of them is worth a traceback
        reason = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as weights (.safetensors or .npz): {reason}") from error


def _read_safetensors(content: bytes) -> Arrays:
    """Eight bytes of the header's length, the header in JSON, then the tensors one after the other without gaps."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > _MAX_HEADER or 8 + length > len(content):
        raise ValueError("it is no .safetensors file, or is cut short")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    header.pop("__metadata__", None)
    start, arrays = 8 + length, {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (first, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if dtype not in _DTYPES:
            raise ValueError(f"{name!r} is of type {dtype}: convert it to F32")
        if any(type(number) is not int or number < 1 for number in shape):
            raise ValueError(f"{name!r} has an impossible shape")
        count, kind = math.prod(shape), _DTYPES[dtype]
        if (8 + length + first, end - first) != (start, count * kind.itemsize) or 8 + length + end > len(content):
            raise ValueError(f"{name!r} does not lie where and as long as its header says, or the file is cut short")
        arrays[name] = np.frombuffer(content, kind, count, start).reshape(shape)
        start += count * kind.itemsize
    if start != len(content):
        raise ValueError("it goes on after its last tensor")
    return arrays


def _read_npz(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(set(names)) < len(names):
            raise ValueError("it holds two arrays of one name")
        return {name: _read_npy(archive, member) for name, member in zip(names, members, strict=True)}


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(stream)]
        shape, fortran, dtype = read_header(stream)
        if dtype not in _DTYPES.values():
            raise ValueError(f"{member.filename!r} is of type {dtype}, and weights are float32 or float16")
        count = math.prod(shape)
        # Before anything of its size is allocated: as many bytes are left as the shape needs.
        if count < 1 or count * dtype.itemsize != member.file_size - stream.tell():
            raise ValueError(f"{member.filename!r} is not as long as its header says")
        return np.frombuffer(stream.read(), dtype, count).reshape(shape, order="F" if fortran else "C")
