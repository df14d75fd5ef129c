"""The typed configuration of a training with the overrides and choices that made it, as jobs and runs get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed

_OF_A_SWEEP = ("sweep.", "sweep=", "sweep/")


@dataclass(frozen=True)
class Composition:
    """A typed configuration beside what it was made of."""

    config: TrainConfig
    values: dict[str, Any]  # the configuration as plain values
    overrides: list[str]  # as typed, without those of a sweep
    choices: Mapping[str, str]  # group -> the file chosen in it
    searchable: bool = False  # -m would search something without more words


def composition(raw: DictConfig) -> Composition:
    """The composition that Hydra's current job has; InputError in one line for a mistake in it."""
    values = plain(raw)
    sweep = typed(SweepConfig, values.pop("sweep", {}), "sweep.")
    config = typed(TrainConfig, values)
    hydra = HydraConfig.get()
    overrides = [text for text in hydra.overrides.task if not text.lstrip("+~").startswith(_OF_A_SWEEP)]
    return Composition(config, values, overrides, dict(hydra.runtime.choices), bool(sweep.space))


def is_multirun() -> bool:
    """Whether Hydra's current job is one of several, as `-m` asks for."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)
