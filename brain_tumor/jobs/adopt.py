"""Taking in a model that was trained elsewhere: wrapped, checked, calibrated, registered; measured by `evaluate`."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from scipy.optimize import linear_sum_assignment

from brain_tumor.command_line import as_typed
from brain_tumor.config.commands import AdoptConfig
from brain_tumor.config.train import ADOPTED, AugmentConfig, ModelConfig, TrainConfig
from brain_tumor.data.dataset import Dataset, load_known
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import observing, predict
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, fit_uncertainty
from brain_tumor.layout.blocks import Code, Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.adopted import open_file, wrap
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.tracking import cards, logged_uncertainty, registry, runs, setup, summary
from brain_tumor.tracking.store import open_store

CHECKED = 100  # labelled images of each class by which the order of the classes is checked
FAR = 0.2  # a share of right answers that no chance of so many images adds


def run(config: AdoptConfig, file: Path) -> None:
    """Wrap the model of `file`, check the order of its classes, calibrate it on what was held out, and register it."""
    store = open_store(config.tracking)
    start_tensorflow()
    model = wrap(open_file(file), len(config.classes), config.scaling, config.channels)
    dataset = load_known(config.data, image_size=int(model.input_shape[1]), protocol=config.protocol)
    right = check_order(model, dataset)
    made = as_trained(config, file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    tags = setup.adoption_tags(made, dataset.split, digest=digest, scaling=config.scaling, channels=config.channels)
    name = f"adopt {file.name} on {dataset.split.name}"
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        setup.log_adoption(TypeAdapter(TrainConfig).dump_python(made, mode="json"), as_typed, dataset.split)
        uncertainty = _fit(model, dataset, config)
        uri, version = registry.log_model(
            model, dataset.split.classes, uncertainty, register=config.register, tags=tags
        )
        assert version is not None
        crowned = registry.crown(config.register, version)
        card = cards.publish_card(run_id)
    rows = [
        ("model", f"{uri}, {crowned.verdict}"),
        ("input", f"{dataset.image_size} px, scaling={config.scaling}, channels={config.channels}"),
        ("right of the images checked", f"{right:.1%}, by which nothing but the order of the classes was checked"),
        *((part, f"{sum(counts.values()):,} images") for part, counts in dataset.split.counts.items()),
    ]
    again = ["data=folder", "data.root=DIR"] if dataset.split.part("test").empty else []
    show_blocks(
        pairs(rows),
        Paragraph(card.detail),
        Code(summary.with_store(config.tracking, "evaluate", f"model_uri={uri}", *again)),
    )


def check_order(model: Any, dataset: Dataset) -> float:
    """The share of right answers on some of the images that the model was trained on.

    Raises InputError where the outputs fit the classes far better in another order.
    """
    every = dataset.rows("train")
    labels = dataset.labels(every)
    chosen = np.concatenate([every[labels == index][:CHECKED] for index in np.unique(labels)])
    names = dataset.split.classes.names
    answers = predict(model, dataset.pixels, dataset.pixel_rows[chosen], title="checking the classes").argmax(axis=1)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (answers, dataset.labels(chosen)), 1)  # (output, class)
    _, order = linear_sum_assignment(-counts)  # the class of each output
    given, best = np.trace(counts) / len(chosen), counts[np.arange(len(names)), order].sum() / len(chosen)
    if best - given > FAR:
        said = ",".join(names[index] for index in order)
        raise InputError(
            f"classes=[{','.join(names)}] is not the order of the model's outputs: it answers {given:.1%} of "
            f"{len(chosen)} of its own training images rightly, and {best:.1%} with 'classes=[{said}]': give that order"
        )
    return float(given)


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


def _fit(model: Any, dataset: Dataset, config: AdoptConfig) -> Uncertainty | None:
    """What is said with a prediction, where images were held out to fit it to."""
    if not len(dataset.rows("val")):
        return None
    uncertainty = fit_uncertainty(
        observing(model),
        dataset,
        calibrate=config.calibrate,
        levels=config.coverage,
        accuracy=config.selective_accuracy,
    )
    logged_uncertainty.log_uncertainty(uncertainty)
    return uncertainty
