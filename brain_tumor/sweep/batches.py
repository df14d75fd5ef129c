"""Trials of one study, a batch after another: claimed, launched as jobs, and each seen to its end."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import optuna
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.errors import InputError
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.job_side import unusable
from brain_tumor.sweep.search_request import Request
from brain_tumor.sweep.signals import NUMBER, STUDY
from brain_tumor.sweep.space import Value, overrides
from brain_tumor.sweep.study import beating, claim, counts, lose, recover, runs_elsewhere, smaller, withdraw, worker

POLL = 5  # seconds between looks at the trials that other workers have
FEWEST_FAILURES = 3  # a sweep never stops for fewer


def run_trials(
    study: optuna.Study,
    request: Request,
    launcher: Launcher,
    hooks: Hooks,
    workers: int,
    *,
    told: Callable[[], None],
    points: Sequence[Mapping[str, Value]] | None = None,
    launched: int = 0,
) -> int:
    """Run the trials that `request` still lacks, and those that get lost, `workers` at once; returns how many began.

    `told` is called after each batch. `points`: of a study whose points are all queued, those to run, whatever
    `request` says; `launched`: how many jobs this process has run before.
    """
    waiting = False  # what the jobs return is not kept: each comes with its whole configuration
    alone = False  # after a batch that has died, to find out which of its trials its process cannot bear
    while True:
        for number in recover(study):
            print(
                f"{study.study_name} trial {number} was lost with its process: its point is tried again",
                file=sys.stderr,
            )
            hooks.lost(study, number)
        if points is not None:
            withdraw(study, points)
        n_trials = request.n_trials if points is None else None
        trials = _claim(study, request, n_trials, 1 if alone else workers)
        if not trials:
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not running:
                print(_ending(study), file=sys.stderr)
                return launched
            if not waiting:
                print(
                    f"all missing trials are being tried elsewhere ({len(running)}): waiting, should one be lost",
                    file=sys.stderr,
                )
            waiting = True
            time.sleep(POLL)
            continue
        waiting = False
        alone = not _launch(study, request, launcher, hooks, trials, workers, launched)
        launched += len(trials)
        told()
        if any(_state(study, trial.number).state == TrialState.FAIL for trial in trials):
            _stop_if_failing(study, request.settings.max_failures)


def _claim(study: optuna.Study, request: Request, n_trials: int | None, workers: int) -> list[optuna.Trial]:
    trials: list[optuna.Trial] = []
    try:
        while len(trials) < workers and (trial := claim(study, request.space, n_trials)) is not None:
            trials.append(trial)
    except BaseException:
        _lose_unfinished(study, trials, "interrupted before it began")
        raise
    return trials


def _launch(
    study: optuna.Study,
    request: Request,
    launcher: Launcher,
    hooks: Hooks,
    trials: list[optuna.Trial],
    workers: int,
    first: int,
) -> bool:
    """Run the trials' jobs, and see that each of them ends; False where the launcher has given them up."""
    jobs = []
    for trial in trials:
        own = overrides({key: trial.params[key] for key in request.space.order if key in trial.params})
        own += [f"{key}={value}" for key, value in smaller(study, trial.number).items()]
        trial.set_user_attr("overrides", dict(each.split("=", 1) for each in own))
        print(f"{study.study_name} trial {trial.number}: {' '.join(own)}", file=sys.stderr)
        jobs.append([*request.shared, *own, *_environment(study.study_name, trial.number, workers)])
    try:
        with beating(study, trials):
            returns = list(launcher.launch(jobs, initial_job_idx=first))
    except (KeyboardInterrupt, SystemExit):
        _lose_unfinished(study, trials, "interrupted")
        raise
    except Exception as error:  # a worker process died, and the launcher has given up its whole batch
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"the launcher failed: {reason}", file=sys.stderr)
        # Others of its batch may still run, and end by themselves.
        gone = [trial for trial in trials if not runs_elsewhere(_state(study, trial.number))]
        for number in _lose_unfinished(study, gone, f"the launcher failed: {reason}"):
            hooks.lost(study, number)
        _stop_if_dying(study, trials)
        return False
    for trial, returned in zip(trials, returns, strict=True):
        _tell(study, trial, returned)
    return True


def _tell(study: optuna.Study, trial: optuna.Trial, returned: JobReturn) -> None:
    """End a trial whose job has not told the study itself: one that knows nothing of sweeps, or never began."""
    if _state(study, trial.number).state != TrialState.RUNNING:
        return
    value = returned._return_value  # reading `return_value` would raise and print what the job raised
    try:
        values = [float(each) for each in (value if isinstance(value, list | tuple) else [value])]
        problem = unusable(values, len(study.directions))
        if problem:
            value = ValueError(problem.removeprefix("failed: "))
            raise value
        study.tell(trial.number, values=values)
    except (TypeError, ValueError):
        reason = " ".join(f"{type(value).__name__}: {value}".split())[:300]
        trial.set_user_attr("reason", f"failed: {reason}")
        study.tell(trial.number, state=TrialState.FAIL)
        print(f"{study.study_name} trial {trial.number} failed: {reason}", file=sys.stderr)


def _lose_unfinished(study: optuna.Study, trials: Sequence[optuna.Trial], reason: str) -> list[int]:
    unfinished = [each for trial in trials if (each := _state(study, trial.number)).state == TrialState.RUNNING]
    for found in unfinished:
        lose(study, found, reason)
    return [each.number for each in unfinished]


def _stop_if_dying(study: optuna.Study, trials: Sequence[optuna.Trial]) -> None:
    """Stop where the launcher itself fails. One whose jobs begin works: a point may be too much for its process."""
    if any(_state(study, each.number).user_attrs.get("worker") != worker() for each in trials):
        return
    tries = max(len(_state(study, each.number).system_attrs.get("retry_history", [])) for each in trials)
    if tries >= FEWEST_FAILURES:
        raise InputError(f"study {study.study_name}: the launcher has failed {tries + 1} times in a row, see above")


def _stop_if_failing(study: optuna.Study, limit: float) -> None:
    ended = [each for each in study.get_trials(deepcopy=False) if counts(each) and each.state.is_finished()]
    failed = [each for each in ended if each.state == TrialState.FAIL]
    if len(failed) >= FEWEST_FAILURES and len(failed) > limit * len(ended):
        raise InputError(
            f"study {study.study_name}: {len(failed)} of {len(ended)} trials have failed, the last because it "
            f"{failed[-1].user_attrs.get('reason')}; repair that, or allow more with sweep.max_failures"
        )


def _ending(study: optuna.Study) -> str:
    ended = [each.state for each in study.get_trials(deepcopy=False) if counts(each)]
    pruned, failed = ended.count(TrialState.PRUNED), ended.count(TrialState.FAIL)
    return f"study {study.study_name} is complete: {len(ended)} trials, {pruned} of them pruned and {failed} failed"


def _state(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]


def _environment(study: str, number: int, workers: int) -> list[str]:
    """How a job learns which trial it is: in its environment, by Hydra, which works with every launcher."""
    variables = {NUMBER: str(number), STUDY: study}
    if workers > 1 and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        variables["TF_NUM_INTRAOP_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    quoted = {key: QuotedString(value, Quote.single).with_quotes() for key, value in variables.items()}
    return [f"++hydra.job.env_set.{key}={value}" for key, value in quoted.items()]
