"""What a training run logs before it trains: name, tags, parameters, configuration, split and environment."""

from dataclasses import asdict
from typing import Any

import mlflow

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.data.grouping import count_patients
from brain_tumor.data.protocol import leak
from brain_tumor.data.split import Split
from brain_tumor.models.backbones import image_size
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.tracking.headline import LEAK, leak_tag
from brain_tumor.tracking.lineage import MEMBER_RUNS, POOLED_JOB, TEACHER_RUN, networks
from brain_tumor.tracking.model_address import Found, find
from brain_tumor.tracking.runs import git_tags, log_config, log_environment, log_split, log_table, own_tags_of

GROUPS = ("data", "model", "augment", "schedule", "hardware")
OPTIONAL_GROUPS = ("experiment", "debug")  # logged where one of their files was chosen


def run_name(composed: Composition, split: Split) -> str:
    return f"{composed.config.model.name} {composed.choices['schedule']} on {split.name}, seed {composed.config.seed}"


def tags(composed: Composition, split: Split) -> dict[str, str]:
    """Tags of the run, and later of its registered model."""
    teacher = composed.config.distill.teacher
    taught = {} if teacher is None else {"teacher": teacher, TEACHER_RUN: find(teacher, "distill.teacher").run_id}
    return {
        "job": "train",
        "model": composed.config.model.name,
        "schedule": composed.choices["schedule"],
        "data": split.source,
        "data_kind": "synthetic" if split.synthetic else "real",
        "data_digest": split.digest,
        "listed_digest": split.listed,
        "classes": ", ".join(split.classes.names),
        "protocol": composed.config.protocol.name,
        "leaking": str(leak(split) is not None).lower(),  # the test part
        "leaking_val": str(leak(split, "val") is not None).lower(),
        **leak_tag(split),
        **taught,
        **git_tags(),
    }


def evaluation_tags(registered: RegisteredModel, split: Split, protocol: str, contaminated: str) -> dict[str, str]:
    """Tags of a run of `evaluate`, which lead back to the model and to the run that trained it.

    `contaminated`: true, false or unknown, whether the model has met the images or their twins as another source's.
    """
    met = {"true": "the model has met some of these images in training", "unknown": "unknown"}
    return {
        "job": "evaluate",
        "model_uri": registered.uri,
        "trained_by": registered.run_id,
        "model": registered.config["model"]["name"],
        "data": split.source,
        "data_kind": "synthetic" if split.synthetic else "real",
        "data_digest": split.digest,
        "protocol": protocol,
        "site": ", ".join(sorted(set(split.table["site"]))),
        "contaminated": contaminated,
        "leaking": str(leak(split) is not None).lower(),
        **({LEAK: met[contaminated]} if contaminated in met else leak_tag(split)),
        **git_tags(),
    }


def adoption_tags(config: TrainConfig, split: Split, **how: str) -> dict[str, str]:
    """Tags of a run of `adopt`, and of its registered model; `how` says what file it is and how it was wrapped."""
    return registration_tags("adopt", config, split) | {f"adopted_{name}": value for name, value in how.items()}


def registration_tags(job: str, config: TrainConfig, split: Split) -> dict[str, str]:
    """Tags of a run that registers a model which was not trained in it, and of that model."""
    return {
        "job": job,
        "model": config.model.name,
        "data": split.source,
        "data_kind": "synthetic" if split.synthetic else "real",
        "data_digest": split.digest,
        "listed_digest": split.listed,
        "classes": ", ".join(split.classes.names),
        "protocol": config.protocol.name,
        "leaking": str(leak(split) is not None).lower(),
        "leaking_val": str(leak(split, "val") is not None).lower(),
        **leak_tag(split),
        **git_tags(),
    }


def log_adoption(values: dict[str, Any], overrides: list[str], split: Split) -> None:
    """Log to the current run what `evaluate` reads of one that trained: configuration, split and environment."""
    log_origin(values, overrides, split)
    if values["data"]["patients"] is not None:
        log_table(count_patients(split.table, values["data"]["patients"]), "tables/patients.csv")


def log_origin(values: dict[str, Any], overrides: list[str], split: Split) -> None:
    """The same without a look at the file of patients, which may be gone."""
    mlflow.log_params({"model.weights": values["model"]["weights"], "protocol": values["protocol"]["name"]})
    log_config(values, overrides)
    log_split(split, "training")
    log_environment()


def pooling_tags(found: Found) -> dict[str, str]:
    """Tags of a run of `pool`: those of the run that made the model, how that made it, and which networks it has."""
    tags = own_tags_of(found.run_id)
    tags.pop("card_failed", None)
    made = {"job": "pool", POOLED_JOB: tags.get(POOLED_JOB) or tags["job"], "pooled_from": found.uri}
    return {**tags, **made, MEMBER_RUNS: ", ".join(networks(found.run_id))}


def log(composed: Composition, split: Split) -> None:
    """Log parameters, configuration, overrides, split, number of patients and environment to the current run."""
    mlflow.log_params(parameters(composed))
    log_config({**composed.values, "test": composed.config.test}, composed.overrides)
    log_split(split, "training")
    if composed.config.data.patients is not None:
        log_table(count_patients(split.table, composed.config.data.patients), "tables/patients.csv")
    log_environment()


def parameters(composed: Composition) -> dict[str, Any]:
    """The headline parameters and the overridden ones; the rest is in the configuration artifact."""
    config = composed.config
    headline: dict[str, Any] = {group: composed.choices[group] for group in GROUPS}
    headline |= {group: composed.choices[group] for group in OPTIONAL_GROUPS if composed.choices.get(group)}
    headline |= {
        **_size(config),
        "model.weights": config.model.weights,
        "protocol": config.protocol.name,
        "seed": config.seed,
    }
    for name, phase in config.schedule.items():
        for key in ("epochs", "learning_rate", "unfreeze"):
            headline[f"schedule.{name}.{key}"] = getattr(phase, key)
    if config.distill.teacher is not None:
        headline |= {f"distill.{key}": value for key, value in asdict(config.distill).items()}
    for override in composed.overrides:
        key = override.split("=", 1)[0].lstrip("+")
        value = _value(composed.values, key)
        if value is not None:
            headline.setdefault(key, value)
    return headline


def _size(config: TrainConfig) -> dict[str, Any]:
    shape = config.data.volume_shape
    return {"data.image_size": image_size(config)} if shape is None else {"data.volume_shape": list(shape)}


def _value(values: dict[str, Any], key: str) -> Any:
    """The plain value under a dotted key; None for a group, a mapping or a deleted key."""
    value: Any = values
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, dict) else value
