"""What stands before Gradio: who may ask, for which routes, and how much may be uploaded.

Gradio serves more than this page needs (files by path, a proxy, direct calls, custom components): only the routes that
its browser side asks for pass. Uploads are taken here, so that each has a place of its own: Gradio's lie under the hash
of their content, where the first of two users with the same file would take it away from the other.
"""

import asyncio
import base64
import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain_tumor.serving.review_page.address import loopback
from brain_tumor.serving.review_page.timeouts import impatient
from brain_tumor.serving.review_page.uploads import Uploads

UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"
PROGRESS = "/gradio_api/upload_progress"  # of which nothing is told but that it is done
PAGES = frozenset({"/", "/config", "/theme.css", "/favicon.ico", "/gradio_api/queue/data", PROGRESS})
FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", "/plane/", "/map/")  # the last: ours
POSTS = frozenset({UPLOAD, JOIN, "/gradio_api/cancel", "/gradio_api/reset"})
JOIN_BYTES = 2**20
UNSTORED = "the upload could not be stored here: tell whoever runs this page"
FORM_BYTES = 2**13  # of each file of an upload, beside the file itself
TURN, LOOK = 10.0, 0.1  # seconds that an upload waits for room, and between two looks whether there is
STORED = 4  # times what may be uploaded at once, that may lie and wait to be read
# Scripts and styles stand in Gradio's page itself. Nothing is loaded from, or sent to, anywhere else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """Who may ask for how much."""

    uploads: Uploads
    files: int  # at once
    file_bytes: int  # of all of them
    login: tuple[str, str] | None  # user and password; None: anyone
    local: bool  # the page listens at a loopback address, so whoever names it otherwise was led here by a foreign page

    @property
    def form_bytes(self) -> int:
        """Of an upload, all of it."""
        return self.file_bytes + FORM_BYTES * self.files


@dataclass(frozen=True, eq=False)
class Front:
    """The middleware."""

    app: ASGIApp
    rules: Rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        receive = impatient(receive)
        refused = refusal(self.rules, scope["method"], scope["path"], Headers(scope=scope))
        if refused is not None:
            await refused(scope, receive, _hardened(send))
        elif scope["path"] == UPLOAD:
            answer = await _turn(self.rules, Request(scope, receive))
            await answer(scope, receive, _hardened(send))
        elif scope["path"] == PROGRESS:
            done = PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")
            await done(scope, receive, _hardened(send))
        elif scope["method"] == "POST":
            body = await _body(receive)
            if body is None:
                await _late()(scope, receive, _hardened(send))
            elif scope["path"] == JOIN and not acceptable(body, self.rules.uploads):
                await PlainTextResponse("no such upload", 400)(scope, receive, _hardened(send))
            else:
                await self.app(scope, _again(body, receive), _hardened(send))
        else:
            await self.app(scope, receive, _hardened(send))


def refusal(rules: Rules, method: str, path: str, headers: Headers) -> Response | None:
    """Why a request goes no further, as an answer; None where it does."""
    try:
        host, origin = urlsplit(f"//{headers.get('host', '')}"), urlsplit(headers.get("origin", ""))
    except ValueError:  # half a bracket
        return PlainTextResponse("whom do you ask?", 400)
    if rules.local and not loopback(host.hostname or ""):
        return PlainTextResponse("this page is known by its loopback address alone", 421)
    if rules.login is not None and not _known(rules.login, headers.get("authorization", "")):
        return PlainTextResponse("user and password, please", 401, {"WWW-Authenticate": 'Basic realm="brain_tumor"'})
    if method == "POST":
        if "origin" in headers and origin.netloc != host.netloc:
            return PlainTextResponse("asked from another page", 403)
        if path not in POSTS:
            return PlainTextResponse("not found", 404)
        most = rules.form_bytes if path == UPLOAD else JOIN_BYTES
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:  # which would overrule the length
            return PlainTextResponse("how long is it?", 411)
        if int(length) > most:
            limit = f"{rules.file_bytes / 2**20:.0f} MiB at once"
            return PlainTextResponse(f"too large: at most {limit}", 413)
        return None
    if method not in ("GET", "HEAD") or not (path in PAGES or path.startswith(FOLDERS)) or ".." in path:
        return PlainTextResponse("not found", 404)
    return None


def acceptable(body: bytes, uploads: Uploads) -> bool:
    """Whether every file that a request names is an upload: Gradio would fetch an address that stood in its place."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(path, str) and uploads.holds(path) for path in _paths(told))


def _paths(told: Any) -> Iterator[Any]:
    waiting = [told]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "path" in value:
                yield value["path"]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


async def _turn(rules: Rules, request: Request) -> Response:
    """An upload, of which nothing is read before there is room for all of it."""
    size = int(request.headers["content-length"])
    for _ in range(round(TURN / LOOK)):
        if rules.uploads.reserve(size, STORED * rules.form_bytes):
            break
        await asyncio.sleep(LOOK)
    else:
        return PlainTextResponse("busy: too many uploads wait to be read; try again in a minute", 503)
    try:
        return await _upload(rules, request)
    finally:
        rules.uploads.release(size)


async def _upload(rules: Rules, request: Request) -> Response:
    try:
        async with request.form(max_files=rules.files, max_fields=1) as form:
            given = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
            paths = [str(await run_in_threadpool(rules.uploads.add, each.file)) for each in given]
    except ClientDisconnect:
        return _late()
    except (MultiPartException, HTTPException, KeyError) as error:  # the last: no boundary is named
        reason = str(getattr(error, "message", "")) or "the upload cannot be read"
        if reason.startswith("Too many files"):
            reason = f"too many files: at most {rules.files} at once"
        return PlainTextResponse(reason, 400)
    except OSError:  # the disk is full, say
        _LOG.exception("an upload could not be stored")
        return PlainTextResponse(UNSTORED, 507)
    return JSONResponse(paths)


def _known(login: tuple[str, str], authorization: str) -> bool:
    kind, _, given = authorization.partition(" ")
    try:
        text = base64.b64decode(given, validate=True) if kind.lower() == "basic" else b""
    except ValueError:
        return False
    # What is no UTF-8 in the environment comes as half characters, and is turned into its bytes again.
    return hmac.compare_digest(text, ":".join(login).encode("utf-8", "surrogateescape"))


def _late() -> Response:
    return PlainTextResponse("the request does not come", 408, {"Connection": "close"})


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None where the rest of it does not come."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    told = False

    async def read() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _hardened(send: Send) -> Send:
    async def more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [each for each in headers if each.lower().startswith("access-control-")]:
                del headers[name]  # Gradio lets any page of the same machine read answers
            headers.update(HEADERS)
            if not headers.get("content-type", "").startswith(("text/javascript", "text/css", "font/")):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return more
