"""A real browser, and a page in it that asks nobody else for anything."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from debian import install

from brain_tumor.serving.review_page import service
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.address import listen

sync_api = pytest.importorskip("playwright.sync_api", reason="needs brain-tumor[dev]")


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Any]:
    """Chromium, which is installed where it is not there; the test is skipped where that cannot be."""
    failure = None if chromium() else install("chromium", "fonts-liberation")
    if chromium() is None:
        pytest.skip(f"there is no chromium here to drive: {failure}")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def opened(browser: Any, address: str, width: int) -> Iterator[Any]:
    """A tab with the page, in which nothing was asked of another address and no script has failed."""
    page = browser.new_page(viewport={"width": width, "height": 844}, is_mobile=width < 500, has_touch=width < 500)
    page.set_default_timeout(60_000)
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#bt-drop input[type=file]", state="attached")
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert len(asked) > 5
    assert failed == []


@contextmanager
def answering(page: Page) -> Iterator[tuple[str, Page]]:
    """The address of a page that this process answers for, and the page as it answers there."""
    with service.temporary() as uploads, listen("127.0.0.1", 0) as place:
        asked = replace(page, uploads=uploads)
        server = uvicorn.Server(uvicorn.Config(service.application(asked, 32, None, True), log_level="error"))
        place.listen()
        thread = threading.Thread(target=server.run, args=([place],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}", asked
        finally:
            server.should_exit = True
            thread.join()
