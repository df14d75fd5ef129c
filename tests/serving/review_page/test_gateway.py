"""What passes the front, and what does not."""

import asyncio
import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs brain-tumor[app]")
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from brain_tumor.serving.review_page import gateway
from brain_tumor.serving.review_page.gateway import FORM_BYTES, JOIN, STORED, UPLOAD, Front, Rules, acceptable, refusal
from brain_tumor.serving.review_page.uploads import Uploads

LOGIN = ("ann", "secret:ü")


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the front: it says what has come."""
    request = Request(scope, receive)
    told = {"path": request.url.path, "body": (await request.body()).decode()}
    await JSONResponse(told)(scope, receive, send)


@pytest.fixture
def rules(folder: Uploads) -> Rules:
    return Rules(folder, files=2, file_bytes=1000, login=None, local=True)


@pytest.fixture
def client(rules: Rules) -> TestClient:
    return TestClient(Front(behind, rules), base_url="http://127.0.0.1:7860")


def refused(rules: Rules, method: str, path: str, **headers: str) -> int | None:
    told = {"host": "localhost:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = refusal(rules, method, path, Headers(told))
    return answer and answer.status_code


@pytest.mark.parametrize(
    "path", ["/", "/config", "/theme.css", "/assets/a.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/x"]
)
def test_what_the_page_asks_for_passes(rules: Rules, path: str) -> None:
    assert refused(rules, "GET", path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=http://example.org",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/custom_component/a/client/component/b.js",
        "/gradio_api/deep_link",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/vibe-code",
        "/assets/../../etc/passwd",
        "/monitoring",
        "/docs",
    ],
)
def test_nothing_else_does(rules: Rules, path: str) -> None:
    assert refused(rules, "GET", path) == 404
    assert refused(rules, "POST", path, content_length="2") == 404


def test_direct_calls_and_other_methods_do_not_pass(rules: Rules) -> None:
    assert refused(rules, "POST", "/gradio_api/call/x", content_length="2") == 404
    assert refused(rules, "POST", "/gradio_api/run/x", content_length="2") == 404
    assert refused(rules, "PUT", "/") == 404


def test_a_foreign_name_of_a_local_page_is_refused(rules: Rules) -> None:
    assert refused(rules, "GET", "/", host="evil.example:7860") == 421
    assert refused(rules, "GET", "/", host="[::1]:7860") is None
    public = Rules(rules.uploads, 2, 1000, None, local=False)
    assert refused(public, "GET", "/", host="hospital.example") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2:80", "LOCALHOST", "[::1]:1", "[::ffff:127.0.0.1]"])
def test_this_machine_has_many_names(rules: Rules, host: str) -> None:
    assert refused(rules, "GET", "/", host=host) is None


@pytest.mark.parametrize("host", ["", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]"])
def test_and_no_others(rules: Rules, host: str) -> None:
    assert refused(rules, "GET", "/", host=host) == 421


@pytest.mark.parametrize("told", [{"host": "[::1"}, {"origin": "http://[::1"}, {"host": "[x]"}])
def test_an_address_that_cannot_be_read_is_refused(rules: Rules, told: dict[str, str]) -> None:
    assert refused(rules, "POST", JOIN, content_length="2", **told) in (400, 421)
    assert refused(rules, "GET", "/", **told) in (400, 421)


def test_a_foreign_page_cannot_send_anything(rules: Rules) -> None:
    sent = {"content_length": "2"}
    assert refused(rules, "POST", JOIN, origin="http://evil.example", **sent) == 403
    assert refused(rules, "POST", JOIN, origin="null", **sent) == 403
    assert refused(rules, "POST", JOIN, origin="http://localhost:7860", **sent) is None


def test_sizes_are_told_and_bounded(rules: Rules) -> None:
    assert refused(rules, "POST", UPLOAD) == 411
    assert refused(rules, "POST", UPLOAD, content_length="5", transfer_encoding="chunked") == 411
    assert refused(rules, "POST", UPLOAD, content_length=str(1001 + 2 * FORM_BYTES)) == 413
    assert refused(rules, "POST", JOIN, content_length=str(2**20 + 1)) == 413


def test_too_many_uploads_that_wait_are_refused(
    client: TestClient, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "TURN", 0.2)
    lies = rules.uploads.add(io.BytesIO(b"x" * STORED * rules.form_bytes))
    answer = client.post(UPLOAD, files=[("files", ("a", b"x"))])
    assert (answer.status_code, answer.text[:5]) == (503, "busy:")
    lies.unlink()
    assert client.post(UPLOAD, files=[("files", ("a", b"x"))]).status_code == 200


def test_uploads_at_the_same_time_have_room_for_all_that_they_announce(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of these sends more than its head before the last has asked."""
    monkeypatch.setattr(gateway, "TURN", 0.2)
    head = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=X")]
    head.append((b"content-length", str(rules.form_bytes).encode()))
    scope = {"type": "http", "method": "POST", "path": UPLOAD, "query_string": b"", "headers": head}
    statuses = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def all_at_once() -> None:
        go_on = asyncio.Event()

        async def receive() -> Message:
            await go_on.wait()
            return {"type": "http.disconnect"}

        asking = [asyncio.create_task(Front(behind, rules)(scope, receive, send)) for _ in range(25)]
        while len(statuses) < 21:
            await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.gather(*asking)

    asyncio.run(all_at_once())
    assert statuses == [503] * 21 + [408] * 4
    assert rules.uploads.reserve(STORED * rules.form_bytes, STORED * rules.form_bytes)  # all is given back


@pytest.mark.parametrize(
    ("given", "status"),
    [(LOGIN, None), (("ann", "secret"), 401), (("bob", LOGIN[1]), 401), (("", ""), 401)],
)
def test_a_login_stands_before_everything(rules: Rules, given: tuple[str, str], status: int | None) -> None:
    guarded = Rules(rules.uploads, 2, 1000, LOGIN, local=True)
    text = base64.b64encode(":".join(given).encode()).decode()
    assert refused(guarded, "GET", "/assets/a.js") == 401
    assert refused(guarded, "GET", "/", authorization="Basic %%%") == 401
    assert refused(guarded, "GET", "/", authorization=f"Bearer {text}") == 401
    assert refused(guarded, "GET", "/", authorization=f"Basic {text}") == status


def test_a_password_may_be_no_utf8(rules: Rules) -> None:
    guarded = Rules(rules.uploads, 2, 1000, ("ann", os.fsdecode(b"\xfc")), local=True)
    for given, status in ((b"ann:\xfc", None), (b"ann:u", 401)):
        assert refused(guarded, "GET", "/", authorization=f"Basic {base64.b64encode(given).decode()}") == status


def test_no_other_page_may_read_an_answer(rules: Rules) -> None:
    async def open_to_all(scope: Scope, receive: Receive, send: Send) -> None:
        allowed = {"Access-Control-Allow-Origin": "http://localhost:3000", "access-control-allow-credentials": "true"}
        await JSONResponse({}, headers=allowed)(scope, receive, send)

    answer = TestClient(Front(open_to_all, rules), base_url="http://127.0.0.1:7860").get("/")
    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_an_upload_lies_under_a_name_of_ours(client: TestClient, rules: Rules) -> None:
    name = "../../<img src=x onerror=alert(1)>.png"
    answer = client.post(UPLOAD, files=[("files", (name, b"one")), ("files", ("b", b"two"))])
    paths = [Path(path) for path in answer.json()]
    assert answer.status_code == 200
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert all(path.parent == rules.uploads.folder and path.name.isalnum() for path in paths)


def test_too_many_or_too_large_uploads_are_refused_in_a_line(client: TestClient, rules: Rules) -> None:
    many = client.post(UPLOAD, files=[("files", (str(place), b"x")) for place in range(3)])
    assert (many.status_code, many.text) == (400, "too many files: at most 2 at once")
    large = client.post(UPLOAD, files=[("files", ("a", b"x" * (1001 + 2 * FORM_BYTES)))])
    assert large.status_code == 413
    assert large.text.startswith("too large: at most")
    assert client.post(UPLOAD, content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400
    assert list(rules.uploads.folder.iterdir()) == []


def test_an_upload_that_cannot_be_stored_is_answered_in_a_line(client: TestClient, folder: Uploads) -> None:
    folder.folder.rmdir()
    folder.folder.touch()
    answer = client.post(UPLOAD, files=[("files", ("a.png", b"slice"))])
    assert (answer.status_code, answer.text) == (507, gateway.UNSTORED)
    folder.folder.unlink()
    assert client.post(UPLOAD, files=[("files", ("a.png", b"slice"))]).status_code == 200


def test_a_request_names_uploads_alone(client: TestClient, folder: Uploads) -> None:
    path = str(folder.add(io.BytesIO(b"x")))
    body = json.dumps({"data": [[{"path": path}], "gradcam"]})
    assert client.post(JOIN, content=body).json() == {"path": JOIN, "body": body}
    for other in ("/etc/passwd", "http://127.0.0.1:9/x", f"{folder.folder}/../x", None, 3):
        assert client.post(JOIN, content=json.dumps({"data": [60, {"deep": [{"path": other}]}]})).status_code == 400
    assert client.post(JOIN, content=b"no json").status_code == 400


@pytest.mark.parametrize("told", ["[" * 200_000, b"\xff".decode("latin1"), "{"])
def test_a_body_that_is_no_json_is_refused(folder: Uploads, told: Any) -> None:
    assert not acceptable(told.encode(), folder)


def test_progress_is_no_mystery(client: TestClient) -> None:
    assert client.get("/gradio_api/upload_progress?upload_id=x").text == 'data: {"msg": "done"}\n\n'


def test_every_answer_tells_the_browser_to_stay_here(client: TestClient) -> None:
    for path in ("/", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
