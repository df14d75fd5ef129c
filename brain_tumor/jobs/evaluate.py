"""Measuring a registered model in a fresh process: model, configuration and split come from the registry alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from brain_tumor.command_line import as_typed
from brain_tumor.config.commands import EvaluateConfig, LoggedData
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.contamination import Contamination
from brain_tumor.data.dataset import Dataset, load_whole
from brain_tumor.data.logged_split import load_logged
from brain_tumor.evaluation import external_site
from brain_tumor.evaluation.explanation.kinds import check
from brain_tumor.evaluation.measuring import measure, measure_all
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.views import said, viewed
from brain_tumor.jobs.met_in_training import met_in_training
from brain_tumor.layout.blocks import Finding, plainly
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.serving.runtime_choice import choose_for
from brain_tumor.tracking import cards, logged_uncertainty, registry, results, runs, setup, summary, trash
from brain_tumor.tracking.explanations import log_explanations
from brain_tumor.tracking.members import log_members
from brain_tumor.tracking.model_address import find
from brain_tumor.tracking.store import command_here, open_store


@dataclass(frozen=True, eq=False)
class Asked:
    """A registered model, and the images that it is asked about."""

    config: EvaluateConfig
    registered: RegisteredModel
    trained: TrainConfig  # how the model was made
    dataset: Dataset
    protocol: str  # under which the images are divided
    known: Contamination | None  # of another source's images: what the model has met before

    @property
    def titled(self) -> str:
        """What stands in titles: the protocol, and by how many views the answers are."""
        return self.protocol + (f", {self.config.views} views" if self.config.views > 1 else "")


def run(config: EvaluateConfig) -> None:
    """Score the test part in a run linked to the model's own, and print what that comes to.

    With `data=folder` (or another source) the model meets all images of that source instead.
    """
    store = open_store(config.tracking)
    parent = trash.as_parent(find(config.model_uri).run_id)
    start_tensorflow()
    asked = _ask(config)
    registered, dataset, known = asked.registered, asked.dataset, asked.known
    check(config.explain, registered.model, asked.trained.model.name, dataset)
    answering, runtime = choose_for(
        config.runtime, registered.model, dataset, robustness=config.robustness, views=config.views
    )
    answering = viewed(answering, config.views)
    tags = setup.evaluation_tags(registered, dataset.split, asked.protocol, known.verdict if known else "false")
    tags["views"] = str(config.views)
    name = f"evaluate {asked.trained.model.name} on {dataset.split.name}"
    name += f", {config.views} views" if config.views > 1 else ""
    with runs.started(
        store, name=name, tags=tags, parent=parent, system_metrics=config.tracking.system_metrics
    ) as run_id:
        runs.log_split(dataset.split, "evaluation")
        measured, tables, found = _measure(asked, answering)
        maps = _explain(asked, answering, measured, tables)
        apart = summary.no_leak(dataset.split, patients=asked.trained.data.knows_patients) if known is None else []
        sizes = {"batch_size": config.batch_size, "resamples": config.bootstrap}
        several = log_members(registered.model, dataset, measured["test"], views=config.views, **sizes)
        found = [*maps, *several, *summary.absent_classes(dataset.split), *apart, *found]
        if config.robustness:
            found.append(results.log_robustness(answering, dataset, "test", measured["test"], **sizes))
    found += [*external_site.remarks(known), cards.publish_card(registered.run_id)]  # the card now has this, too
    facts = [("model", registered.uri)] + ([] if config.runtime == "keras" else [("runtime", runtime)])
    parts = [(measured[part], tables[part]) for part in measured]
    more = [] if config.robustness else [command_here("evaluate", *as_typed, "robustness=true")]
    said = summary.summarize_run(store, run_id, parts, dataset.split, found, facts=facts, commands=more)
    summary.publish(run_id, said)


def _ask(config: EvaluateConfig) -> Asked:
    """Load the model, and the images: those of its own split, found by content, or all of another source."""
    registered = registry.load_model(config.model_uri)
    trained = typed(TrainConfig, registered.config)
    data, shape = config.data, tuple(registered.model.input_shape[1:])
    if isinstance(data, LoggedData):
        there = replace(trained.data, cache=data.cache or trained.data.cache)
        dataset = load_logged(registered.split, there, root=data.root, shape=shape, masks=data.masks)
        return Asked(config, registered, trained, dataset, trained.protocol.name, None)
    whole = data.volume_shape is not None
    data = replace(data, spacing=trained.data.spacing)  # as the model has learned them
    dataset = load_whole(data, shape=shape, known=registered.classes)
    known = met_in_training(
        registered,
        dataset.split,
        config.trained_root,
        cache=data.cache,
        workers=data.workers,
        patients=data.patients,
        whole=whole,
    )
    return Asked(config, registered, trained, dataset, "all images", known)


def _measure(asked: Asked, answering: Any) -> tuple[dict[str, Evaluation], dict[str, pd.DataFrame], list[Finding]]:
    """Score the test part, and again without what the model has met; also what its uncertainty is worth."""
    config, uncertainty = asked.config, asked.registered.uncertainty
    evaluation, outputs = measure_all(
        answering, asked.dataset, "test", asked.titled, uncertainty, batch_size=config.batch_size
    )
    measured = external_site.by_contamination(evaluation, asked.known)
    tables = {part: results.log_evaluation(each, part, resamples=config.bootstrap) for part, each in measured.items()}
    found: list[Finding] = []
    for part, each in measured.items():
        places = evaluation.rows.index.get_indexer(each.rows.index)
        found += logged_uncertainty.log_worth(uncertainty, each, outputs.take(places), part)
    averaged = [plainly(f"Views: {said(config.views)}.")] if config.views > 1 else []
    return measured, tables, [*averaged, *found, *logged_uncertainty.describe(uncertainty)]


def _explain(
    asked: Asked, answering: Any, measured: Mapping[str, Evaluation], tables: dict[str, pd.DataFrame]
) -> list[Finding]:
    """Draw the maps of the test part, scored where masks are known; returns what was found, and adds to `tables`."""
    config, model, dataset = asked.config, asked.registered.model, asked.dataset
    explained = {"test": measured["test"]}
    if dataset.mask_paths is not None and len(dataset.rows("val")):  # what scoring maps needs is chosen there
        explained["val"] = measure(answering, dataset, "val", asked.titled, batch_size=config.batch_size)
    backbone = asked.trained.model.name
    found, values = log_explanations(
        model,
        backbone,
        dataset,
        explained,
        config.explain,
        parts=["test"],
        resamples=config.bootstrap,
        answering=answering if config.views > 1 else None,
    )
    for part, each in measured.items():
        own = values["test"].loc[each.rows.index]
        tables[part] = results.log_lesions(each, own, part, tables[part], resamples=config.bootstrap)
    return found
