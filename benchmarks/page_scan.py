"""A whole scan on the review page, as people meet it: how long until it is seen, and what memory it takes.

    python benchmarks/page_scan.py FOLDER model_uri=models:/volumes@champion

Starts the page on a free port, with the overrides given, and chooses FOLDER, the files of a DICOM series, in Chromium
(`pip install -e '.[dev]'`, and a system `chromium`): once to have everything loaded, then ROUNDS times.
"""

import shutil
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
from page_load import page
from playwright.sync_api import sync_playwright

ROUNDS, SCROLLED = 2, 20
SWEPT = 15_000  # ms, after which the page has handed back what it has let go
SETTLED = "!document.querySelector('.bt-planes [aria-busy]')"


def main() -> None:
    folder, *overrides = sys.argv[1:]
    rows: dict[str, list[float]] = {}
    with page(*overrides) as address, sync_playwright() as playwright:
        [server] = psutil.Process().children()[:1]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for turn in range(1 + ROUNDS):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.set_default_timeout(300_000)
            found = _look(tab, address, folder, server)
            tab.close()
            if turn:
                for name, value in found.items():
                    rows.setdefault(name, []).append(value)
        browser.close()
    print(f"| {folder.rstrip('/').rpartition('/')[2]} | median | range |\n|---|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} |")


def _look(tab: Any, address: str, folder: str, server: psutil.Process) -> dict[str, float]:
    """Choose the folder, scroll, and forget it: seconds, and MiB of the page's process."""
    sizes: list[int] = []
    tab.on(
        "response", lambda each: sizes.append(int(each.headers["content-length"])) if "/plane/" in each.url else None
    )
    tab.goto(address)
    tab.wait_for_selector("#bt-folder-input", state="attached")
    before, taken = _memory(server), _processor(server)
    started = time.perf_counter()

    def since(wait: Callable[[], Any]) -> float:
        wait()
        return time.perf_counter() - started

    tab.set_input_files("#bt-folder-input", folder)
    found = {"seconds to the first picture, and the answer": since(lambda: tab.wait_for_selector(".bt-slice[src]"))}
    found["processor seconds of the page until then"] = _processor(server) - taken
    found["seconds to the first map"] = since(lambda: tab.wait_for_selector(".bt-map[src]"))
    tab.wait_for_function(SETTLED)
    found["pictures sent until then"] = len(sizes)
    found["kB of a picture"] = statistics.mean(sizes) / 1000
    scroll = tab.locator(".bt-plane[data-plane=axial] input")
    scroll.focus()
    began = time.perf_counter()
    for _ in range(SCROLLED):
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("!document.querySelector('.bt-plane[data-plane=axial] .bt-slice[aria-busy]')")
    found["ms from a key to its slice"] = 1000 * (time.perf_counter() - began) / SCROLLED
    tab.wait_for_function(SETTLED)
    found["MiB more while it is looked at"] = _memory(server) - before
    tab.get_by_role("button", name="Forget my files").click()
    tab.get_by_text("Forgotten.").wait_for()
    tab.wait_for_timeout(SWEPT)
    found["MiB more once it is forgotten"] = _memory(server) - before
    return found


def _memory(server: psutil.Process) -> float:
    return float(server.memory_info().rss / 2**20)


def _processor(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
