"""How far a command is: a bar on a terminal, a line every half minute in a file, and where in the whole run that is."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

EVERY = 30.0  # seconds between two lines in a file


@dataclass
class Step:
    """One of the steps of a run, and how much of it there is."""

    title: str
    passes: float = 0.0  # work: an image through the network, forwards, is one
    units: float = 0.0  # that its bars will count
    counted: float = 0.0  # of them

    @property
    def done(self) -> float:
        """Passes that are done, by what its bars have counted."""
        return self.passes * min(1.0, self.counted / self.units) if self.units else 0.0


class Course:
    """The steps of a run, and the time left, from the speed so far: work that is not known yet is not in it."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.steps = [Step(title) for title in titles]
        self._place = -1  # of the step that has begun last
        self._began = 0.0  # of the first step with work

    def expect(self, title: str, passes: float, units: float) -> None:
        """Say how much work a step will be, and what its bars will count."""
        step = self.steps[self._index(title)]
        step.passes, step.units = passes, units

    def begin(self, title: str) -> None:
        """Go on to a step; those before it are done, or not needed, and count no longer."""
        place = self._index(title)
        for step in self.steps[max(self._place, 0) : place]:
            step.passes, step.units = step.done, step.counted  # what has not been needed will not be
        self._place = place
        if self.steps[place].passes and not self._began:
            self._began = time.perf_counter()

    def count(self, units: float) -> None:
        if self._place >= 0:
            self.steps[self._place].counted += units

    @property
    def place(self) -> tuple[int, int]:
        """The number of the step that has begun last, and of all."""
        return self._place + 1, len(self.steps)

    def seconds_left(self) -> float | None:
        """Of the whole run; None where nothing is done yet, or how much there is to do is not known."""
        done = sum(step.done for step in self.steps)
        if not done or not self._began:
            return None
        left = sum(step.passes for step in self.steps) - done
        return left * (time.perf_counter() - self._began) / done

    def _index(self, title: str) -> int:
        return [step.title for step in self.steps].index(title)


_running: list[Course] = []  # the course of the run that this process is in


@contextmanager
def course(titles: Sequence[str]) -> Iterator[None]:
    """The steps of the run inside, in their order; bars and `begin` tell of them."""
    _running.append(Course(titles))
    try:
        yield
    finally:
        _running.pop()


def expect(title: str, passes: float, units: float) -> None:
    """Say how much work a step of the running course will be, and what its bars will count."""
    if _running:
        _running[-1].expect(title, passes, units)


def begin(title: str) -> None:
    """Say on stderr that a step of the running course begins; nothing where there is none of that title."""
    if not _running or title not in [step.title for step in _running[-1].steps]:
        return
    _running[-1].begin(title)
    number, every = _running[-1].place
    print(f"step {number} of {every}: {title}{time_left(', ')}", file=sys.stderr)


def time_left(before: str = "") -> str:
    """ "about 1 min 20 s left", of the whole run; "" where nobody can tell."""
    seconds = _running[-1].seconds_left() if _running else None
    return "" if seconds is None else f"{before}about {_rounded(seconds)} left"


class Bar:
    """Counts up to a total; use it as a context manager, or close it."""

    def __init__(self, total: int, title: str, unit: str, *, disable: bool) -> None:
        self._total, self._title, self._unit, self._done, self._silent = total, title, unit, 0, disable
        self._said = time.perf_counter()
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty() and not disable:
            where = "{}/{} ".format(*_running[-1].place) if _running else ""
            self._bar = tqdm(total=total, desc=where + title, unit=unit, leave=False, mininterval=0.2, maxinterval=10.0)

    def update(self, done: int = 1, note: str = "") -> None:
        """Count `done` more; `note` stands beside the bar."""
        self._done += done
        if _running and not self._silent:
            _running[-1].count(done)
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(filter(None, [note, time_left()])), refresh=False)
            self._bar.update(done)
        elif not self._silent and time.perf_counter() - self._said >= EVERY:
            self._said = time.perf_counter()
            print(f"{self._title}: {self._done:,} of {self._total:,} {self._unit}{time_left(', ')}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def progress(total: int, title: str, unit: str = "img", *, disable: bool = False) -> Bar:
    """A bar over `total` units, gone when it is done; in a file a line every half minute."""
    return Bar(total, title, unit, disable=disable)


def duration(seconds: float) -> str:
    """2 d 3 h, 1 h 5 min, 40 s."""
    left = round(seconds)
    days, hours, minutes = left // 86400, left % 86400 // 3600, left % 3600 // 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left % 60} s" if minutes else f"{left} s"


def _rounded(seconds: float) -> str:
    """To five seconds, since nobody knows better."""
    return duration(5 * round(seconds / 5)) if seconds >= 5 else "5 s"
