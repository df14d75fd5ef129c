"""What a study teaches: which keys mattered, which values are as good as the best, and what to search next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.sweep.importances import Importances, importances
from brain_tumor.sweep.next_space import next_text
from brain_tumor.sweep.space import Value, text_of
from brain_tumor.sweep.summary import best_trials, is_scored, metric_names, typed

ERROR = "standard_error"  # attribute of the study: number of its best trial, standard error of that one's value
WHEN = "sweep.when."  # opens what a study's space says of conditions
LUCK = "seed"  # a key that is left alone: no value of it is better


@dataclass(frozen=True, eq=False)
class Advice:
    """`good` and what follows from it are of a study with one objective alone."""

    found: dict[str, Importances]  # by objective
    best: FrozenTrial
    error: float | None  # standard error of the best trial's value; None: not known
    good: list[FrozenTrial]  # as good as the best: within one standard error of it; without that, the best alone
    changed: dict[str, str]  # what the next sweep shall try of a key, where that is something else
    fixed: dict[str, str]  # and at which value of a key it shall stay: one that did not matter, or has one good value
    again: list[str]  # what to type after `train` for the next sweep; nothing where that would be the same one


def advise(study: Study) -> Advice | None:
    """The advice on a study; None where it has too few trials, or nothing that differs between them."""
    metrics = enumerate(metric_names(study))
    found = {metric: each for index, metric in metrics if (each := importances(study, index)) is not None}
    trials = study.get_trials(deepcopy=False)
    front = best_trials(trials, study.directions)
    if not found or not front:
        return None
    best = front[0]
    if len(study.directions) > 1:
        return Advice(found, best, None, [], {}, {}, [])
    error = _error(study, best)
    good = as_good(trials, best, error, study.directions[0])
    [shares] = (each.shares for each in found.values())
    changed: dict[str, str] = {}
    fixed: dict[str, str] = {}
    conditional, read = _conditions(study)
    told = any(share.is_sure for share in shares.values())  # otherwise the trials tell nothing of any key
    for key, allowed in best.distributions.items():
        share = shares.get(key)
        if share is None or key in read or key.rpartition(".")[2] == LUCK:
            continue
        values: list[Value] = [trial.params[key] for trial in good if key in trial.params]
        if share.is_sure and (text := next_text(key, allowed, values, best.params[key])) is not None:
            (fixed if text == text_of(best.params[key]) else changed)[key] = text
        elif told and share.is_little and key not in conditional:
            fixed[key] = text_of(best.params[key])
    again = _narrower(study, changed, fixed) if changed or fixed else _longer(study, best)
    return Advice(found, best, error, good, changed, fixed, again)


def as_good(
    trials: Sequence[FrozenTrial], best: FrozenTrial, error: float | None, direction: StudyDirection
) -> list[FrozenTrial]:
    """The complete trials within one standard error of the best one (Breiman et al. 1984); without one, that alone."""
    if error is None:
        return [best]
    sign = 1 if direction == StudyDirection.MAXIMIZE else -1
    return [each for each in trials if is_scored(each) and sign * (best.values[0] - each.values[0]) <= error]


def _error(study: Study, best: FrozenTrial) -> float | None:
    number, error = study.user_attrs.get(ERROR) or (None, None)
    return float(error) if error is not None and number == best.number else None


def _conditions(study: Study) -> tuple[set[str], set[str]]:
    """The keys that exist only where others have certain values, and those others, whose values must stay."""
    space: Mapping[str, str] = study.user_attrs.get("space", {})
    when = {key.removeprefix(WHEN): text for key, text in space.items() if key.startswith(WHEN)}
    return set(when), {text.partition("=")[0] for text in when.values()}


def _narrower(study: Study, changed: Mapping[str, str], fixed: Mapping[str, str]) -> list[str]:
    """The sweep's command line with another space, all of it typed; nothing where none is left to search."""
    space: Mapping[str, str] = study.user_attrs.get("space", {})
    texts = {key: changed.get(key, text) for key, text in space.items() if not key.startswith(WHEN)}
    if not texts.keys() - fixed.keys():
        return []
    ours = ("sweep.study", "sweep.space", "sweep.when", "sweep.enqueue")
    plain = {key.lstrip("+") for key in texts}
    kept = [text for key, text in typed(study) if key not in plain and not key.startswith(ours)]
    when = ",".join(f'{key.removeprefix(WHEN)}: "{text}"' for key, text in space.items() if key.startswith(WHEN))
    conditions = [f"+sweep.when={{{when}}}"] if when else []
    return [*kept, *(f"{key}={fixed.get(key, text)}" for key, text in texts.items()), *conditions, "-m"]


def _longer(study: Study, best: FrozenTrial) -> list[str]:
    """The same command line with twice the trials, which goes on with the study; nothing where all has been tried."""
    asked = study.user_attrs.get("n_trials")
    trials = study.get_trials(deepcopy=False)
    points = 1
    for allowed in best.distributions.values():
        points *= len(allowed.choices) if isinstance(allowed, CategoricalDistribution) else len(trials) + 1
    done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    if asked is None or points <= done:
        return []
    kept = [text for key, text in typed(study) if key != "sweep.n_trials"]
    return [*kept, f"sweep.n_trials={2 * int(asked)}", "-m"]
