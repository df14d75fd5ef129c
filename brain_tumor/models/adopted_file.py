"""A model file that somebody else has made, looked through before anything in it is opened.

Keras' own `safe_mode` does not hold for every kind of file, so what a file is made of is read here as plain JSON: a
layer with code of its own, and a class that is not Keras', is refused by its name. A file of ONNX: `onnx_file`.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.models.onnx_file import read_onnx
from brain_tumor.paths import existing_path

h5py = lazy("h5py")

ONNX = ".onnx"
ENDINGS = (".keras", ".h5", ".hdf5", ONNX)
CONFIG_BYTES = 64 * 2**20  # of the description of the layers, at most
MOST_BYTES = 4 * 2**30  # of all that a file unpacks to
WEIGHTS = "model.weights.h5"  # in a .keras file
SCALES_ITSELF = "Rescaling"
# They run code that the file brings or names, or read further files.
_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "TFSMLayer", "TorchModuleWrapper", "JaxLayer")
_FILES = ("FlaxLayer", "IndexLookup", "StringLookup", "IntegerLookup", "TextVectorization")
REFUSED = frozenset((*_CODE, *_FILES))
_OWN = ("layers", "models", "initializers", "regularizers", "constraints", "activations", "dtype_policies", "ops")
_MODULES = frozenset(("keras", "builtins", *(f"keras.{name}" for name in _OWN)))
_INSIDE = tuple(f"keras.src.{name}" for name in _OWN)


def check_file(file: str) -> Path:
    """The file, absolute, if it holds a model of Keras' own layers, or ONNX' own operators, alone; nothing is run.

    Raises InputError if it is missing, cut short, of another kind, too large, or names code or files of its own.
    """
    path = existing_path(file).absolute()
    if not path.is_file():
        raise InputError(f"file={file} {'is a folder' if path.is_dir() else 'does not exist'}: give a model's file")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"file={file} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}: Keras saves a model so, and "
            "torch.onnx.export one of PyTorch"
        )
    if path.suffix.lower() == ONNX:
        read_onnx(path)
        return path
    for part in _parts(description(path)):
        _refuse_code(file, part)
    _check_weights(path)
    return path


def scales_itself(path: Path) -> str | None:
    """The name of the layer by which the file scales its input; None where it leaves that to others."""
    for part in _parts({} if path.suffix.lower() == ONNX else description(path)):
        if part.get("class_name") == SCALES_ITSELF:
            return str(_name(part))
    return None


def description(path: Path) -> dict[str, Any]:
    """What the file says that its model is made of, without how it was compiled; InputError where it cannot be read."""
    with _readable(path):
        found = _of_archive(path) if zipfile.is_zipfile(path) else _of_hdf5(path)
        return {key: value for key, value in found.items() if key not in ("compile_config", "build_config")}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # h5py's, zipfile's and json's
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"{path} is no model that Keras has saved, or is cut short: {reason}") from error


def _of_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > MOST_BYTES:
            raise InputError(f"{path} unpacks to more than {MOST_BYTES // 2**30} GiB: it is not opened")
        if archive.getinfo("config.json").file_size > CONFIG_BYTES:
            raise InputError(f"{path} describes its layers in more than {CONFIG_BYTES // 2**20} MiB: it is no model")
        return json.loads(archive.read("config.json"))


def _of_hdf5(path: Path) -> Any:
    with h5py.File(path, "r") as opened:
        if "model_config" not in opened.attrs:
            raise InputError(f"{path} holds weights alone: save the whole model, model.save(FILE), and give that file")
        return json.loads(opened.attrs["model_config"])


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a description that names a class, in its order."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            part = list(part.values())
        if isinstance(part, list):
            left += reversed(part)


def _check_weights(path: Path) -> None:
    """Refuse weights that are not in the file itself, or are said to be larger than any that are opened."""
    with _readable(path), ExitStack() as stack:
        stored: Any = path
        if zipfile.is_zipfile(path):
            stored = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(WEIGHTS))
        _check_stored(path, stack.enter_context(h5py.File(stored, "r")))


def _check_stored(path: Path, opened: Any) -> None:
    names: list[str] = []
    opened.visititems_links(lambda name, link: names.append(name))
    size = 0
    for name in names:
        if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name!r} is a link to another place, and no weights: it is not opened")
        item = opened[name]
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise InputError(f"{path}: the weights {name!r} are in another file: it is not opened")
            size += item.size * item.dtype.itemsize
    if size > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES // 2**30} GiB of weights: it is not opened")


def _refuse_code(file: str, part: dict[str, Any]) -> None:
    kind, module = str(part["class_name"]), part.get("module")
    named = f"layer {_name(part)!r} is a {kind}" if _name(part) else f"it names {kind}"
    if kind.rpartition(">")[2] in REFUSED:
        raise InputError(
            f"file={file}: {named}, which runs code of its own or reads files: such a model is not opened. Build it "
            "again with Keras' own layers (Rescaling for a Lambda that scales) and load its weights into that"
        )
    own = module in _MODULES or str(module).startswith(_INSIDE)
    if ">" in kind or ">" in str(part.get("registered_name") or "") or (module is not None and not own):
        where = f" of {module}" if module else ""
        raise InputError(f"file={file}: {named}{where}, which is not Keras' own: such a model is not opened")


def _name(part: dict[str, Any]) -> Any:
    config = part.get("config")
    return config.get("name") if isinstance(config, dict) else None
