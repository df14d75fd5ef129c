"""The reviews that people are looking at, in memory alone and for a while."""

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from brain_tumor.serving.review_page.freed_memory import give_back
from brain_tumor.serving.review_page.review import Review

SECONDS = 15 * 60.0  # without being looked at
COUNT, BYTES = 64, 2**30  # of all users; beyond them the oldest goes


@dataclass(eq=False)
class Kept:
    """A review for each session: its newest."""

    seconds: float = SECONDS
    count: int = COUNT
    size: int = BYTES  # bytes of memory, of all reviews together
    clock: Callable[[], float] = time.monotonic
    _held: OrderedDict[str, tuple[float, Review]] = field(default_factory=OrderedDict)
    _left: OrderedDict[str, float] = field(default_factory=OrderedDict)  # when
    _gone: list[weakref.ref[Review]] = field(default_factory=list)  # let go since the last sweep, perhaps still drawn
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, session: str, review: Review, begun: float | None = None) -> None:
        """Keep a session's review in place of the one before; not if that has left since `begun` on the clock."""
        with self._lock:
            if begun is not None and self._left.get(session, begun - 1) >= begun:
                return
            self._drop(session)
            self._held[session] = self.clock(), review
            self._let_go()

    def get(self, session: str) -> Review | None:
        """A session's review; None where there was none, or it has been let go."""
        with self._lock:
            self._let_go()
            found = self._held.pop(session, None)
            if found is None:
                return None
            self._held[session] = self.clock(), found[1]
            return found[1]

    def find(self, token: str) -> Review | None:
        """The review whose pictures are asked for by this token; None where it has been let go."""
        with self._lock:
            session = next((each for each, (_, review) in self._held.items() if review.token == token), None)
        return None if session is None else self.get(session)

    def forget(self, session: str) -> None:
        with self._lock:
            self._drop(session)

    def leave(self, session: str) -> None:
        """Forget a session, and what is still being made for it; it may begin anew."""
        with self._lock:
            self._drop(session)
            self._left.pop(session, None)
            self._left[session] = self.clock()

    def sweep(self) -> None:
        """Let go what nobody has looked at for `seconds`, and hand the memory of all that has gone to the system."""
        with self._lock:
            self._let_go()
            waiting = [each for each in self._gone if each() is not None]
            freed = len(waiting) < len(self._gone)
            self._gone[:] = waiting
        if freed:
            give_back()

    def _let_go(self) -> None:
        oldest = self.clock() - self.seconds
        while self._left and next(iter(self._left.values())) < oldest:
            self._left.popitem(last=False)
        while self._held:
            session, (seen, _) = next(iter(self._held.items()))
            total = sum(review.size for _, review in self._held.values())
            alone = len(self._held) == 1  # however large: it has just been asked for
            if seen >= oldest and (alone or (len(self._held) <= self.count and total <= self.size)):
                return
            self._drop(session)

    def _drop(self, session: str) -> None:
        if session in self._held:
            self._gone.append(weakref.ref(self._held.pop(session)[1]))
