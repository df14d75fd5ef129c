"""Fitting one answer for a whole volume to a model of slices: chosen and calibrated on volumes of known class."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from brain_tumor.command_line import as_typed
from brain_tumor.config.commands import PoolConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.evaluation.bootstrap import intervals
from brain_tumor.evaluation.metrics import Evaluation, score
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, warnings_of_volumes
from brain_tumor.evaluation.uncertainty.pooling_choice import Choice, choose
from brain_tumor.jobs.pooled_volumes import Volumes, answered_volumes
from brain_tumor.layout.blocks import Block, Code, Grid, Paragraph, Points, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.tracking import cards, logged_uncertainty, registry, runs, setup, summary
from brain_tumor.tracking.model_address import find
from brain_tumor.tracking.store import open_store

RESAMPLES = 1000
Row = tuple[str, str, Evaluation]  # a pooling, whether it is calibrated, and what it says of the volumes


def run(config: PoolConfig, name: str, images: pd.DataFrame) -> None:
    """Answer the volumes `images` slice by slice, choose a pooling, and register the model with it as `name`."""
    store = open_store(config.tracking)
    found = find(config.model_uri)
    start_tensorflow()
    registered = registry.load_model(found.uri)
    assert registered.uncertainty is not None
    volumes = answered_volumes(config, registered, images)
    labels = np.array([registered.classes.index(label) for label in volumes.rows["label"]], np.int64)
    groups = volumes.rows["group"].to_numpy()
    choice = choose(volumes.slices, labels, groups, levels=sorted(config.coverage), accuracy=config.selective_accuracy)
    tried = _tried(choice, volumes, registered)
    uncertainty = replace(registered.uncertainty, volumes=choice.pooling)
    made = TypeAdapter(TrainConfig).dump_python(typed(TrainConfig, registered.config), mode="json")
    with runs.started(
        store,
        name=f"pool {found.uri} on {len(labels)} volumes",
        tags=setup.pooling_tags(found),
        system_metrics=config.tracking.system_metrics,
    ) as run_id:
        setup.log_origin(made, as_typed, registered.split)
        _log(choice, tried, volumes)
        logged_uncertainty.log_uncertainty(uncertainty)
        tags = {**registry.tags_of(found.uri, found.run_id), "pooled_from": found.uri}
        uri, version = registry.log_model(registered.model, registered.classes, uncertainty, register=name, tags=tags)
        assert version is not None
        crowned = registry.succeed(name, version, found.version if found.name == name else None)
        card = cards.publish_card(run_id)
    facts = [
        ("model", f"{uri}, {crowned.verdict}"),
        ("volumes", _counted(volumes, registered)),
        ("pooling", f"{_named(choice.pooling.kind)}, of the least log loss once it is calibrated"),
    ]
    show_blocks(
        *_table(tried, registered),
        pairs(facts),
        Points(tuple(_remarks(volumes, uncertainty))),
        Paragraph(card.detail),
        Code(summary.with_store(config.tracking, "predict", f"model_uri={uri}", "input=SCANS")),
    )


def _tried(choice: Choice, volumes: Volumes, registered: RegisteredModel) -> list[Row]:
    """Each candidate as it is and calibrated; last the chosen one as it is worth on others."""
    rows = volumes.rows.assign(part="volumes")

    def measured(probabilities: NDArray[np.float64]) -> Evaluation:
        return Evaluation(rows, probabilities, registered.classes.names, f"volumes, {registered.split.name}")

    found = []
    for each in choice.candidates:
        found += [(_named(each.kind), "no", measured(each.before))]
        found += [(_named(each.kind), "yes", measured(each.after))]
    return [*found, ("chosen", "yes", measured(choice.honest))]


def _log(choice: Choice, tried: Sequence[Row], volumes: Volumes) -> None:
    """Metrics of the chosen one on others, and the tables `pooling`, `volumes_metrics` and `volumes_predictions`."""
    scores = [{"pooling": name, "how": how, **score(each)} for name, how, each in tried]
    honest = tried[-1][2]
    runs.log_table(pd.DataFrame(scores), "tables/pooling.csv")
    runs.log_table(intervals(honest, resamples=RESAMPLES), "tables/volumes_metrics.csv")
    runs.log_table(honest.table(), "tables/volumes_predictions.csv")
    runs.metrics({f"volumes/{name}": score(honest)[name] for name in ("log_loss", "ece", "accuracy", "roc_auc")})
    runs.tag(pooling=choice.pooling.kind, volumes=str(len(volumes.rows)))


def _table(tried: Sequence[Row], registered: RegisteredModel) -> Iterator[Block]:
    healthy = registered.classes.healthy
    auc = "ROC AUC" if healthy is None else f"AUC {healthy}"  # against all others
    metrics = ["log_loss", "ece", "accuracy", "roc_auc" if healthy is None else f"roc_auc_{healthy}"]
    rows = []
    for name, how, each in tried:
        values = score(each)
        rows.append((name, how, *(f"{values[metric]:.3f}" for metric in metrics)))
    table = intervals(tried[-1][2], resamples=RESAMPLES).set_index("metric").loc[metrics]
    bounds = [f"{low:.3f} to {high:.3f}" for low, high in table[["low", "high"]].itertuples(index=False)]
    yield Paragraph(
        "Log loss and ECE (calibration error) are the better the lower. Calibrated, each volume is answered by a fit "
        "to other patients; of the chosen pooling the choice, too, is theirs."
    )
    columns = ("pooling", "calibrated", "log loss", "ECE", "accuracy", auc)
    yield Grid(columns, (*rows, ("95 % interval", "", *bounds)), leading=2)


def _remarks(volumes: Volumes, uncertainty: Uncertainty) -> Iterator[str]:
    if volumes.complete:
        yield "None of their slices has a twin in the model's training; patients of other slices are not found by that."
    else:
        yield "Not all of the model's training images were there to compare with: trained_root=DIR says where they are."
    yield "How often a class is met among these volumes counts in the probabilities."
    yield from (f"Warning: {line}." for line in warnings_of_volumes(uncertainty))


def _counted(volumes: Volumes, registered: RegisteredModel) -> str:
    counts = volumes.rows["label"].value_counts()
    classes = ", ".join(f"{name} {counts[name]}" for name in registered.classes.names)
    return f"{len(volumes.rows)} of {volumes.rows['group'].nunique()} patients ({classes})"


def _named(kind: str) -> str:
    return {"mean": "mean", "share": "share", "noisy_or": "noisy-or", "top": "top tenth"}[kind]
