"""The sweep itself: ask Optuna for points, launch them as jobs, and keep the study true whatever happens to them."""

import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from brain_tumor.command_line import as_typed
from brain_tumor.config.refusals import no_phase, one_line, problem
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.errors import InputError
from brain_tumor.sweep import search_request as requests
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.job_side import unusable
from brain_tumor.sweep.sampling import make_pruner, make_sampler
from brain_tumor.sweep.signals import NUMBER, STUDY
from brain_tumor.sweep.space import overrides
from brain_tumor.sweep.storage import address, open_storage
from brain_tumor.sweep.study import (
    Plan,
    beating,
    claim,
    counts,
    lose,
    open_study,
    recover,
    runs_elsewhere,
    smaller,
    worker,
)

logger = logging.getLogger(__name__)
POLL = 5  # seconds between looks at the trials that other workers have
FEWEST_FAILURES = 3  # a sweep never stops for fewer
GRID_CHECK = 200  # points of a grid that are composed and checked before the first trial


def sweep(
    arguments: Sequence[str], *, config: DictConfig, hydra_context: HydraContext, launcher: Launcher, hooks: Hooks
) -> None:
    """Run, or go on with, the study that `arguments` and `config.sweep` describe.

    Raises InputError for whatever every trial would trip over, before the first one.
    """
    loader = hydra_context.config_loader
    if "sweep" not in config:
        raise InputError("~sweep takes away what -m runs: leave it out")
    settings = typed(SweepConfig, plain(config.sweep), "sweep.")
    request = requests.read(arguments, settings, loader, partial(no_phase, config))
    for line in request.left_out:
        print(line, file=sys.stderr)
    settings, n_trials = request.settings, request.n_trials
    _quieten(launcher)
    sampler = make_sampler(settings.sampler, request.space, settings.seed)
    pruner = make_pruner(settings.pruner)
    if len(settings.metrics) > 1 and not isinstance(pruner, optuna.pruners.NopPruner):
        print("several objectives: no trial is pruned, since Optuna prunes by one value", file=sys.stderr)
    _check(request, config, loader, hooks)
    ignored = (*settings.ignore, *(key.lstrip("+") for key in request.space.texts))
    fixed = {**requests.flat(_task(config), lambda key: not _under(key, ignored)), **hooks.facts()}
    fixed = {key: value for key, value in fixed.items() if not isinstance(value, dict)}
    _save(config)
    cwd = Path(config.hydra.runtime.cwd)
    storage = open_storage(address(settings.storage, cwd))
    command = shlex.join(as_typed or sys.argv[1:])
    plan = Plan(request.space, fixed, settings.metrics, settings.directions, request.queue, command)
    name = requests.study_name(request, fixed, dict(config.hydra.runtime.choices))
    study, made = open_study(name, storage, plan, sampler=sampler, pruner=pruner, on_change=settings.on_change)
    settled = {name: getattr(settings, name) for name in ("metrics", "pruner", "warm_start", "retry_smaller")}
    for key, value in {**settled, "n_trials": n_trials, "command": plan.command}.items():
        study.set_user_attr(key, value)
    hooks.opened(study, made)
    status = "FAILED"
    try:
        _loop(study, request, launcher, hooks, _workers(config))
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        done = sum(counts(each) for each in study.get_trials(deepcopy=False) if each.state.is_finished())
        print(
            f"stopped: study {study.study_name} has {done} of {n_trials} trials; "
            "the same command goes on with the others",
            file=sys.stderr,
        )
        raise
    finally:
        hooks.closed(study, status)


def _loop(study: optuna.Study, request: requests.Request, launcher: Launcher, hooks: Hooks, workers: int) -> None:
    launched = 0  # what the jobs return is not kept: each comes with its whole configuration
    waiting = False
    alone = False  # after a batch that has died, to find out which of its trials its process cannot bear
    while True:
        for number in recover(study):
            print(
                f"{study.study_name} trial {number} was lost with its process: its point is tried again",
                file=sys.stderr,
            )
            hooks.lost(study, number)
        trials = _claim(study, request, 1 if alone else workers)
        if not trials:
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not running:
                print(_ending(study), file=sys.stderr)
                return
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
        hooks.told(study)
        if any(_state(study, trial.number).state == TrialState.FAIL for trial in trials):
            _stop_if_failing(study, request.settings.max_failures)


def _claim(study: optuna.Study, request: requests.Request, workers: int) -> list[optuna.Trial]:
    trials: list[optuna.Trial] = []
    try:
        while len(trials) < workers and (trial := claim(study, request.space, request.n_trials)) is not None:
            trials.append(trial)
    except BaseException:
        _lose_unfinished(study, trials, "interrupted before it began")
        raise
    return trials


def _launch(
    study: optuna.Study,
    request: requests.Request,
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


def _check(request: requests.Request, config: DictConfig, loader: Any, hooks: Hooks) -> None:
    """Compose, and let the project check, points that hold every value of the space."""
    for point in (*request.queue[:GRID_CHECK], *request.space.corners()):
        try:
            composed = loader.load_sweep_config(config, [*request.shared, *overrides(point)])
        except Exception as error:  # Hydra's and OmegaConf's: an unknown key, group or choice
            given = [*config.hydra.overrides.hydra, *request.shared, *overrides(point)]
            said = problem(loader, config.hydra.job.config_name, given, error) or one_line(error)
            file = config.hydra.runtime.choices.get("sweep")
            typed_space = any("sweep.space" in each for each in config.hydra.overrides.task)
            named = not (request.label or typed_space) and said.startswith(
                tuple(f"{key}{end}" for key in config.sweep.space for end in ":=")
            )
            raise InputError(f"{said} (a key of sweep={file})" if named else said) from error
        hooks.check(_task(composed), request.settings)


def _task(config: DictConfig) -> dict[str, Any]:
    """A composed configuration without Hydra's and the sweep's own nodes."""
    return plain(OmegaConf.masked_copy(config, [key for key in map(str, config) if key not in ("hydra", "sweep")]))


def _under(key: str, others: Sequence[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") for other in others)


def _environment(study: str, number: int, workers: int) -> list[str]:
    """How a job learns which trial it is: in its environment, by Hydra, which works with every launcher."""
    variables = {NUMBER: str(number), STUDY: study}
    if workers > 1 and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        variables["TF_NUM_INTRAOP_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    quoted = {key: QuotedString(value, Quote.single).with_quotes() for key, value in variables.items()}
    return [f"++hydra.job.env_set.{key}={value}" for key, value in quoted.items()]


def _workers(config: DictConfig) -> int:
    """How many trials the launcher runs at once."""
    count = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if count is None:
        count = config.hydra.sweeper.get("workers") or 1
    return int(count) if int(count) > 0 else os.cpu_count() or 1


def _quieten(launcher: Launcher) -> None:
    """Hydra's launchers repeat every job's overrides and its environment; `_launch` is shorter."""
    module = type(launcher).__module__
    for name in (module, f"{module.rpartition('.')[0]}._core"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")


def _save(config: DictConfig) -> None:
    """Keep the sweep's own configuration beside its jobs', as Hydra's sweepers do."""
    folder = Path(config.hydra.sweep.dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / "multirun.yaml")
    except OSError as error:
        raise InputError(f"hydra.sweep.dir={folder} cannot be written ({error.strerror}): give another") from error
