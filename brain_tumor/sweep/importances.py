"""Which keys decided what a study's trials came to, and how sure that is."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.sweep.budget import EPOCHS
from brain_tumor.sweep.space import Value
from brain_tumor.sweep.summary import is_scored, metric_names, quiet

FEWEST = 15  # trials with a value; of fewer, nearly every interval holds 0
MOST = 200  # of them, the latest: some seconds
RESAMPLES = 60
TREES, DEPTH = 4, 6  # of the forest that each resample grows: what a key decides alone needs no more
EVALUATOR = "fANOVA"
LITTLE = 0.05  # a share that is not worth a search
SHADOW = "shadow of "


@dataclass(frozen=True)
class Share:
    """How much of what tells trials apart a key decides alone, beyond chance (0); with its 95 % interval."""

    share: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the key mattered: the interval lies above 0."""
        return self.low > 0

    @property
    def is_little(self) -> bool:
        """Whether the key hardly mattered: the interval lies below a share that is worth a search."""
        return not self.is_sure and self.high < LITTLE


@dataclass(frozen=True)
class Importances:
    trials: int  # that they come from
    shares: dict[str, Share]  # the largest first


def importances(study: Study, objective: int = 0) -> Importances | None:
    """What each key decides of an objective, of the latest `MOST` trials with a value; None with too few.

    fANOVA (Hutter, Hoos and Leyton-Brown 2014) on `RESAMPLES` resamples (bootstrap) of the trials. A forest sees
    something in chance, too: so each key has a shadow among the keys, its own values shuffled among the trials (Kursa
    and Rudnicki 2010), and what that decides is taken from the key's share. The share of a key that decides nothing
    lies around 0.

    A pruned trial counts with its last report: a study that prunes well has few complete ones. A key that a trial does
    not have stands in the middle of its range there.
    """
    trials = [trial for trial in with_pruned(study).get_trials(deepcopy=False) if is_scored(trial)][-MOST:]
    allowed = {key: each for trial in trials for key, each in trial.distributions.items() if not each.single()}
    scores = np.array([trial.values[objective] for trial in trials])
    if len(trials) < FEWEST or not allowed or np.ptp(scores) == 0:
        return None
    filled = [_filled(trial, allowed, score) for trial, score in zip(trials, scores, strict=True)]
    random = np.random.default_rng(0)
    found = np.array([_explained(filled, list(allowed), random) for _ in range(RESAMPLES)])  # (resamples, keys)
    low, share, high = np.quantile(found, [0.025, 0.5, 0.975], axis=0)
    keys = list(allowed)
    return Importances(
        len(trials),
        {
            keys[each]: Share(float(share[each]), float(low[each]), float(high[each]))
            for each in np.argsort(-share, kind="stable")
        },
    )


def _explained(trials: Sequence[FrozenTrial], keys: Sequence[str], random: np.random.Generator) -> list[float]:
    """What each key explains of a resample beyond its shadow."""
    count, shadows = len(trials), {key: random.permutation(len(trials)) for key in keys}
    drawn = []
    for row in random.integers(count, size=count):
        trial = copy.copy(trials[row])
        trial.params = trial.params | {SHADOW + key: trials[shadows[key][row]].params[key] for key in keys}
        trial.distributions = trial.distributions | {SHADOW + key: trial.distributions[key] for key in keys}
        drawn.append(trial)
    if len({trial.value for trial in drawn}) == 1:
        return [0.0] * len(keys)
    forest = optuna.importance.FanovaImportanceEvaluator(
        n_trees=TREES, max_depth=DEPTH, seed=int(random.integers(2**31))
    )
    with quiet():
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), sampler=optuna.samplers.RandomSampler())
        study.add_trials(drawn)
        found = optuna.importance.get_param_importances(study, evaluator=forest, normalize=False)
    return [found[key] - found[SHADOW + key] for key in keys]


def _filled(trial: FrozenTrial, allowed: Mapping[str, BaseDistribution], score: float) -> FrozenTrial:
    """The trial with every key, and one score."""
    full = copy.copy(trial)
    full.params = {key: trial.params[key] if key in trial.params else _middle(each) for key, each in allowed.items()}
    full.distributions, full.values, full.user_attrs = dict(allowed), [float(score)], {}
    return full


def _middle(allowed: BaseDistribution) -> Value:
    if isinstance(allowed, CategoricalDistribution):
        return allowed.choices[0]
    assert isinstance(allowed, IntDistribution | FloatDistribution)
    middle = (allowed.low * allowed.high) ** 0.5 if allowed.log else (allowed.low + allowed.high) / 2
    if isinstance(allowed, FloatDistribution):
        return middle
    return allowed.low + round((middle - allowed.low) / allowed.step) * allowed.step


def with_pruned(study: Study) -> Study:
    """A copy of a study in which the trials that were pruned are complete, with the value of their last report."""
    trials = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.PRUNED and trial.values:
            trial = copy.copy(trial)
            trial.state = TrialState.COMPLETE
        trials.append(trial)
    return snapshot(study, trials)


def snapshot(study: Study, trials: Sequence[FrozenTrial], names: Mapping[str, str] | None = None) -> Study:
    """A copy of a study in memory, with these trials numbered anew from 0 and their parameters renamed by `names`.

    Trials whose values are not finite stand in it as failed.
    """
    names = names or {}
    with quiet():
        copied = optuna.create_study(
            study_name=study.study_name,
            directions=study.directions,
            storage=optuna.storages.InMemoryStorage(),
            sampler=optuna.samplers.RandomSampler(),
        )
        copied.set_metric_names(metric_names(study))
    for trial in trials:
        fresh = copy.copy(trial)
        fresh.distributions = {names.get(key, key): allowed for key, allowed in trial.distributions.items()}
        fresh.params = {names.get(key, key): value for key, value in trial.params.items()}
        fresh.user_attrs = {
            key: trial.user_attrs[key] for key in ("reason", "seconds", "run_id", EPOCHS) if trial.user_attrs.get(key)
        }
        if trial.state == TrialState.COMPLETE and not is_scored(trial):
            fresh.values, fresh.state = None, TrialState.FAIL
        copied.add_trial(fresh)
    return copied
