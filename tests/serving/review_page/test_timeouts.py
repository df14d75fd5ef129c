"""Requests that stop half-way are ended, and others are not."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="needs brain-tumor[app]")
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from brain_tumor.serving.review_page import timeouts
from brain_tumor.serving.review_page.gateway import JOIN, UPLOAD, Front, Rules
from brain_tumor.serving.review_page.uploads import Uploads

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=X\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n" + FORM + b"\r\n"


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes longer than a head may."""
    await Request(scope, receive).body()
    await asyncio.sleep(1)
    await PlainTextResponse("told")(scope, receive, send)


@pytest.fixture
def place(folder: Uploads, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where a page listens whose patience is half a second."""
    monkeypatch.setattr(timeouts, "HEAD", 0.3)
    monkeypatch.setattr(timeouts, "STALLED", 0.5)
    app = Front(slow, Rules(folder, 2, 1000, None, local=True))
    config = uvicorn.Config(app, http=timeouts.Impatient, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as found:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [found]})
        thread.start()
        yield found
        server.should_exit = True
        thread.join()


def told(place: socket.socket, *parts: bytes, pause: float = 0.0) -> bytes:
    """What is answered until the connection is closed."""
    with socket.create_connection(place.getsockname(), timeout=20) as client:
        for part in parts:
            with contextlib.suppress(OSError):
                client.sendall(part)
            time.sleep(pause)
        found = b""
        while more := client.recv(1000):
            found += more
        return found


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_head_that_does_not_come_ends_the_connection(place: socket.socket, half: bytes) -> None:
    assert told(place, half) == b""


def test_so_does_a_second_one(place: socket.socket) -> None:
    assert told(place, GET, GET[:20], pause=1.2).count(b"told") == 1


def test_who_waits_for_an_answer_is_not_cut_off(place: socket.socket) -> None:
    assert told(place, GET).endswith(b"told")


@pytest.mark.parametrize("path", [JOIN, UPLOAD])
def test_a_body_that_does_not_come_ends_the_request(place: socket.socket, path: str) -> None:
    assert told(place, POST % path.encode(), b"--X").startswith(b"HTTP/1.1 408")


def test_a_body_that_crawls_is_ended_and_one_that_runs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "STALLED", 0.2)
    monkeypatch.setattr(timeouts, "RATE", 100)

    async def pieces(size: int) -> int:
        """How many of 20 pieces are read, of so many bytes each."""

        async def receive() -> Message:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": bytes(size), "more_body": True}

        read = timeouts.impatient(receive)
        return [(await read())["type"] for _ in range(20)].count("http.request")

    assert asyncio.run(pieces(1)) < 10
    assert asyncio.run(pieces(100)) == 20
