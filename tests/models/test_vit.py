"""Vision transformers against the same arithmetic in NumPy alone, on random weights in both published layouts."""

import json
import re
import struct
import zipfile

import keras
import numpy as np
import pytest
from scipy.special import erf

from brain_tumor.errors import InputError
from brain_tumor.models.backbones import get_backbone
from brain_tumor.models.classifier import blocks, build_classifier
from brain_tumor.models.tensor_files import read_tensors
from brain_tumor.models.vit_weights import read_vit, resized
from brain_tumor.models.weights import resolve_weights

WIDTH, HEADS, DEPTH = 192, 3, 12  # ViT-Ti: table 1 of arXiv:2012.12877
SIDE = 64


def timm_state(grid=4, token=True):
    """Random weights under the names and in the shapes of timm's vit_tiny_patch16_224."""
    random = np.random.default_rng(0)

    def draw(*shape):
        return (random.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    state = {"pos_embed": draw(1, grid * grid + token, WIDTH)}
    if token:
        state |= {"cls_token": draw(1, 1, WIDTH), "head.weight": draw(1000, WIDTH), "head.bias": draw(1000)}
    shapes = {"norm": (WIDTH,), "patch_embed.proj": (WIDTH, 3, 16, 16)}
    for index in range(DEPTH):
        block = {"norm1": (WIDTH,), "norm2": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH)}
        block |= {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}
        shapes |= {f"blocks.{index}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        state |= {f"{name}.weight": draw(*shape), f"{name}.bias": draw(shape[0])}
        if "norm" in name:
            state[f"{name}.weight"] += 1
    return state


def google_state(state):
    """The same weights under the names and in the shapes of Google's files."""
    found = {"cls": state["cls_token"], "Transformer/posembed_input/pos_embedding": state["pos_embed"]}
    found |= {"head/kernel": state["head.weight"].T, "head/bias": state["head.bias"]}
    found["embedding/kernel"] = np.einsum("dchw->hwcd", state["patch_embed.proj.weight"])
    found["embedding/bias"] = state["patch_embed.proj.bias"]
    norms = {"norm": "Transformer/encoder_norm"}
    for index in range(DEPTH):
        ours, theirs = f"blocks.{index}.", f"Transformer/encoderblock_{index}/"
        norms |= {f"{ours}norm1": f"{theirs}LayerNorm_0", f"{ours}norm2": f"{theirs}LayerNorm_2"}
        for layer, name in (("mlp.fc1", "MlpBlock_3/Dense_0"), ("mlp.fc2", "MlpBlock_3/Dense_1")):
            found[f"{theirs}{name}/kernel"] = state[f"{ours}{layer}.weight"].T
            found[f"{theirs}{name}/bias"] = state[f"{ours}{layer}.bias"]
        attention = f"{theirs}MultiHeadDotProductAttention_1/"
        for place, part in enumerate(("query", "key", "value")):
            rows = slice(place * WIDTH, (place + 1) * WIDTH)
            matrix = state[f"{ours}attn.qkv.weight"][rows].T
            found[f"{attention}{part}/kernel"] = np.stack(np.split(matrix, HEADS, axis=1), axis=1)
            found[f"{attention}{part}/bias"] = state[f"{ours}attn.qkv.bias"][rows].reshape(HEADS, -1)
        found[f"{attention}out/kernel"] = np.stack(np.split(state[f"{ours}attn.proj.weight"].T, HEADS))
        found[f"{attention}out/bias"] = state[f"{ours}attn.proj.bias"]
    for ours, theirs in norms.items():
        found |= {f"{theirs}/scale": state[f"{ours}.weight"], f"{theirs}/bias": state[f"{ours}.bias"]}
    return found


def numpy_features(state, images, positions):
    """The mean of all tokens (B, D), in float64; `positions` (n, D) are those of the patches."""
    state = {name: array.astype(np.float64) for name, array in state.items()}

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    kernel = state["patch_embed.proj.weight"]
    tokens = []
    for top in range(0, images.shape[1], 16):
        for left in range(0, images.shape[2], 16):
            patch = images[:, top : top + 16, left : left + 16].astype(np.float64) / 255
            tokens.append(np.tensordot((patch - 0.5) / 0.5, kernel, ([3, 1, 2], [1, 2, 3])))
    x = np.stack(tokens, axis=1) + state["patch_embed.proj.bias"] + positions
    for index in range(DEPTH):
        block = f"blocks.{index}."
        queries, keys, values = np.split(linear(norm(x, f"{block}norm1"), f"{block}attn.qkv"), 3, axis=-1)
        heads = []
        for q, k, v in zip(*(np.split(each, HEADS, axis=-1) for each in (queries, keys, values)), strict=True):
            scores = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(WIDTH / HEADS))
            heads.append(scores / scores.sum(-1, keepdims=True) @ v)
        x = x + linear(np.concatenate(heads, axis=-1), f"{block}attn.proj")
        hidden = linear(norm(x, f"{block}norm2"), f"{block}mlp.fc1")
        x = x + linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, f"{block}mlp.fc2")
    return norm(x, "norm").mean(axis=1)


def write_safetensors(path, state, header=None):
    """As github.com/huggingface/safetensors describes the format; `header` changes what is said of the tensors."""
    said, start = {"__metadata__": {"format": "pt"}}, 0
    for name, array in state.items():
        kind = {"float32": "F32", "float16": "F16", "int64": "I64"}[array.dtype.name]
        said[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    said = json.dumps(header(said) if header else said).encode()
    path.write_bytes(struct.pack("<Q", len(said)) + said + b"".join(array.tobytes() for array in state.values()))
    return path


IMAGES = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def state():
    return timm_state()


def features(path, side=SIDE):
    model = build_classifier("vit_ti16", shape=(side, side, 3), weights=path, dropout=0.0, seed=0)
    return keras.Model(model.input, model.get_layer("avg_pool").output)(IMAGES[:, :side, :side]).numpy()


@pytest.fixture(scope="module")
def written(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    np.savez(folder / "w.npz", **google_state(state))
    return {"timm": write_safetensors(folder / "w.safetensors", state), "google": folder / "w.npz"}


@pytest.mark.parametrize("layout", ["timm", "google"])
def test_features_are_those_of_numpy(state, written, layout):
    expected = numpy_features(state, IMAGES, state["pos_embed"][0, 1:])
    np.testing.assert_allclose(features(resolve_weights("vit_ti16", str(written[layout]))), expected, atol=2e-4)


def test_a_file_without_class_token_is_read(tmp_path, state):
    bare = {name: array for name, array in state.items() if name != "cls_token" and not name.startswith("head")}
    bare["pos_embed"] = state["pos_embed"][:, 1:]
    found = read_vit(get_backbone("vit_ti16"), write_safetensors(tmp_path / "w.safetensors", bare))
    np.testing.assert_array_equal(found.positions.reshape(16, WIDTH), state["pos_embed"][0, 1:])


def test_positions_of_another_size_are_linear_between_the_corners():
    grid = np.random.default_rng(0).normal(size=(14, 14, 5))
    places = np.linspace(0, 13, 10)
    columns = np.array([[np.interp(places, range(14), row[:, d]) for d in range(5)] for row in grid])  # (14, 5, 10)
    expected = [[np.interp(places, range(14), columns[:, d, c]) for d in range(5)] for c in range(10)]  # (10, 5, 10)
    np.testing.assert_allclose(resized(grid, 10, 10), np.array(expected).transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(resized(grid.astype(np.float32), 14, 14), grid.astype(np.float32))


def test_half_precision_is_read(tmp_path, state):
    halved = {name: array.astype(np.float16) for name, array in state.items()}
    found = read_vit(get_backbone("vit_ti16"), write_safetensors(tmp_path / "w.safetensors", halved))
    assert found.kernel.dtype == np.float32
    np.testing.assert_array_equal(found.layers["top_norm"][0], halved["norm.weight"].astype(np.float32))


def _with(state, **changed):
    """Without the arrays that are None."""
    return {name: array for name, array in (state | changed).items() if array is not None}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"norm.bias": None}, "has no 'norm.bias'"),
        ({"norm.bias": np.zeros(193, np.float32)}, "top_norm takes"),
        ({"norm.bias": np.zeros(192, np.int64)}, "'norm.bias' is of type I64"),
        ({"norm.bias": np.full(192, np.nan, np.float32)}, "'norm.bias' holds values that are no finite numbers"),
        ({"fc_norm.bias": np.zeros(192, np.float32)}, "vit_ti16, which has no fc_norm.bias"),
        ({"blocks.12.norm1.bias": np.zeros(192, np.float32)}, "which has no blocks.12.norm1.bias"),
        ({"pos_embed": np.zeros((1, 16, 192), np.float32)}, "15 position embeddings are of no square"),
        ({"pos_embed": np.zeros((17, 192), np.float32)}, r"position embeddings have the shape (17, 192)"),
        ({"blocks.3.attn.qkv.weight": np.zeros((575, 192), np.float32)}, "does not hold the weights of vit_ti16"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, state, changed, said):
    path = write_safetensors(tmp_path / "w.safetensors", _with(state, **changed))
    _refused(path, said)


def test_weights_of_another_size_are_refused(written):
    with pytest.raises(InputError, match="does not hold the weights of vit_s16"):
        resolve_weights("vit_s16", str(written["timm"]))


SMALL = {"a": np.zeros(4, np.float32), "b": np.ones((2, 3), np.float32)}


def _set(name, **entry):
    def change(header):
        header[name] |= entry
        return header

    return change


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (lambda header: [], "no table"),
        (_set("b", shape=[2**40, 2**40]), "'b' does not lie where"),
        (_set("b", shape=[-2, -3]), "impossible shape"),
        (_set("b", shape=[True, 6]), "impossible shape"),
        (_set("b", data_offsets=[0, 24]), "does not lie where"),  # over another
        (_set("b", data_offsets=[20, 44]), "does not lie where"),  # beyond the end
        (_set("b", dtype="BOOL"), "'b' is of type BOOL"),
        (lambda header: {"a": header["a"]}, "goes on after its last tensor"),
        (lambda header: {"a": {}}, "data_offsets"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, said):
    _refused(write_safetensors(tmp_path / "w.safetensors", SMALL, header), said)


def test_every_way_of_cutting_a_file_short_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", **SMALL)
    for whole in (write_safetensors(tmp_path / "w.safetensors", SMALL), tmp_path / "w.npz"):
        content = whole.read_bytes()
        for length in range(len(content)):
            (tmp_path / "cut").write_bytes(content[:length])
            _refused(tmp_path / "cut", "cannot be read as weights")


def test_a_length_that_no_memory_has_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    _refused(tmp_path / "w", "cut short")
    (tmp_path / "w").write_bytes(struct.pack("<Q", 4) + b"[[[[" * 50_000)
    _refused(tmp_path / "w", "cannot be read as weights")


def npy(array, **changed):
    """An `.npy` file with a header of its own."""
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changed
    text = f"{header}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + array.tobytes()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.npy": npy(SMALL["a"], shape=(2**50,))}, "not as long as its header says"),
        ({"a.npy": npy(SMALL["a"], shape=(3,))}, "not as long as its header says"),
        ({"a.npy": npy(SMALL["a"], descr="|O")}, "of type object"),
        ({"a.npy": npy(np.zeros(4))}, "of type float64"),
        ({"a.npy": npy(SMALL["a"], shape="__import__('os').abort()")}, "shape"),
        ({"a.npy": npy(SMALL["a"]), "a": npy(SMALL["a"])}, "two arrays of one name"),
        ({"a.npy": b"\x80\x04K\x01."}, "cannot be read as weights"),  # a pickle
        ({}, "has no 'patch_embed.proj.weight'"),
    ],
)
def test_a_hostile_archive_is_refused(tmp_path, members, said):
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    _refused(tmp_path / "w.npz", said)


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr("brain_tumor.models.tensor_files.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(1000, np.float32)))
    _refused(tmp_path / "w.npz", "unpacks to more than")


def _refused(path, said):
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        read_vit(get_backbone("vit_ti16"), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fortran_order_is_read(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)))
    np.testing.assert_array_equal(read_tensors(tmp_path / "w.npz")["a"], [[0, 1, 2], [3, 4, 5]])


def test_blocks_are_the_published_ones_with_stem_and_top():
    model = build_classifier("vit_ti16", shape=(32, 32, 3), weights=None, dropout=0.1, seed=0)
    groups = blocks(model)
    assert [layer.name for layer in groups[0]] == ["rescaling", "patches", "embedding"]
    assert [layer.name for layer in groups[-1]] == ["top_norm"]
    assert all(layer.name.startswith("block12_") for layer in groups[-2])
