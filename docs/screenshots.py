"""Take the pictures of MLflow's pages in docs/pictures/: all runs, their charts, a parent, a run, two runs compared.

    python docs/screenshots.py sqlite:///mlruns/mlflow.db

Needs the extra `dev` and Chromium. The store should hold several seeds (`seeds=[0,1,2]`) and a sweep (`-m`).
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from playwright.sync_api import Page, sync_playwright

from brain_tumor.tracking.store import Store

CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1280, "height": 800}
GREETED = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"  # the first visit ever opens a chat over the page
FOLDED = ".ag-pinned-left-cols-container button, .ag-center-cols-container button"  # before a parent's name
SETTLE = 4000  # milliseconds that charts have to be drawn


@contextmanager
def served(uri: str) -> Iterator[str]:
    """MLflow's own pages of a store, on a free port; yields their address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port), "--workers", "1"]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def take(page: Page, out: Path, name: str, address: str, wait_for: str, *, unfold: bool = False) -> None:
    """Picture of a page, once it shows the text `wait_for`; with `unfold` the lowest parent shows its children."""
    page.goto("about:blank")  # addresses differ after the #, which alone loads nothing
    page.goto(address)
    page.get_by_text(wait_for).first.wait_for(timeout=60_000)
    if unfold:
        page.locator(FOLDED).last.click()
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=out / f"{name}.png")
    print(out / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri")
    parser.add_argument("--experiment", default="brain-tumor")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(asked.uri)
    experiment = client.get_experiment_by_name(asked.experiment)
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    by_job: dict[str, list[str]] = {}
    for run in runs:
        job = "trial" if "trial" in run.data.tags else str(run.data.tags.get("job"))
        by_job.setdefault(job, []).append(run.info.run_id)
    with served(asked.uri) as base, sync_playwright() as playwright:
        store = Store(base, experiment.experiment_id)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.add_init_script(f"localStorage.setItem({GREETED!r}, 'true')")
        take(page, asked.out, "runs", store.runs_address, "val/macro_f1")
        take(page, asked.out, "charts", f"{store.runs_address}&compareRunsMode=CHART", "val/macro_f1", unfold=True)
        for name, job in (("run", "train"), ("several", "several"), ("sweep", "sweep")):
            if job in by_job:
                take(page, asked.out, name, store.run_address(by_job[job][0]), "Metrics")
        ids = json.dumps(by_job["train"][:3])
        where = quote(json.dumps([experiment.experiment_id]))
        take(page, asked.out, "compare", f"{base}/#/compare-runs?runs={quote(ids)}&experiments={where}", "Comparing")
        browser.close()


if __name__ == "__main__":
    main()
