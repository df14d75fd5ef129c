"""Optuna's samplers and pruners, made from their configuration."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import optuna
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from brain_tumor.errors import InputError
from brain_tumor.sweep.space import Space, Value

GRID = "optuna.samplers.GridSampler"


class Reseeded(BaseSampler):
    """Another sampler, made anew for every trial with a seed of its own.

    A sampler that is seeded once would repeat its first suggestions after every restart, and several workers would
    suggest the same points. All of Optuna's samplers keep what they must remember in the storage.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler = self._make(int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing: here Optuna's samplers store constraints, of which there are none, or stop `optimize`."""


def is_grid(config: Mapping[str, Any]) -> bool:
    return config.get("_target_") == GRID


def make_sampler(config: Mapping[str, Any], space: Space, seed: int) -> BaseSampler:
    """The configured sampler, reseeded for every trial; InputError where it cannot be made or does not fit the space.

    A grid's points are all queued when the study is made (see study.py), so that no two workers get the same.
    """
    if is_grid(config):
        axes = space.axes()
        return Reseeded(lambda number: GridSampler(axes, seed=number), seed)
    return Reseeded(lambda number: _make("sampler", {**config, "seed": number}), seed)


def make_pruner(config: Mapping[str, Any]) -> BasePruner:
    """The configured pruner; InputError where it cannot be made."""
    pruner: BasePruner = _make("pruner", config)
    return pruner


def suggest(trial: Trial, space: Space) -> dict[str, Value]:
    """A trial's point: every key that exists there, drawn in the order of their conditions."""
    point: dict[str, Value] = {}
    for key in space.order:
        if not space.active(key, point):
            continue
        allowed = space.distributions[key]
        if isinstance(allowed, CategoricalDistribution):
            point[key] = trial.suggest_categorical(key, allowed.choices)
        elif isinstance(allowed, IntDistribution):
            point[key] = trial.suggest_int(key, allowed.low, allowed.high, step=allowed.step, log=allowed.log)
        else:
            assert isinstance(allowed, FloatDistribution)
            point[key] = trial.suggest_float(key, allowed.low, allowed.high, step=allowed.step, log=allowed.log)
    return point


def _make(what: str, config: Mapping[str, Any]) -> Any:
    target = str(config.get("_target_"))
    try:
        module, _, name = target.rpartition(".")
        kind = getattr(import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, BaseSampler if what == "sampler" else BasePruner)):
            raise InputError(f"sweep.{what}._target_={target} is no Optuna {what}")
        return instantiate(dict(config))
    except (InstantiationException, ImportError, AttributeError, ValueError, TypeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise InputError(f"sweep.{what}: {target} cannot be made: {reason}") from error


optuna.logging.set_verbosity(optuna.logging.WARNING)
