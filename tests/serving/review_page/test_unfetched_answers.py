"""Nothing of an answer stays with Gradio once its session has left, or nobody fetches it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs brain-tumor[app]")
import gradio as gr
from fastapi import FastAPI
from starlette.testclient import TestClient

from brain_tumor.serving.review_page import layout, unfetched_answers
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.unfetched_answers import Unfetched

PICTURE = "data:image/png"


@pytest.fixture
def blocks(page: Page) -> gr.Blocks:
    return layout.build(page, 8)


@pytest.fixture
def client(blocks: gr.Blocks) -> Iterator[TestClient]:
    app = gr.mount_gradio_app(FastAPI(lifespan=Unfetched(blocks).sweeping), blocks, path="", ssr_mode=False)
    with TestClient(app) as found:
        yield found


def ask(client: TestClient, session: str) -> None:
    """Ask for the example."""
    body = {"fn_index": 1, "session_hash": session, "data": ["layercam", "deep"]}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200


def lies(blocks: gr.Blocks, session: str) -> list[str]:
    messages = list(blocks._queue.pending_messages_per_session[session]._queue)
    return [json.dumps(each.model_dump(), default=str) for each in messages]


def until(client: TestClient, said: Callable[[], bool]) -> None:
    for _ in range(200):
        if said():
            return
        assert client.portal is not None
        client.portal.call(asyncio.sleep, 0.05)
    raise AssertionError


def called(client: TestClient, work: Callable[..., Any], *given: Any) -> None:
    assert client.portal is not None
    client.portal.call(work, *given)


def test_what_nobody_fetches_is_forgotten_in_time(client: TestClient, blocks: gr.Blocks) -> None:
    ask(client, "one")
    until(client, lambda: PICTURE in "".join(lies(blocks, "one")))
    now = [0.0]
    looking = Unfetched(blocks, lambda: now[0])
    called(client, looking.sweep)
    now[0] = 119
    called(client, looking.sweep)
    assert PICTURE in "".join(lies(blocks, "one"))
    now[0] = 120
    called(client, looking.sweep)
    assert (lies(blocks, "one"), "one" in blocks._queue.pending_event_ids_session) == ([], False)
    assert looking._since == {}


def test_who_has_left_leaves_nothing_and_may_come_back(client: TestClient, blocks: gr.Blocks, page: Page) -> None:
    for session in ("one", "two"):
        ask(client, session)
        until(client, lambda session=session: PICTURE in "".join(lies(blocks, session)))  # type: ignore[misc]
    request = gr.Request(session_hash="one")
    called(client, layout.Asked(page, Unfetched(blocks)).left, request)
    assert (lies(blocks, "one"), page.kept.get("one")) == ([], None)
    assert PICTURE in "".join(lies(blocks, "two"))
    ask(client, "one")
    told = client.get("/gradio_api/queue/data", params={"session_hash": "one"}).text
    assert PICTURE in told
    assert "close_stream" in told


def test_a_look_that_fails_is_logged_and_not_the_last(
    blocks: gr.Blocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[int] = []

    async def fail(self: Unfetched) -> None:
        looks.append(1)
        raise RuntimeError("Gradio has changed")

    async def run() -> None:
        async with Unfetched(blocks).sweeping(None):
            while len(looks) < 3:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(unfetched_answers, "EVERY", 0.01)
    monkeypatch.setattr(Unfetched, "sweep", fail)
    asyncio.run(run())
    assert "Gradio has changed" in caplog.text
