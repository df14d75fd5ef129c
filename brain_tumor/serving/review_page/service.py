"""The page as a service: Gradio behind its front, until it is interrupted."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from brain_tumor.layout.blocks import pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.lazy import lazy
from brain_tumor.serving.review_page import actions, gateway, plane_pictures, unfetched_answers
from brain_tumor.serving.review_page import uploads as lying
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.gateway import Front, Rules
from brain_tumor.serving.review_page.logs import hush, textless
from brain_tumor.serving.review_page.timeouts import Impatient
from brain_tumor.serving.review_page.unfetched_answers import Unfetched
from brain_tumor.serving.review_page.uploads import Uploads, uploads

gradio = lazy("gradio")

CONNECTIONS = 512  # at once, of which an open tab has up to six; who comes then is told to try again
CLOSING = 2  # seconds that open connections have once the page ends


@contextmanager
def temporary() -> Iterator[Uploads]:
    """The folder of uploads, which Gradio is told of, too: what it writes lies there, and goes as they do."""
    with uploads() as found:
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(found.folder)
        try:
            yield found
        finally:
            if before is None:
                del os.environ["GRADIO_TEMP_DIR"]
            else:
                os.environ["GRADIO_TEMP_DIR"] = before


def application(page: Page, waiting: int, login: tuple[str, str] | None, local: bool) -> Any:
    """The page as an ASGI application, for `temporary`'s folder; `local`: this machine alone can reach it."""
    from brain_tumor.serving.review_page import layout  # noqa: PLC0415 - Gradio takes its folder from the environment now

    hush(gradio.queueing, gradio.route_utils, gradio.routes)
    blocks = layout.build(page, waiting)
    inner = gradio.mount_gradio_app(
        FastAPI(
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            routes=plane_pictures.routes(page),
            lifespan=Unfetched(blocks).sweeping,
        ),
        blocks,
        path="",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=page.allowed.file_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=layout.theme(),
        css=layout.STYLE,
    )
    rules = Rules(page.uploads, page.files, page.allowed.file_bytes, login, local)
    return Front(inner, rules)


def serve(app: Any, place: socket.socket) -> None:
    """Answer at `place` until Ctrl-C or SIGTERM, and say where."""
    config = uvicorn.Config(
        app,
        http=Impatient,
        limit_concurrency=CONNECTIONS,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSING,
    )
    place.listen(config.backlog)  # who comes before Gradio has started waits
    host, port = place.getsockname()[:2]
    show_blocks(pairs([("page", f"http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)")]))
    server = uvicorn.Server(config)
    for name in (
        "uvicorn.error",
        *(each.__name__ for each in (gateway, actions, plane_pictures, unfetched_answers, lying)),
    ):
        logging.getLogger(name).addFilter(textless)
    # Open tabs are cut off at the end, which uvicorn reports with a traceback each.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    server.run(sockets=[place])
