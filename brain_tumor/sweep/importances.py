"""Which parameters decided what a study's trials came to."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.sweep.summary import is_scored, metric_names, quiet

FEWEST_FOR_IMPORTANCES = 8  # trials with a value; of fewer, the better ones are too few to differ from the rest
MOST_FOR_IMPORTANCES = 1000  # of them, the latest: a second or two
EVALUATOR = "PED-ANOVA"


@dataclass(frozen=True)
class Importances:
    """Which parameters decided whether a trial got among the best; the shares add up to 1, the largest first."""

    evaluator: str
    trials: int  # that they come from
    shares: dict[str, float]


def importances(study: Study) -> Importances | None:
    """How much each parameter decided, of the latest `MOST_FOR_IMPORTANCES` trials with a value; None with too few.

    A pruned trial counts with its last report: a study that prunes well has few complete ones.
    PED-ANOVA (arXiv 2304.10255; for conditional spaces 2601.20800) compares where the best trials lie (see
    `evaluator`) with where all lie; of several objectives, those nearest to the Pareto front are the best.
    """
    trials = [trial for trial in with_pruned(study).get_trials(deepcopy=False) if is_scored(trial)]
    trials = trials[-MOST_FOR_IMPORTANCES:]
    if len(trials) < FEWEST_FOR_IMPORTANCES or not any(trial.params for trial in trials):
        return None
    with quiet():
        found = optuna.importance.get_param_importances(
            snapshot(study, trials), evaluator=evaluator(len(trials)), normalize=False
        )
    total = sum(found.values())
    if not total > 0:
        return None
    shares = {key: value / total for key, value in sorted(found.items(), key=lambda item: -item[1])}
    return Importances(EVALUATOR, len(trials), shares)


def evaluator(trials: int) -> "optuna.importance.PedAnovaImportanceEvaluator":
    """PED-ANOVA on the best tenth of so many trials; where that is fewer than five, on five, but at most half."""
    return optuna.importance.PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, 5 / trials)))


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
            key: trial.user_attrs[key] for key in ("reason", "seconds", "run_id") if trial.user_attrs.get(key)
        }
        if trial.state == TrialState.COMPLETE and not is_scored(trial):
            fresh.values, fresh.state = None, TrialState.FAIL
        copied.add_trial(fresh)
    return copied
