"""What of the best score was luck: the best trials, trained again with other seeds of the training.

These trainings are the trials of a study beside the first, STUDY-confirm, all of whose points are queued: no sampler
learns from them, and what holds for trials (claims, heartbeats, second tries) holds for them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.layout.blocks import Block, Grid, Paragraph
from brain_tumor.sweep.search_request import NO_PRUNER, Request
from brain_tumor.sweep.space import Space, Value
from brain_tumor.sweep.study import Plan, counts, open_study
from brain_tumor.sweep.summary import chosen_trial, is_scored

ENDING = "-confirm"  # of the study's name
SEED = "seed"  # the key of a training's seed
REPEATS = 2  # seeds that each of the best trials is trained with beside its own
# What a job reads of its study, see `job_side`; `metrics` and the rest are settled by the command.
SHARED = ("metrics", "warm_start", "retry_smaller", "command", "parent_run")


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of the best trials, with those of its trainings with other seeds that came to a score."""

    trial: FrozenTrial
    again: tuple[FrozenTrial, ...]  # by seed

    @property
    def confirmed(self) -> float:
        """The mean over the other seeds, by which it was not selected."""
        return fmean(each.values[0] for each in self.again)

    @property
    def mean(self) -> float:
        """The mean over all seeds."""
        return fmean(each.values[0] for each in (self.trial, *self.again))


@dataclass(frozen=True, eq=False)
class Confirmation:
    """The best trials, the one with the best score first, each with at least one further score."""

    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]  # the trials' own, then the others
    sign: int  # 1 where more is better, -1 where less is

    @property
    def winner(self) -> Candidate:
        """The best on average over all its seeds."""
        return max(self.candidates, key=lambda each: self.sign * each.mean)

    @property
    def model(self) -> FrozenTrial:
        """The winner's training whose model to take: its best with another seed, since the trial's own was selected."""
        return max(self.winner.again, key=lambda each: self.sign * each.values[0])

    @property
    def luck(self) -> float:
        """How much better the best score is than the mean of the same trial with other seeds."""
        best = self.candidates[0]
        return self.sign * (float(best.trial.values[0]) - best.confirmed)

    @property
    def deviation(self) -> float | None:
        """The standard deviation from seed to seed, pooled over the candidates; None where none has two other seeds."""
        deviations = [(each.values[0] - one.confirmed) ** 2 for one in self.candidates for each in one.again]
        freedom = len(deviations) - len(self.candidates)
        return math.sqrt(sum(deviations) / freedom) if freedom else None


def best_points(study: Study, count: int) -> list[FrozenTrial]:
    """The best `count` trials of different points, the best first and the earliest of equals."""
    sign = _sign(study)
    chosen: list[FrozenTrial] = []
    for trial in sorted(filter(is_scored, study.get_trials(deepcopy=False)), key=lambda each: -sign * each.values[0]):
        if len(chosen) < count and trial.params not in [each.params for each in chosen]:
            chosen.append(trial)
    return chosen


def open_confirmation(
    study: Study, request: Request, fixed: Mapping[str, Any], storage: RDBStorage
) -> tuple[Study, Request, list[dict[str, Value]]]:
    """The study in which the best trials of a finished `study` are trained again: what it asks for, and its points.

    `fixed` as of the study's Plan.
    """
    count, own = request.settings.confirm, fixed[SEED]
    assert count is not None
    seeds = range(own + 1, own + 1 + REPEATS)
    points = [{**trial.params, SEED: seed} for trial in best_points(study, count) for seed in seeds]
    space = Space({**request.space.texts, SEED: f"range({seeds.start}, {seeds.stop})"}, request.space.when)
    others = {key: value for key, value in fixed.items() if key != SEED}
    settings = request.settings
    plan = Plan(space, others, settings.metrics, settings.directions, points, study.user_attrs["command"])
    sampler = optuna.samplers.RandomSampler()  # draws nothing
    again, _ = open_study(
        f"{study.study_name}{ENDING}", storage, plan, sampler=sampler, pruner=None, on_change="refuse"
    )
    trials = again.get_trials(deepcopy=False)
    former = [each for each in trials if counts(each) and each.system_attrs.get("fixed_params") not in points]
    settled = {key: study.user_attrs[key] for key in SHARED if key in study.user_attrs}
    settled |= {"pruner": NO_PRUNER, "confirms": study.study_name, "n_trials": len(points) + len(former)}
    for key, value in settled.items():
        again.set_user_attr(key, value)
    shared = [text for text in request.shared if text.partition("=")[0].lstrip("+") != SEED]
    return again, replace(request, space=space, shared=shared), points


def confirming(study: Study) -> Study | None:
    """The study that confirms a study's best trials; None where there is none."""
    sampler = optuna.samplers.RandomSampler()
    try:
        return optuna.load_study(study_name=f"{study.study_name}{ENDING}", storage=study._storage, sampler=sampler)
    except KeyError:
        return None


def confirmation(study: Study) -> Confirmation | None:
    """What a study's confirmation has come to; None where it has none, or not all of it yet."""
    count = study.user_attrs.get("confirm")
    again = None if count is None else confirming(study)
    if again is None or again.user_attrs.get("ready") is None:
        return None
    done = again.get_trials(deepcopy=False)
    candidates, seeds = [], set()
    for trial in best_points(study, int(count or 0)):
        own = [each for each in done if point_of(each) == trial.params and (_waits(each) or counts(each))]
        if len(own) < REPEATS or not all(each.state.is_finished() for each in own):
            return None
        scored = sorted(filter(is_scored, own), key=lambda each: int(each.params[SEED]))
        seeds |= {int(each.params[SEED]) for each in scored}
        if scored:
            candidates.append(Candidate(trial, tuple(scored)))
    own_seed = study.user_attrs["fixed"][SEED]
    return Confirmation(tuple(candidates), (own_seed, *sorted(seeds)), _sign(study)) if candidates else None


def point_of(trial: FrozenTrial) -> dict[str, Any]:
    """The point of the trial that a training with another seed confirms."""
    return {key: value for key, value in trial.system_attrs.get("fixed_params", {}).items() if key != SEED}


def winner(study: Study) -> FrozenTrial | None:
    """The trial to go on with: the best on average where the best ones were confirmed; None without any."""
    found = confirmation(study)
    return chosen_trial(study) if found is None else found.winner.trial


def to_register(study: Study) -> FrozenTrial | None:
    """The training whose model is the study's: the winner's own, or where it was confirmed that of another seed."""
    found = confirmation(study)
    return chosen_trial(study) if found is None else found.model


def said(found: Confirmation) -> list[Block]:
    """A row a candidate, the best on average first, and how much of the best score was luck."""
    rows = []
    for each in sorted(found.candidates, key=lambda one: -found.sign * one.mean):
        scores = {found.seeds[0]: each.trial.values[0]} | {one.params[SEED]: one.values[0] for one in each.again}
        cells = (f"{scores[seed]:.4f}" if seed in scores else "-" for seed in found.seeds)
        rows.append((f"trial {each.trial.number}", *cells, f"{each.mean:.4f}"))
    table = Grid(("trained again", *(f"seed {seed}" for seed in found.seeds), "mean"), tuple(rows))
    best, winner = found.candidates[0], found.winner
    others = [each.values[0] for each in best.again]
    spread = f" ({min(others):.4f} to {max(others):.4f})" if len(others) > 1 else ""
    luck = f"{found.luck:.4f} was luck" if found.luck > 0 else "it was no luck"
    sentences = [
        f"Trial {best.trial.number} scored {best.trial.values[0]:.4f} in the search, and {best.confirmed:.4f}{spread} "
        f"with other seeds: {luck}."
    ]
    if found.deviation is not None:
        sentences.append(f"From seed to seed a score varies by {found.deviation:.4f} (standard deviation).")
    first = f"Trial {winner.trial.number} is the best on average over its seeds; " if len(found.candidates) > 1 else ""
    sentences.append(f"{first}{'its' if first else 'Its'} model is that of seed {found.model.params[SEED]}.")
    return [table, Paragraph(" ".join(sentences))]


def _sign(study: Study) -> int:
    return 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1


def _waits(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING
