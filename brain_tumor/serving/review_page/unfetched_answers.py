"""Answers that nobody fetches. They hold pictures, and Gradio keeps those of 2,000 sessions, however old."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from brain_tumor.serving.review_page.uploads import EVERY, SECONDS

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Unfetched:
    """What the queue of Gradio's blocks holds for sessions; to be used in its event loop alone."""

    blocks: Any
    clock: Callable[[], float] = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)  # sessions that have something to fetch

    async def forget(self, session: str) -> None:
        """Answer nothing more of what a session has asked for."""
        queue = self.blocks._queue
        await queue.clean_events(session_hash=session)  # what waits for its turn; what is under way is not told
        queue.pending_event_ids_session.pop(session, None)
        messages = queue.pending_messages_per_session.get(session)
        while messages is not None and not messages.empty():  # it stays, empty, for Gradio expects to find it
            messages.get_nowait()
        self._since.pop(session, None)

    async def sweep(self, seconds: float = SECONDS) -> None:
        """Forget whose answers have lain there at each look for `seconds`: an open tab fetches them at once."""
        now = self.clock()
        waiting = [
            each for each, messages in self.blocks._queue.pending_messages_per_session.items() if messages.qsize()
        ]
        self._since = {session: self._since.get(session, now) for session in waiting}
        for session in [session for session, since in self._since.items() if since <= now - seconds]:
            await self.forget(session)

    @asynccontextmanager
    async def sweeping(self, _: Any) -> AsyncIterator[None]:
        """Sweep now and then, for as long as an application lives; a failure is logged, and ends nothing."""

        async def run() -> None:
            while True:
                await asyncio.sleep(EVERY)
                try:
                    await self.sweep()
                except Exception:
                    _LOG.exception("forgetting what nobody fetches failed, and is tried again in %.0f seconds", EVERY)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
