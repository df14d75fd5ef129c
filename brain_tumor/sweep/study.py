"""One Optuna study as several workers share it: opening it, claiming trials, and giving lost ones another try."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
import psutil
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url

from brain_tumor.config.sweep import Direction
from brain_tumor.errors import InputError
from brain_tumor.sweep.sampling import suggest
from brain_tumor.sweep.space import Space, Value, canonical
from brain_tumor.sweep.storage import MAX_RETRY, locked, retry_afresh

PATIENCE = 60  # seconds that a worker waits for the one that makes the study
INTERRUPTED = "interrupted"  # how the reason of a trial begins that somebody stopped
CLOCK_STEP = 60  # seconds by which setting the clock may move a process's start
SHOWN = 8  # differences that a refusal prints


@dataclass(frozen=True, eq=False)
class Plan:
    """What makes two sweeps the same study."""

    space: Space
    fixed: Mapping[str, Any]  # what the trials have in common
    metrics: Sequence[str]
    directions: Sequence[Direction]
    queue: Sequence[Mapping[str, Value]]  # the points to start with
    command: str  # as typed

    @property
    def identity(self) -> dict[str, Any]:
        objective = {"sweep.metric": list(self.metrics), "sweep.direction": list(self.directions)}
        conditions = {f"sweep.when.{key}": text for key, text in self.space.when.items()}
        texts = {key: canonical(text) for key, text in self.space.texts.items()}
        return {"space": {**texts, **conditions}, "fixed": {**self.fixed, **objective}}


def open_study(
    name: str, storage: RDBStorage, plan: Plan, *, sampler: Any, pruner: Any, on_change: str
) -> tuple[optuna.Study, bool]:
    """The study of that name, made if need be; returns it and whether this process has made it.

    Raises InputError if it exists with another space, other fixed keys or another objective, and `on_change` says
    refuse; with "new" the first free or equal one of NAME-2, NAME-3, … is taken.
    """
    for number in range(1, 1000):
        candidate = name if number == 1 else f"{name}-{number}"
        try:
            study = optuna.create_study(
                study_name=candidate,
                storage=storage,
                sampler=sampler,
                pruner=pruner,
                directions=list(plan.directions),
            )
        except DuplicatedStudyError:
            study = optuna.load_study(study_name=candidate, storage=storage, sampler=sampler, pruner=pruner)
            _await_queue(study, storage, plan)
            changes = differences(study.user_attrs, plan)
            if not changes:
                _queue(study, storage, plan)  # points that were not among those to start with
                return study, False
            if on_change == "refuse":
                more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
                raise InputError(
                    f"study {candidate} was made with another sweep: {'; '.join(changes[:SHOWN])}{more}. "
                    "Name another one with sweep.study=NAME, or number it with sweep.on_change=new"
                ) from None
        else:
            for key, value in plan.identity.items():
                study.set_user_attr(key, value)
            study.set_metric_names(list(plan.metrics))
            _queue(study, storage, plan)
            return study, True
    raise InputError(f"sweep.study={name}: there are a thousand of that name; name another")


def differences(attributes: Mapping[str, Any], plan: Plan) -> list[str]:
    """What is not as it was when the study was made, a clause a key."""
    clauses = []
    for kind, now in plan.identity.items():
        was = attributes.get(kind, {})
        for key in sorted({*was, *now}):
            if was.get(key) == now.get(key) and (key in was) == (key in now):
                continue
            old, new = (str(side[key]) if key in side else "absent" for side in (was, now))
            clauses.append(f"{key} was {old}, is {new}")
    return clauses


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the `n_trials`: it has been, or is being, tried out to its end."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING):
        return True
    return trial.state == TrialState.FAIL and not was_lost(trial)


def was_lost(trial: FrozenTrial) -> bool:
    """Whether a trial came to no end of its own: its process died or was interrupted, or it was one too many.

    What ends by itself says why ("reason"); of a process that died without a word only the heartbeat tells.
    """
    attributes = trial.user_attrs
    return trial.state == TrialState.FAIL and bool(
        attributes.get("lost") or attributes.get("surplus") or not attributes.get("reason")
    )


def claim(study: optuna.Study, space: Space, n_trials: int | None) -> optuna.Trial | None:
    """The next trial for this process, its point drawn; None if all that are missing are being tried elsewhere.

    Exact for any number of workers: a trial goes on only if fewer than `n_trials` older ones count, whatever two
    workers have seen at the same moment. Without `n_trials` it goes on only if its point was queued.
    """
    known = study.get_trials(deepcopy=False)
    if n_trials is None and not any(each.state == TrialState.WAITING for each in known):
        return None
    if n_trials is not None and sum(map(counts, known)) >= n_trials:
        return None
    trial = study.ask()
    *older, own = study.get_trials(deepcopy=False)[: trial.number + 1]
    queued = own.system_attrs.get("fixed_params")
    if queued is None if n_trials is None else sum(map(counts, older)) >= n_trials:
        if queued is not None:
            study.enqueue_trial(queued)
        trial.set_user_attr("surplus", True)
        study.tell(trial, state=TrialState.FAIL)
        return None
    # A trial that is tried again comes with the attributes of the one that was lost.
    for key, value in {"lost": False, "reason": "", "worker": worker()}.items():
        trial.set_user_attr(key, value)
    _storage(study).record_heartbeat(trial._trial_id)
    suggest(trial, space)
    return trial


def withdraw(study: optuna.Study, points: Sequence[Mapping[str, Value]]) -> None:
    """Take those queued trials back whose point is none of `points`."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.system_attrs.get("fixed_params") not in points:
            with suppress(UpdateFinishedTrialError):  # another worker has done so first
                _storage(study).set_trial_user_attr(trial._trial_id, "surplus", True)
                _storage(study).set_trial_state_values(trial._trial_id, state=TrialState.FAIL)


def lose(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
    """End a trial that came to no end of its own, and queue its point once more.

    One that was interrupted is tried again however often; one whose process died `MAX_RETRY` times before has failed.
    """
    storage = _storage(study)
    died = [each for each in _history(study, trial) if not _interrupted(each)]
    given_up = not reason.startswith(INTERRUPTED) and len(died) >= MAX_RETRY
    try:
        storage.set_trial_user_attr(trial._trial_id, "lost", not given_up)
        text = f"failed: {reason}, {len(died) + 1} times" if given_up else reason
        storage.set_trial_user_attr(trial._trial_id, "reason", text)
        storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
    except UpdateFinishedTrialError:  # another worker has found it first
        return
    if not given_up:
        retry_afresh(study, storage.get_trial(trial._trial_id), max_retry=None)


def _history(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """The lost trials that a trial repeats, oldest first."""
    trials = study.get_trials(deepcopy=False)
    return [trials[number] for number in trial.system_attrs.get("retry_history", [])]


def _interrupted(trial: FrozenTrial) -> bool:
    return str(trial.user_attrs.get("reason")).startswith(INTERRUPTED)


def retry_of(study: optuna.Study, number: int) -> Mapping[str, Any] | None:
    """User attributes of the lost trial whose point trial `number` tries again; None if it is no second try."""
    before = _history(study, study.get_trials(deepcopy=False)[number])
    return before[-1].user_attrs if before else None


def smaller(study: optuna.Study, number: int) -> dict[str, str]:
    """What a trial changes because the one that it repeats died, by what that one had noted for this."""
    died = [each for each in _history(study, study.get_trials(deepcopy=False)[number]) if not _interrupted(each)]
    return next((dict(found) for each in died if (found := each.user_attrs.get("smaller"))), {})


def recover(study: optuna.Study) -> list[int]:
    """Find trials whose process is gone, by heartbeat, or at once if it ran on this machine; returns their numbers."""
    silence = timedelta(seconds=6 * _storage(study).get_heartbeat_interval())
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        name = trial.user_attrs.get("worker")
        # Without a worker, it died before its first heartbeat, by whose absence Optuna would know it.
        unborn = name is None and trial.datetime_start is not None and datetime.now() - trial.datetime_start > silence
        if unborn or (name is not None and is_dead(str(name))):
            lose(study, trial, "its process died")
    fail_stale_trials(study)
    numbers = {trial.number for trial in running}
    return [each.number for each in study.get_trials(deepcopy=False) if each.number in numbers and was_lost(each)]


def runs_elsewhere(trial: FrozenTrial) -> bool:
    """Whether another process has begun a trial, and is not known to be gone."""
    name = str(trial.user_attrs.get("worker", worker()))
    return name != worker() and not is_dead(name)


def worker() -> str:
    """This process, so that no other one can be taken for it: HOST BOOT NAMESPACE PID START."""
    return " ".join([*_machine(), str(os.getpid()), str(psutil.Process().create_time())])


@contextmanager
def beating(study: optuna.Study, trials: Sequence[optuna.Trial]) -> Iterator[None]:
    """Record heartbeats of `trials` from a thread: ask-and-tell, unlike `optimize`, does not."""
    storage = _storage(study)
    stop = Event()

    def beat() -> None:
        while not stop.wait(storage.get_heartbeat_interval()):
            for trial in trials:
                try:
                    storage.record_heartbeat(trial._trial_id)
                except Exception as error:  # a database that is away for a moment; the grace period covers it
                    optuna.logging.get_logger(__name__).debug("no heartbeat: %s", error)

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _storage(study: optuna.Study) -> Any:
    """Optuna's own view of the storage, through which it caches finished trials; typed without its heartbeats."""
    return study._storage


def _machine() -> list[str]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")  # containers may share a name and a boot, but then not their process numbers
    return [
        socket.gethostname(),
        boot.read_text().strip() if boot.exists() else "-",
        os.readlink(space) if space.is_symlink() else "-",
    ]


def is_dead(name: str) -> bool:
    """Whether a worker was a process of this machine that no longer is; False where that cannot be known."""
    *machine, pid, start = name.split(" ")
    if machine != _machine():
        return False
    try:
        process = psutil.Process(int(pid))
        # Another process may have its number by now.
        return bool(process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(start)) > CLOCK_STEP)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _queue(study: optuna.Study, storage: RDBStorage, plan: Plan) -> None:
    """Queue the points to start with, each once whichever workers come at the same time; the study is ready then."""
    with locked(make_url(storage.url)):
        trials = [each for each in study.get_trials(deepcopy=False) if not each.user_attrs.get("surplus")]
        known = [trial.system_attrs.get("fixed_params") for trial in trials]
        for point in plan.queue:
            if dict(point) not in known:
                study.enqueue_trial(dict(point))
    study.set_user_attr("ready", True)


def _await_queue(study: optuna.Study, storage: RDBStorage, plan: Plan) -> None:
    """Wait for the worker that makes the study; do it in its place if it died over it."""
    for _ in range(PATIENCE):
        if study.user_attrs.get("ready"):
            return
        time.sleep(1)
    for key, value in plan.identity.items():
        study.set_user_attr(key, value)
    _queue(study, storage, plan)
