"""How long the page waits for a request: who sends half of one, and no more, holds a connection and a place."""

import asyncio
from typing import Any

from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

STALLED = 60.0  # seconds without a byte of a body
RATE = 2**14  # bytes a second that a body has to come with, once STALLED seconds are over
HEAD = 30.0  # seconds for a request's head


def impatient(receive: Receive) -> Receive:
    """A request's body, or, where that stops coming or crawls, as if its sender had gone."""
    begun, came, whole = 0.0, 0, False

    async def read() -> Message:
        nonlocal begun, came, whole
        if whole:  # whoever asks now waits for the sender to go
            return await receive()
        now = asyncio.get_running_loop().time()
        begun = begun or now
        try:
            message = await asyncio.wait_for(receive(), min(STALLED, begun + STALLED + came / RATE - now))
        except TimeoutError:
            return {"type": "http.disconnect"}
        came += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message

    return read


class Impatient(H11Protocol):
    """Ends a connection on which a head does not come: uvicorn waits for it without end."""

    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._looking = self.loop.call_later(HEAD, self._look, self.cycle)

    def _look(self, before: Any) -> None:
        if self.cycle is before and (before is None or before.response_complete):
            self.transport.close()
        else:
            self._look_again()
