"""Averaging several models as one: loaded, put side by side, calibrated on what none has met, and registered."""

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from brain_tumor.command_line import as_typed
from brain_tumor.config.commands import EnsembleConfig
from brain_tumor.config.schedule import DistillConfig
from brain_tumor.config.train import ExplainConfig, ModelConfig, TrainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.logged_split import load_logged
from brain_tumor.errors import InputError
from brain_tumor.jobs.ensemble_members import Members
from brain_tumor.layout.blocks import Code, Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backbones import input_shape
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.models.ensemble import average
from brain_tumor.models.heads import head_of
from brain_tumor.tracking import cards, logged_uncertainty, registry, runs, setup, summary
from brain_tumor.tracking.lineage import MEMBER_RUNS
from brain_tumor.tracking.store import open_store

MOST = 5000  # characters of a tag that any MLflow server takes


def run(config: EnsembleConfig, members: Members) -> None:
    """Average the members, fit what is said with a prediction where images are left for it, and register the model."""
    store = open_store(config.tracking)
    start_tensorflow()
    model = average(_loaded(members))
    made = as_trained(config, members, model)
    dataset = None if members.reason else _images(config, made, members)
    split = members.split if dataset is None else dataset.split
    name = f"mean of {len(members.each)} on {split.name}"
    tags = setup.registration_tags("ensemble", made, split)
    tags |= {"listed_digest": members.each[0].listed, "members": ", ".join(each.uri for each in members.each)[:MOST]}
    tags[MEMBER_RUNS] = ", ".join(each.run_id for each in members.each)
    tags |= {"no_decision": members.reason} if members.reason else {}
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        setup.log_adoption(TypeAdapter(TrainConfig).dump_python(made, mode="json"), as_typed, split)
        uncertainty = None if dataset is None else logged_uncertainty.fit_and_log(model, dataset, made)
        uri, version = registry.log_model(
            model, split.classes, uncertainty, register=config.register, tags=tags, fitting=made.data.fitting
        )
        crowned = registry.crown(config.register, str(version))
        card = cards.publish_card(run_id)
    alone = f"class and probabilities alone: {members.reason}"
    facts = [
        ("model", f"{uri}, {crowned.verdict}"),
        *((f"member {number}", each.uri) for number, each in enumerate(members.each, start=1)),
        *([("it says", alone)] if members.reason else []),
        *((part, f"{sum(counts.values()):,} images") for part, counts in split.counts.items()),
    ]
    again = ["data=folder", "data.root=DIR"] if split.part("test").empty else []
    show_blocks(
        pairs(facts),
        Paragraph(card.detail),
        Code(summary.with_store(config.tracking, "evaluate", f"model_uri={uri}", *again)),
    )


def as_trained(config: EnsembleConfig, members: Members, model: Any) -> TrainConfig:
    """The configuration that stands for a training: that of the first member, but for what the mean has of its own."""
    first = members.each[0].config
    size = int(model.input_shape[1]) if first.data.volume_shape is None else None
    return replace(
        first,
        data=replace(first.data, image_size=size),
        model=ModelConfig(members.name, ", ".join(each.uri for each in members.each), 0.0, head_of(model)),
        schedule={},
        tracking=config.tracking,
        explain=ExplainConfig(None, None, first.explain.views),
        seed=0,
        seeds=None,
        resume=None,
        distill=DistillConfig(),
        calibrate=config.calibrate,
        coverage=config.coverage,
        selective_accuracy=config.selective_accuracy,
    )


def _loaded(members: Members) -> list[Any]:
    """The members' networks; InputError for one that cannot be loaded, or takes images of another size."""
    found = [registry.load_model(each.uri, each.said.partition("=")[0]).model for each in members.each]
    for member, model in zip(members.each, found, strict=True):
        if model.input_shape != found[0].input_shape:
            shapes = (" x ".join(map(str, each.input_shape[1:])) for each in (model, found[0]))
            raise InputError(f"{member.said} takes images of {' and not '.join(shapes)}: leave one of them out")
    return found


def _images(config: EnsembleConfig, made: TrainConfig, members: Members) -> Dataset:
    """The images of the members' split, found by their content."""
    there = replace(made.data, cache=config.data.cache or made.data.cache, masks=None)
    return load_logged(members.split, there, root=config.data.root, shape=input_shape(made))
