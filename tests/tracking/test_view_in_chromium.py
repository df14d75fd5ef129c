"""MLflow's own page, served by the command that a run prints, at the address that it prints."""

import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pytest
from debian import install

from brain_tumor.config.train import TrackingConfig
from brain_tumor.tracking import runs
from brain_tumor.tracking.store import Store, open_store

sync_api = pytest.importorskip("playwright.sync_api", reason="needs brain-tumor[dev]")
pytestmark = pytest.mark.browser

WHAT = {"model": "cnn_baseline", "schedule": "scratch", "protocol": "grouped", "leak": "none"}


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def log_runs(store: Store) -> None:
    """A parent with its score, and a child of two epochs."""
    with runs.started(store, name="the parent", tags=WHAT, system_metrics=False) as parent:
        mlflow.set_tag("test accuracy", "0.976 [0.956, 0.990]")
        mlflow.log_metrics({"test/accuracy": 0.976, "val/macro_f1": 0.875})
        mlflow.log_metrics({"test/trust": 0.912, "test/kept_without_lesion": 0.065})
    with runs.started(store, name="the child", tags=WHAT, parent=parent, system_metrics=False):
        for step in (1, 2):
            mlflow.log_metrics({"val/macro_f1": 0.5 * step, "val/loss": 1 / step}, step=step)


def test_the_page_of_all_runs_opens_with_what_matters(tmp_path: Path) -> None:
    failure = None if chromium() else install("chromium", "fonts-liberation")
    if chromium() is None:
        pytest.skip(f"there is no chromium here to drive: {failure}")
    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))
    log_runs(store)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*shlex.split(store.serve[0]), "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            look(
                browser.new_page(viewport={"width": 1900, "height": 900}), store.runs_address.replace("5000", str(port))
            )
            browser.close()
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"{address} does not answer")


def look(page: "sync_api.Page", address: str) -> None:
    page.goto(address)
    page.get_by_text("0.976 [0.956, 0.990]").wait_for(timeout=60_000)
    heads = {head.inner_text().strip(): head.bounding_box()["x"] for head in page.locator(".ag-header-cell").all()}
    assert [name for name in sorted(heads, key=lambda name: heads[name]) if name] == [
        *("Run Name", "Created", "test accuracy", "val/macro_f1", "model", "schedule", "protocol", "Duration", "leak"),
        *("test/trust", "test/kept_without_lesion"),
    ]
    assert page.get_by_text("0.912").count() == page.get_by_text("0.065").count() == 1
    assert page.get_by_text("the child").count() == 0  # folded below its parent
    page.goto("about:blank")  # what differs after the # alone loads nothing
    page.goto(f"{address}&compareRunsMode=CHART")
    cards = page.locator("[data-testid='experiment-view-compare-runs-card']")
    cards.first.wait_for(timeout=60_000)
    titles = [text.strip().splitlines()[0] for text in cards.all_inner_texts()]
    assert titles == ["test/accuracy", "val/macro_f1"]
