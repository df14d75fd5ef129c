"""A job's side of a sweep: which trial it is, what it reports, and how it ends."""

import logging
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from brain_tumor.errors import InputError
from brain_tumor.memory import shortage
from brain_tumor.sweep.confirmation import SEED, point_of
from brain_tumor.sweep.sampling import make_pruner
from brain_tumor.sweep.signals import NUMBER, STUDY, Pruned, TakenOver
from brain_tumor.sweep.storage import address, open_storage
from brain_tumor.sweep.study import beating, lose, retry_of, smaller, worker
from brain_tumor.sweep.summary import is_scored

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class JobTrial:
    """The trial that this job is."""

    study: optuna.Study
    number: int
    _trial: optuna.Trial

    @property
    def metrics(self) -> list[str]:
        """Names of the objective's values, in their order."""
        return list(self.study.user_attrs["metrics"])

    @property
    def parent_run(self) -> str | None:
        """Id of the study's own run in the tracking store."""
        found = self.study.user_attrs.get("parent_run")
        return None if found is None else str(found)

    @property
    def title(self) -> str:
        return f"{self.study.study_name} trial {self.number}"

    @property
    def tags(self) -> dict[str, str]:
        """The study and the trial; of a training with another seed those that it confirms, and which `confirmation`."""
        name = self.study.user_attrs.get("confirms")
        if name is None:
            return {"study": self.study.study_name, "trial": str(self.number)}
        first = optuna.load_study(study_name=name, storage=self.study._storage, sampler=self.study.sampler)
        own = self.study.get_trials(deepcopy=False)[self.number]
        scored = filter(is_scored, first.get_trials(deepcopy=False))
        number = next(each.number for each in scored if each.params == point_of(own))
        return {"study": name, "trial": str(number), "confirmation": f"seed {own.params[SEED]}"}

    @property
    def swept(self) -> list[str]:
        """The keys that differ between the study's trials."""
        return [key for key in self.study.user_attrs["space"] if not key.startswith("sweep.when.")]

    @property
    def warm_start(self) -> bool:
        """Whether trials that begin alike begin together: not if a continuous key makes every beginning its own."""
        attributes = self.study.user_attrs
        own = [key for key in self.swept if not key.lstrip("+").startswith("schedule.")]
        return bool(attributes["warm_start"]) and not any("interval" in attributes["space"][key] for key in own)

    def predecessor(self) -> Mapping[str, Any] | None:
        """Attributes of the lost trial that this one repeats, or None."""
        return retry_of(self.study, self.number)

    @property
    def may_shrink(self) -> bool:
        """Whether it is tried again, smaller, should it die for want of memory: once, where the sweep says so."""
        return bool(self.study.user_attrs.get("retry_smaller")) and not smaller(self.study, self.number)

    def shrink(self, reason: str) -> str:
        """Queue its point once more, with what it has noted as `smaller`; returns that, empty if it has noted none."""
        found = self.study.get_trials(deepcopy=False)[self.number]
        noted = found.user_attrs.get("smaller") or {}
        if noted:
            lose(self.study, found, reason)
        return " ".join(f"{key}={value}" for key, value in noted.items())

    def note(self, **attributes: Any) -> None:
        """Keep something about the trial in the study."""
        for key, value in attributes.items():
            self._guarded(partial(self._trial.set_user_attr, key, value))

    def report(self, step: int, metrics: Mapping[str, Any], *, last: bool = False) -> None:
        """Tell the study of an epoch; raises Pruned. With several objectives it does nothing.

        `step` counts from 1, from where the study's trials part. After the `last` one nothing is left to save.
        """
        name, *others = self.metrics
        if others or name not in metrics:
            return
        value = float(metrics[name])
        self._guarded(lambda: self._trial.report(value, step))
        if not last and self._trial.should_prune():
            pruner = type(self.study.pruner).__name__
            raise Pruned(f"pruned at step {step} by {pruner}: {name} {value:.4f}")

    def leads(self, values: Sequence[float]) -> bool:
        """Whether no finished trial is better: in every objective, if there are several.

        Of trainings with other seeds, those of the same point are compared.
        """
        signs = [1 if each.name == "MAXIMIZE" else -1 for each in self.study.directions]
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if "confirms" in self.study.user_attrs:
            own = point_of(self.study.get_trials(deepcopy=False)[self.number])
            done = [each for each in done if point_of(each) == own]

        def dominated(by: Sequence[float]) -> bool:
            gains = [sign * (other - own) for sign, other, own in zip(signs, by, values, strict=True)]
            return min(gains) >= 0 and max(gains) > 0

        return not any(dominated(trial.values) for trial in done if trial.values)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Take the trial over from the process that asked for it, which a job of another process may outlive.

        Raises TakenOver if it has ended already: some launchers start a job whose process died once more.
        """
        if self.study.get_trials(deepcopy=False)[self.number].state != TrialState.RUNNING:
            raise TakenOver("has ended already, and is not run again")
        self.note(worker=worker())
        with beating(self.study, [self._trial]):
            yield

    def _guarded(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except UpdateFinishedTrialError as error:
            raise TakenOver("was given up for dead by another worker, which tries it again") from error


def current(storage: str | None, cwd: Path) -> JobTrial:
    """The trial that this job is, by the variables that the sweep has set for it.

    What the sweep has settled on (objective, pruner) is read from the study: the job's own configuration does not know
    what the command line made of it.
    """
    number = int(os.environ[NUMBER])
    study = _study(os.environ[STUDY], address(storage, cwd))
    study.pruner = make_pruner(study.user_attrs["pruner"])
    [found] = [each for each in study.get_trials(deepcopy=False) if each.number == number]
    return JobTrial(study, number, optuna.Trial(study, found._trial_id))


@lru_cache(maxsize=1)
def _study(name: str, storage: str) -> optuna.Study:
    """A process that runs trial after trial reads the finished ones once."""
    sampler = optuna.samplers.RandomSampler()  # draws nothing: the point has been drawn already
    return optuna.load_study(study_name=name, storage=open_storage(storage), sampler=sampler)


def unusable(values: Sequence[float], count: int) -> str:
    """Why Optuna would not take a trial's values; empty if it does."""
    if len(values) != count:
        return f"failed: it returned {len(values)} values for {count} objectives"
    return "failed: its value is not a number" if any(map(math.isnan, values)) else ""


def failure(error: BaseException) -> str:
    """What a failed trial says of the error, in one line."""
    if short := shortage(error):
        return short
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, InputError) and text else f"{type(error).__name__}: {text}"


def conclude(trial: JobTrial, task: Callable[[], Sequence[float]]) -> float | list[float]:
    """Run a trial's task and tell the study how it ended; returns its values (NaN without any).

    A task that fails is a failed trial, whatever it raised; only an interruption goes on. One that is out of memory may
    be tried again, see `JobTrial.shrink`.
    """
    values = [float("nan")] * len(trial.metrics)
    try:
        with trial.begun():
            values = [float(value) for value in task()]
        problem = unusable(values, len(trial.metrics))
        ending: dict[str, Any] = {"state": TrialState.FAIL, "reason": problem} if problem else {"values": values}
    except Pruned as pruned:
        ending = {"state": TrialState.PRUNED, "reason": str(pruned)}
    except TakenOver as lost:
        ending = {"reason": str(lost)}
    except Exception as error:
        reason = f"failed: {failure(error)}"
        logger.debug("%s", traceback.format_exc())
        ending = {"state": TrialState.FAIL, "reason": reason}
        if shortage(error) and (changed := trial.shrink(reason)):
            ending = {"reason": f"{reason}; its point is tried again with {changed}"}
    reason = ending.pop("reason", "")
    if reason:
        print(f"{trial.title} {reason}", file=sys.stderr)
    try:
        if ending:
            trial.note(reason=reason)
            trial.study.tell(trial.number, **ending)
    except TakenOver as lost:
        print(lost, file=sys.stderr)
    return values if len(values) > 1 else values[0]
