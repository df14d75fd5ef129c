"""The sweep itself: ask Optuna for points, launch them as jobs, and keep the study true whatever happens to them."""

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.exceptions import ExperimentalWarning

from brain_tumor.command_line import as_typed
from brain_tumor.config.refusals import no_phase, one_line, problem
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.errors import InputError
from brain_tumor.sweep import search_request as requests
from brain_tumor.sweep.batches import run_trials
from brain_tumor.sweep.confirmation import SEED, best_points, confirming, open_confirmation
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.sampling import make_pruner, make_sampler
from brain_tumor.sweep.space import Space, overrides
from brain_tumor.sweep.storage import address, open_storage
from brain_tumor.sweep.study import Plan, open_study
from brain_tumor.sweep.summary import summarize

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
    _check_confirm(settings, request.space, config)
    _check(request, config, loader, hooks)
    fixed = _fixed(request, config) | hooks.facts()
    _save(config)
    cwd = Path(config.hydra.runtime.cwd)
    storage = open_storage(address(settings.storage, cwd))
    command = shlex.join(as_typed or sys.argv[1:])
    plan = Plan(request.space, fixed, settings.metrics, settings.directions, request.queue, command)
    name = requests.study_name(request, fixed, dict(config.hydra.runtime.choices))
    study, made = open_study(name, storage, plan, sampler=sampler, pruner=pruner, on_change=settings.on_change)
    _settle(study, settings, n_trials=n_trials, command=plan.command)
    hooks.opened(study, made)
    work = partial(
        run_trials, launcher=launcher, hooks=hooks, workers=_workers(config), told=partial(hooks.told, study)
    )
    status = "FAILED"
    try:
        launched = work(study, request)
        if settings.confirm is not None and best_points(study, settings.confirm):
            again, asked, points = open_confirmation(study, request, fixed, storage)
            print(_progress(study, again), file=sys.stderr)
            work(again, asked, points=points, launched=launched)
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        print(_stopped(study), file=sys.stderr)
        raise
    finally:
        hooks.closed(study, status)


def _settle(study: optuna.Study, settings: SweepConfig, **more: Any) -> None:
    """Keep in the study what its jobs and whoever looks at it must know of the command."""
    settled = {name: getattr(settings, name) for name in ("metrics", "pruner", "warm_start", "retry_smaller")}
    if settings.confirm is not None:  # what has been confirmed stays so where it is not asked for again
        settled["confirm"] = settings.confirm
    for key, value in {**settled, **more}.items():
        study.set_user_attr(key, value)


def _progress(*studies: optuna.Study) -> str:
    """How far a study is, and the one that confirms its best trials, if there is one already."""
    trials, *again = [f"{found.counts.finished} of {found.asked}" for found in map(summarize, studies)]
    said = [f"{trials} trials", *(f"{each} trainings of the best with other seeds" for each in again)]
    return f"study {studies[0].study_name} has {' and '.join(said)}"


def _stopped(study: optuna.Study) -> str:
    """What an interruption leaves, and how to go on."""
    again = confirming(study)
    said = _progress(study, *([] if again is None else [again]))
    return f"stopped: {said}; the same command goes on with the others"


def _check_confirm(settings: SweepConfig, space: Space, config: DictConfig) -> None:
    """Raise InputError where the best trials cannot be trained again with other seeds."""
    if settings.confirm is None:
        return
    if SEED in (key.lstrip("+") for key in space.texts):
        raise InputError(f"sweep.confirm={settings.confirm} takes other seeds, and {SEED} is searched: leave one out")
    if not isinstance(config.get(SEED), int):
        raise InputError(f"sweep.confirm={settings.confirm} takes other seeds, and there is no key {SEED}")


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


def _fixed(request: requests.Request, config: DictConfig) -> dict[str, Any]:
    """The keys that all trials have in common and that make a difference to them."""
    ignored = (*request.settings.ignore, *(key.lstrip("+") for key in request.space.texts))
    found = requests.flat(_task(config), lambda key: not _under(key, ignored))
    return {key: value for key, value in found.items() if not isinstance(value, dict)}


def _task(config: DictConfig) -> dict[str, Any]:
    """A composed configuration without Hydra's and the sweep's own nodes."""
    return plain(OmegaConf.masked_copy(config, [key for key in map(str, config) if key not in ("hydra", "sweep")]))


def _under(key: str, others: Sequence[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") for other in others)


def _workers(config: DictConfig) -> int:
    """How many trials the launcher runs at once."""
    count = OmegaConf.select(config, "hydra.launcher.n_jobs")
    if count is None:
        count = config.hydra.sweeper.get("workers") or 1
    return int(count) if int(count) > 0 else os.cpu_count() or 1


def _quieten(launcher: Launcher) -> None:
    """Hydra's launchers repeat every job's overrides and its environment; `batches` is shorter."""
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
