"""Taking in a model that was trained elsewhere: wrapped, checked, calibrated, registered; measured by `evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.optimize import linear_sum_assignment

from brain_tumor.command_line import as_typed
from brain_tumor.config.commands import AdoptConfig, Scaling
from brain_tumor.config.train import ADOPTED, AugmentConfig, ModelConfig, TrainConfig
from brain_tumor.data.dataset import Dataset, load_known
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import predict
from brain_tumor.layout.blocks import Code, Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.adopted import open_file, wrap
from brain_tumor.models.adopted_file import ONNX
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.models.onnx_file import read_onnx
from brain_tumor.models.onnx_model import wrap_onnx
from brain_tumor.paths import sha256_of
from brain_tumor.tracking import cards, logged_uncertainty, registry, runs, setup, summary
from brain_tumor.tracking.store import open_store

CHECKED = 100  # labelled images of each class by which the order of the classes is checked
FAR = 0.2  # a share of right answers that no chance of so many images adds
DOUBTFUL = 0.8  # a model that was read as it was trained answers more of its training images rightly


def run(config: AdoptConfig, file: Path) -> None:
    """Wrap the model of `file`, check the order of its classes, calibrate it on what was held out, and register it."""
    store = open_store(config.tracking)
    start_tensorflow()
    make = _maker(config, file)
    model = make(config.scaling)
    dataset = load_known(config.data, shape=tuple(model.input_shape[1:]), protocol=config.protocol)
    right = check_reading(config, model, make, dataset)
    made = as_trained(config, file)
    how = {"scaling": config.scaling, "channels": config.channels, "format": file.suffix.lower().removeprefix(".")}
    tags = setup.adoption_tags(made, dataset.split, digest=sha256_of(file), **how)
    name = f"adopt {file.name} on {dataset.split.name}"
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        setup.log_adoption(TypeAdapter(TrainConfig).dump_python(made, mode="json"), as_typed, dataset.split)
        held_out = len(dataset.rows("val")) > 0
        uncertainty = logged_uncertainty.fit_and_log(model, dataset, made) if held_out else None
        uri, version = registry.log_model(
            model, dataset.split.classes, uncertainty, register=config.register, tags=tags
        )
        assert version is not None
        crowned = registry.crown(config.register, version)
        card = cards.publish_card(run_id)
    rows = [
        ("model", f"{uri}, {crowned.verdict}"),
        ("input", f"{dataset.image_size} px, scaling={config.scaling}, channels={config.channels}"),
        ("right of the images checked", f"{right:.1%}, by which scaling and classes were checked, nothing else"),
        *((part, f"{sum(counts.values()):,} images") for part, counts in dataset.split.counts.items()),
    ]
    again = ["data=folder", "data.root=DIR"] if dataset.split.part("test").empty else []
    show_blocks(
        pairs(rows),
        Paragraph(card.detail),
        Code(summary.with_store(config.tracking, "evaluate", f"model_uri={uri}", *again)),
    )


def _maker(config: AdoptConfig, file: Path) -> Callable[[Scaling], Any]:
    """Function of a scaling that wraps the model of `file` so."""
    classes, channels, size = len(config.classes), config.channels, config.data.image_size
    if file.suffix.lower() == ONNX:
        graph = read_onnx(file)
        return lambda scaling: wrap_onnx(graph, classes, scaling, channels, size)
    theirs = open_file(file)
    return lambda scaling: wrap(theirs, classes, scaling, channels, size)


class Reading(NamedTuple):
    """How a model answers for images that it was trained on."""

    right: float  # share, with its outputs in the order that was given
    best: float  # with them in the best order
    order: tuple[str, ...]  # the class of each output in that


def check_reading(config: AdoptConfig, model: Any, make: Callable[[Scaling], Any], dataset: Dataset) -> float:
    """The share of right answers on some of the images that the model was trained on.

    Raises InputError where another order of the classes, or another scaling, would make far more of them right.
    """
    own = _read(model, dataset)
    if own.right >= DOUBTFUL:
        return own.right
    others = set(get_args(Scaling)) - {config.scaling, "efficientnet"}  # which is none
    readings = {config.scaling: own, **{each: _read(make(each), dataset) for each in sorted(others)}}
    scaling = max(readings, key=lambda each: readings[each].best)
    if readings[scaling].best - own.best <= FAR:
        scaling = config.scaling
    found = readings[scaling]
    reordered = bool(found.best - found.right > FAR)
    share = found.best if reordered else found.right
    if share - own.right > FAR:
        said = [f"scaling={scaling}"] * (scaling != config.scaling)
        said += [f"'classes=[{','.join(found.order)}]'"] * reordered
        raise InputError(
            f"the model answers {own.right:.1%} of {len(_chosen(dataset))} of its own training images rightly with "
            f"scaling={config.scaling} classes=[{','.join(config.classes)}], and {share:.1%} with {' '.join(said)}: "
            "give that"
        )
    return own.right


def _read(model: Any, dataset: Dataset) -> Reading:
    rows, names = _chosen(dataset), dataset.split.classes.names
    answers = predict(model, dataset.pixels, dataset.pixel_rows[rows], title="checking the classes").argmax(axis=1)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (answers, dataset.labels(rows)), 1)  # (output, class)
    _, order = linear_sum_assignment(-counts)  # the class of each output
    best = counts[np.arange(len(names)), order].sum()
    return Reading(np.trace(counts) / len(rows), best / len(rows), tuple(names[index] for index in order))


def _chosen(dataset: Dataset) -> NDArray[np.int64]:
    """At most CHECKED training rows of each class."""
    every = dataset.rows("train")
    labels = dataset.labels(every)
    return np.concatenate([every[labels == index][:CHECKED] for index in np.unique(labels)])


def as_trained(config: AdoptConfig, file: Path) -> TrainConfig:
    """The configuration that stands for the training, which happened elsewhere: what `evaluate` reads of a model."""
    return TrainConfig(
        data=config.data,
        model=ModelConfig(ADOPTED, str(file), 0.0),
        augment=AugmentConfig("unknown", {}),
        schedule={},
        protocol=config.protocol,
        tracking=config.tracking,
        explain=config.explain,
        seed=0,
        monitor="val/macro_f1",
        test=False,
        bootstrap=1000,
        resume=None,
        calibrate=config.calibrate,
        coverage=config.coverage,
        selective_accuracy=config.selective_accuracy,
    )
