"""What a training run logs before it trains: name, tags, parameters, configuration, split and environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow

from brain_tumor.config import TrainConfig
from brain_tumor.data.grouping import count_patients
from brain_tumor.data.protocol import leak
from brain_tumor.data.split import Split
from brain_tumor.tracking.registry import RegisteredModel
from brain_tumor.tracking.runs import git_tags, log_config, log_environment, log_split, log_table
from brain_tumor.training.preflight import image_size

GROUPS = ("data", "model", "augment", "schedule", "hardware")
OPTIONAL_GROUPS = ("experiment", "debug")  # logged where one of their files was chosen


@dataclass(frozen=True)
class Plan:
    """A configuration and how it was composed."""

    config: TrainConfig
    composed: dict[str, Any]  # the composed configuration as plain values
    overrides: list[str]  # as typed
    choices: Mapping[str, str]  # group -> the file chosen in it


def run_name(plan: Plan, split: Split) -> str:
    return f"{plan.config.model.name} {plan.choices['schedule']} on {split.name}, seed {plan.config.seed}"


def tags(plan: Plan, split: Split) -> dict[str, str]:
    """Tags of the run, and later of its registered model."""
    return {
        "job": "train",
        "model": plan.config.model.name,
        "data": split.source,
        "data_kind": "synthetic" if split.synthetic else "real",
        "data_digest": split.digest,
        "listed_digest": split.listed,
        "protocol": plan.config.protocol.name,
        "leaking": str(leak(split) is not None).lower(),  # the test part
        "leaking_val": str(leak(split, "val") is not None).lower(),
        **git_tags(),
    }


def evaluation_tags(registered: RegisteredModel, split: Split, protocol: str, contaminated: str) -> dict[str, str]:
    """Tags of a run of `evaluate`, which lead back to the model and to the run that trained it.

    `contaminated`: true, false or unknown, whether the model has met the images or their twins as another source's.
    """
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
        **git_tags(),
    }


def log(plan: Plan, split: Split) -> None:
    """Log parameters, configuration, overrides, split, number of patients and environment to the current run."""
    mlflow.log_params(parameters(plan))
    composed = {**plan.composed, "test": plan.config.test}
    log_config(composed, plan.overrides)
    log_split(split, "training")
    if plan.config.data.patients is not None:
        log_table(count_patients(split.table, plan.config.data.patients), "tables/patients.csv")
    log_environment()


def parameters(plan: Plan) -> dict[str, Any]:
    """The headline parameters and the overridden ones; the rest is in the configuration artifact."""
    config = plan.config
    headline: dict[str, Any] = {group: plan.choices[group] for group in GROUPS}
    headline |= {group: plan.choices[group] for group in OPTIONAL_GROUPS if plan.choices.get(group)}
    headline |= {
        "data.image_size": image_size(config),
        "model.weights": config.model.weights,
        "protocol": config.protocol.name,
        "seed": config.seed,
    }
    for name, phase in config.schedule.items():
        for key in ("epochs", "learning_rate", "unfreeze"):
            headline[f"schedule.{name}.{key}"] = getattr(phase, key)
    for override in plan.overrides:
        key = override.split("=", 1)[0].lstrip("+")
        value = _value(plan.composed, key)
        if value is not None:
            headline.setdefault(key, value)
    return headline


def _value(composed: dict[str, Any], key: str) -> Any:
    """The plain value under a dotted key; None for a group, a mapping or a deleted key."""
    value: Any = composed
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, dict) else value
