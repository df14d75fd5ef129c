"""The parent run of several trainings: what it needs to be gone on with, and what they come to together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Run

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.evaluation.bootstrap import run_intervals
from brain_tumor.evaluation.figures import confusion, reliability, roc
from brain_tumor.evaluation.lesion_scores import lesion_intervals, opening
from brain_tumor.evaluation.metrics import Evaluation, pooled
from brain_tumor.evaluation.patients import covered, with_patients
from brain_tumor.evaluation.sheets import to_relabel
from brain_tumor.layout.blocks import Block, Code, Paragraph, Summary, pairs
from brain_tumor.tracking import registry, runs
from brain_tumor.tracking.headline import LEAK, accuracy_tag
from brain_tumor.tracking.predictions import read_predictions
from brain_tumor.tracking.results import log_figure
from brain_tumor.tracking.store import Store
from brain_tumor.tracking.summary import NAMES, score_table, taught_by

SPREAD = ("accuracy", "macro_f1")  # whose deviation over the members is a metric too


@contextmanager
def opened(store: Store, composed: Composition, *, run_id: str | None = None) -> Iterator[str]:
    """The parent run, made with the configuration in it, or with `run_id` the same one again; yields its id."""
    config = composed.config
    name = f"{config.model.name} {composed.choices['schedule']}, {config.protocol.name}, several runs"
    tags = {"job": "several", "model": config.model.name, "protocol": config.protocol.name}
    tags |= {"schedule": composed.choices["schedule"], **runs.git_tags()}
    if config.distill.teacher is not None:
        tags["teacher"] = config.distill.teacher
    with runs.started(store, name=name, tags=tags, run_id=run_id, system_metrics=False) as parent:
        if run_id is None:
            runs.log_config(composed.values, composed.overrides)
            mlflow.log_dict(dict(composed.choices), "config/choices.json")
        yield parent


def composition_of(parent: str) -> Composition:
    """What the parent run was asked for."""
    values = runs.load_config(parent)
    uri = mlflow.get_run(parent).info.artifact_uri
    overrides = mlflow.artifacts.load_text(f"{uri}/config/overrides.txt").splitlines()
    choices = mlflow.artifacts.load_dict(f"{uri}/config/choices.json")
    return Composition(typed(TrainConfig, values), values, overrides, choices)


def child(parent: str, member: str) -> Run | None:
    """The last run of a member; None if it has none yet."""
    return next((run for run in children(parent) if run.data.tags.get("member") == member), None)


def children(parent: str) -> list[Run]:
    """The runs below the parent, the last one first."""
    experiment = mlflow.get_run(parent).info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{parent}'"
    return list(mlflow.MlflowClient().search_runs([experiment], query, order_by=["attributes.start_time DESC"]))


def conclude(store: Store, parent: str, members: Sequence[str], config: TrainConfig) -> Summary:
    """Log to the current run what its members come to, and return it.

    Of each part: the mean over the members of what each has as a metric, and of SPREAD the standard deviation
    (`test/accuracy`, `test/accuracy_sd`), with all others in `tables/test_metrics.csv`; a row a member in
    `tables/test_runs.csv`. Folds are one evaluation, of
    their pooled predictions: the mean and deviation of scores are then over the seeds, if there are several, and the
    deviation otherwise over the folds.
    """
    found = [run for run in (child(parent, member) for member in members) if run is not None]
    first = found[0].data.tags
    mlflow.set_tags(
        {name: first[name] for name in ("data", "data_kind", "leaking", "leaking_val", LEAK) if name in first}
    )
    parts: dict[str, list[Block]] = {}
    for part in ("val", "test") if config.test else ("val",):
        evaluations = [read_predictions(run.info.run_id, part) for run in found]
        of_members = _measured(found, part)
        runs.log_table(of_members.assign(member=list(members)), f"tables/{part}_runs.csv")
        if part == "test" and (config.protocol.folds or config.protocol.name == "leave_one_site_out"):
            evaluations = _pooled_by_seed(evaluations, len(config.seeds or (0,)))
        parts[part] = _log_part(evaluations, of_members, part, config)
    *more, shown = parts.values()
    facts = [*_registered(found, config.tracking.register), *taught_by(config.distill)]
    where = pairs([*facts, *store.addresses(parent)])
    blocks = (*shown, where, *map(Code, store.serve))
    return Summary(blocks, (*chain(*more), pairs([("pictures", runs.artifact_place(parent, "figures"))])))


def _registered(found: Sequence[Run], name: str | None) -> list[tuple[str, str]]:
    """The versions that the members' models have, and the champion among all."""
    versions = [registry.registered_from(run.info.run_id, name) for run in found] if name else []
    known = [version for version in versions if version is not None]
    if name is None or not known:
        return []
    return [("models", f"versions {', '.join(known)} of {name}; {registry.champion_line(name)}")]


def _measured(found: Sequence[Run], part: str) -> pd.DataFrame:
    """A row a run: its metrics of the part, those that all runs have."""
    metrics = [run.data.metrics for run in found]
    table = pd.DataFrame([{name: each[name] for name in each if name.startswith(f"{part}/")} for each in metrics])
    return table.rename(columns=lambda name: name.removeprefix(f"{part}/")).dropna(axis="columns")


def _pooled_by_seed(evaluations: list[Evaluation], seeds: int) -> list[Evaluation]:
    folds = len(evaluations) // seeds
    return [pooled(evaluations[start : start + folds]) for start in range(0, len(evaluations), folds)]


def _log_part(evaluations: list[Evaluation], of_members: pd.DataFrame, part: str, config: TrainConfig) -> list[Block]:
    lesions = lesion_intervals(evaluations, resamples=config.bootstrap)
    scores = run_intervals(evaluations, resamples=config.bootstrap)
    scores = with_patients(scores, evaluations, config.bootstrap)
    table = (scores if lesions.empty else pd.concat([scores, lesions])).set_index("metric")
    values: dict[Any, Any] = {name: table.loc[name, "value"] for name in [*NAMES, *lesions["metric"]]}
    if len(of_members) > 1:
        over = table["sd"] if len(evaluations) > 1 else of_members.std()
        values |= {f"{name}_sd": over[name] for name in SPREAD}
    values = {**values, **{name: mean for name, mean in of_members.mean().items() if name not in values}}
    mlflow.log_metrics({f"{part}/{name}": float(value) for name, value in values.items()})
    runs.log_table(table.reset_index(), f"tables/{part}_metrics.csv")
    if part == "test":
        mlflow.set_tags(accuracy_tag(table.reset_index()))
    if len(evaluations) == 1:
        runs.log_table(evaluations[0].table(), f"tables/{part}_predictions.csv")
        runs.log_table(to_relabel(evaluations[0]), f"tables/{part}_relabel.csv")
        for name, draw in (("confusion", confusion), ("reliability", reliability), ("roc", roc)):
            log_figure(draw(evaluations[0]), f"{part}/{name}")
    mean = f"mean of {len(evaluations)}, " if len(evaluations) > 1 else ""
    sizes = sorted({len(each.rows) for each in evaluations})
    images = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
    intervals = ", 95 % intervals by group" if table["low"].notna().any() else ""  # of the same images alone
    title = f"{evaluations[0].title}: {mean}{len(of_members)} runs, {images} images{intervals}"
    shown = table.reset_index()
    said = opening(table.to_dict("index"))
    by_patient = [Paragraph(covered(evaluations[0]))] if "patients" in shown else []
    scored = score_table(shown if len(evaluations) > 1 else shown.drop(columns="sd"))
    return [Paragraph(title), *said, scored, *by_patient]
