"""A sweep as it goes on: on a terminal one view that is kept up to date, in a file a line for each change."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial

from brain_tumor import interrupts
from brain_tumor.command_line import shown
from brain_tumor.errors import InputError
from brain_tumor.layout import terminal
from brain_tumor.layout.blocks import Block, Paragraph
from brain_tumor.progress import duration
from brain_tumor.sweep import description
from brain_tumor.sweep.storage import explained, open_existing
from brain_tumor.sweep.summary import Summary, state_of, summarize

EVERY = 2.0  # seconds between two looks
QUIET = ("waiting", "surplus")  # states of trials that nobody has begun


def watch(name: str | None, where: str) -> None:
    """Follow a study of the storage at the address `where` until no trial is missing, or Ctrl-C.

    Without a `name` it is the newest one that is not through, or the newest. One that is not there yet is waited for.
    Raises InputError where the storage cannot be read, or the study is deleted meanwhile.
    """
    try:
        if not terminal.is_looked_at():
            _follow(name, where, _Lines().put)
            return
        with terminal.in_place() as show:
            _follow(name, where, lambda *blocks, of=None: show(*blocks))
    except KeyboardInterrupt:
        if interrupts.exit_code() != interrupts.CTRL_C:
            raise


def _follow(name: str | None, where: str, put: Any) -> None:
    study = None
    while True:
        with explained(where):
            study = study or _find(name, where)
        if study is None:
            put(Paragraph(f"Waiting for {f'study {name}' if name else 'a sweep'} in {shown(where)}."))
        else:
            with explained(where):
                found, trials = _look(study, where)
            put(*description.view(found), of=(found, trials))
            if found.missing == 0 and not found.running:
                return
        time.sleep(EVERY)


def _look(study: optuna.Study, where: str) -> tuple[Summary, list[FrozenTrial]]:
    try:
        return summarize(study), study.get_trials(deepcopy=False)
    except KeyError as error:  # Optuna's, for a record that is not there
        raise InputError(f"study {study.study_name} has been deleted from {shown(where)}") from error


def _find(name: str | None, where: str) -> optuna.Study | None:
    """The study to follow; None where there is none yet."""
    url = sqlalchemy.make_url(where)
    file = Path(str(url.database))
    if url.get_backend_name() == "sqlite" and not (file.is_file() and file.stat().st_size):
        return None
    storage = open_existing(where, "")
    made = sorted(storage.get_all_studies(), key=lambda each: each._study_id)
    sampler = optuna.samplers.RandomSampler()
    studies = [
        optuna.load_study(study_name=each, storage=storage, sampler=sampler)
        for each in (known.study_name for known in reversed(made))
        if name in (None, each)
    ]
    own = [each for each in studies if "confirms" not in each.user_attrs] or studies
    return next((each for each in studies if summarize(each).missing != 0), own[0] if own else None)


@dataclass
class _Lines:
    """What prints a line for each trial that has begun or ended, and one of the whole to begin with."""

    states: dict[int, str] = field(default_factory=dict)
    opened: bool = False
    waits: bool = False

    def put(self, *blocks: Block, of: tuple[Summary, Sequence[FrozenTrial]] | None = None) -> None:
        if of is None:
            if not self.waits:
                self._say(" ".join(block.text for block in blocks if isinstance(block, Paragraph)))
            self.waits = True
            return
        found, trials = of
        gone = {each.number for each in found.running if each.dead}
        for trial in trials:
            state = "gone with its process" if trial.number in gone else state_of(trial)
            if self.states.get(trial.number) != state and state not in QUIET:
                self.states[trial.number] = state
                if self.opened:
                    values = ", ".join(
                        f"{name} {value:.4f}" for name, value in zip(found.metrics, trial.values or [], strict=False)
                    )
                    self._say(f"trial {trial.number} {state}{values and f', {values}'}; {_whole(found)}")
        if not self.opened:
            self._say(f"study {found.name}: {_whole(found)}")
        self.opened = True

    def _say(self, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)


def _whole(found: Summary) -> str:
    left = "" if not found.seconds_left else f", about {duration(found.seconds_left)} left"
    return f"{description.finished(found)} finished, best {description.in_a_line(found)}{left}"
