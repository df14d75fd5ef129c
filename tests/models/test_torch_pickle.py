"""The reader of PyTorch files: reads tensors, and runs nothing."""

import os
import pickle
import random
import struct
import sys
import tracemalloc
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest

from brain_tumor.errors import InputError
from brain_tumor.models import torch_pickle
from brain_tumor.models.torch_pickle import read_state_dict

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {
    "protocol_version": PROTOCOL,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


@pytest.fixture
def torch(monkeypatch):
    """Just enough of PyTorch's names to pickle references to them as it does."""
    package, utils = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2(*args):
        raise AssertionError("only its name is used")

    for name in ("FloatStorage", "LongStorage", "DoubleStorage"):
        setattr(package, name, type(name, (), {"__module__": "torch"}))
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    package._utils = utils
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return package


class _Ref:
    """A storage, as torch.save writes it: by persistent id."""

    def __init__(self, kind, key, elements):
        self.reference = ("storage", kind, key, "cpu", elements, None)


class _Tensor:
    def __init__(self, torch, *args):
        self.torch, self.args = torch, args

    def __reduce__(self):
        return self.torch._utils._rebuild_tensor_v2, (*self.args, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        return thing.reference if isinstance(thing, _Ref) else None


def _pickle(path, thing):
    with path.open("ab") as stream:
        _Pickler(stream, protocol=2).dump(thing)


def _write(path, state, storages, *, system=SYSTEM, magic=MAGIC):
    path.unlink(missing_ok=True)
    for part in (magic, PROTOCOL, system, state, list(storages)):
        _pickle(path, part)
    with path.open("ab") as stream:
        for values in storages.values():
            stream.write(struct.pack("<q", values.size) + values.tobytes())
    return path


FLOATS = np.arange(24, dtype="<f4") / 7
LONGS = np.array([3, -(2**40)], dtype="<i8")


def _good(path, torch):
    floats, longs = _Ref(torch.FloatStorage, "11", 24), _Ref(torch.LongStorage, "22", 2)
    state = OrderedDict(
        plain=_Tensor(torch, floats, 0, (2, 3, 4), (12, 4, 1)),
        shifted=_Tensor(torch, floats, 4, (5,), (1,)),
        permuted=_Tensor(torch, floats, 0, (4, 6), (1, 4)),
        scalar=_Tensor(torch, longs, 1, (), ()),
    )
    state._metadata = OrderedDict(version=1)  # torch attaches it to every state dict
    return _write(path, state, {"11": FLOATS, "22": LONGS})


def test_reads_tensors_by_offset_and_stride(tmp_path, torch):
    state = read_state_dict(_good(tmp_path / "w.pth", torch))
    assert list(state) == ["plain", "shifted", "permuted", "scalar"]
    np.testing.assert_array_equal(state["plain"], FLOATS.reshape(2, 3, 4))
    np.testing.assert_array_equal(state["shifted"], FLOATS[4:9])
    np.testing.assert_array_equal(state["permuted"], FLOATS.reshape(6, 4).T)
    assert state["scalar"] == -(2**40)
    assert state["plain"].dtype == np.float32
    assert not state["plain"].flags.writeable


class _Call:
    """Pickles as a call; unpickled, it is made."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def _payloads(marker):
    touch = f"open({str(marker)!r}, 'w').close()"
    shell = f"touch '{marker}'"
    import subprocess

    return {
        "os.system": pickle.dumps(_Call(os.system, shell), 2),
        "eval": pickle.dumps(_Call(eval, touch), 2),
        "exec": pickle.dumps(_Call(exec, touch), 2),
        "subprocess": pickle.dumps(_Call(subprocess.call, ["touch", str(marker)]), 2),
        "protocol 4": pickle.dumps(_Call(os.system, shell), 4),
        "protocol 0": pickle.dumps(_Call(os.system, shell), 0),
        "INST": f"(S{shell!r}\nios\nsystem\n.".encode(),
        "OBJ": f"(cos\nsystem\nS{shell!r}\no.".encode(),
        "in a dict": pickle.dumps({"_fc.weight": _Call(os.system, shell)}, 2),
        "getattr": b"\x80\x02cbuiltins\ngetattr\ncposix\nerror\nX\x08\x00\x00\x00__init__\x86R.",
        "attribute of an admitted one": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        "copyreg extension": b"\x80\x02\x82\x01.",
    }


CALLS = ["os.system", "eval", "exec", "subprocess", "protocol 4", "protocol 0", "INST", "OBJ", "in a dict"]


@pytest.mark.parametrize("name", CALLS)
def test_the_payloads_are_live(tmp_path, name):
    """What the next test feeds does run where a plain unpickler reads it."""
    marker = tmp_path / "ran"
    pickle.loads(_payloads(marker)[name])
    assert marker.exists()


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("name", [*CALLS, "getattr", "attribute of an admitted one", "copyreg extension"])
def test_hostile_pickle_is_refused_unexecuted(tmp_path, name, place):
    marker, path = tmp_path / "ran", tmp_path / "w.pth"
    parts = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM, OrderedDict(), [])]
    parts[place] = _payloads(marker)[name]
    path.write_bytes(b"".join(parts))
    with pytest.raises(InputError, match="nothing was executed") as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2"])
@pytest.mark.parametrize("state", [b"}X\x06\x00\x00\x00poisonK\x01s", b"N}X\x06\x00\x00\x00poisonK\x01s\x86"])
def test_the_opcode_build_cannot_change_what_later_files_meet(tmp_path, name, state):
    path = tmp_path / "hostile.pth"
    header = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM))
    path.write_bytes(header + b"\x80\x02c" + name.encode() + b"\n" + state + b"b.")
    with pytest.raises(InputError):
        read_state_dict(path)
    assert not any(hasattr(stand_in, "poison") for stand_in in torch_pickle._ADMITTED.values())


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((2,), (24,), 0),
        ((2**62,), (1,), 0),
        ((2**40, 2**40), (0, 0), 0),
        ((-3,), (1,), 0),
        ((3,), (-1,), 5),
        ((3,), (1,), -1),
        ((2, 3), (1,), 0),
        ((3,), ("a",), 0),
        (None, None, 0),
    ],
)
def test_tensor_outside_its_storage_is_refused(tmp_path, torch, size, stride, offset):
    tensor = _Tensor(torch, _Ref(torch.FloatStorage, "1", 24), offset, size, stride)
    path = _write(tmp_path / "w.pth", OrderedDict(w=tensor), {"1": FLOATS})
    with pytest.raises(InputError, match=r"w\.pth"):
        read_state_dict(path)


@pytest.mark.parametrize("elements", [0, 23, 25, -1, 2**62, 2**80, "24", None])
def test_storage_of_another_size_is_refused(tmp_path, torch, elements):
    tensor = _Tensor(torch, _Ref(torch.FloatStorage, "1", elements), 0, (1,), (1,))
    path = _write(tmp_path / "w.pth", OrderedDict(w=tensor), {"1": FLOATS})
    with pytest.raises(InputError):
        read_state_dict(path)


def test_hostile_sizes_take_no_memory(tmp_path, torch):
    header = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM))
    huge = _Tensor(torch, _Ref(torch.FloatStorage, "1", 2**40), 0, (2**40,), (1,))
    paths = [tmp_path / f"{index}.pth" for index in range(4)]
    paths[0].write_bytes(header + b"\x80\x02}r\xff\xff\xff\x0f.")  # memo index 2**28
    paths[1].write_bytes(header + b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b".")  # bytearray of 8 GiB
    paths[2].write_bytes(header + b"\x80\x02X\xff\xff\xff\x7f.")  # text of 2 GiB
    _write(paths[3], OrderedDict(w=huge), {})
    tracemalloc.start()
    try:
        for path in paths:
            with pytest.raises(InputError):
                read_state_dict(path)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"magic": 7},
        {"system": {"little_endian": False}},
        {"system": [1]},
        {"state": [1, 2]},
        {"state": OrderedDict(w=3)},
        {"storages": {"1": FLOATS, "2": FLOATS}},
        {"storages": {}},
    ],
)
def test_file_that_is_not_a_state_dict_is_refused(tmp_path, torch, change):
    tensor = _Tensor(torch, _Ref(torch.FloatStorage, "1", 24), 0, (24,), (1,))
    parts = {"state": OrderedDict(w=tensor), "storages": {"1": FLOATS}} | change
    with pytest.raises(InputError):
        read_state_dict(_write(tmp_path / "w.pth", **parts))


def test_other_storage_types_are_refused(tmp_path, torch):
    tensor = _Tensor(torch, _Ref(torch.DoubleStorage, "1", 24), 0, (24,), (1,))
    path = _write(tmp_path / "w.pth", OrderedDict(w=tensor), {"1": FLOATS})
    with pytest.raises(InputError, match=r"torch\.DoubleStorage"):
        read_state_dict(path)


def test_truncated_anywhere_is_refused(tmp_path, torch):
    content = _good(tmp_path / "w.pth", torch).read_bytes()
    cut = tmp_path / "cut.pth"
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_state_dict(cut)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of pickletools, on a flipped byte
def test_no_flipped_byte_raises_anything_else(tmp_path, torch):
    content = _good(tmp_path / "w.pth", torch).read_bytes()
    flipped, rng, refused = tmp_path / "flipped.pth", random.Random(0), 0
    for _ in range(1000):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        flipped.write_bytes(changed)
        try:
            read_state_dict(flipped)
        except InputError:
            refused += 1
    assert refused > 300


def test_nested_shared_tuples_do_not_hang(tmp_path):
    """One tuple of the tuple before it, twice: hashing or printing 40 levels would never end."""
    levels = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(40))
    program = b"\x80\x02}K\x01q\x00" + levels + b"K\x01s."
    path = tmp_path / "nested.pth"
    for part in (MAGIC, PROTOCOL, SYSTEM):
        _pickle(path, part)
    with path.open("ab") as stream:
        stream.write(program)
    with pytest.raises(InputError, match="nested tuple twice"):
        read_state_dict(path)


def test_zip_format_is_named(tmp_path):
    path = tmp_path / "new.pth"
    path.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(InputError, match="_use_new_zipfile_serialization=False"):
        read_state_dict(path)


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(InputError):
            read_state_dict(path)
