"""The review page under load: how long a picture takes from the upload to the answer, and what happens past the bound.

    python benchmarks/page_load.py model_uri=models:/brain-tumor@champion

Starts the page itself, on a free port, with the overrides given, and asks it as a browser does.
"""

import io
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from PIL import Image

CLIENTS = (1, 5, 20)
REQUESTS = 60  # of all clients together
WAITING, BURST = 8, 60  # a bound that a burst of so many requests at once passes
Outcome = tuple[str, float]  # answered | refused | lost, seconds


@contextmanager
def page(*overrides: str) -> Iterator[str]:
    """The address of a page that runs until the end."""
    command = [sys.executable, "-m", "brain_tumor.app", "port=0", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.match(r"\s+page\s+(http\S+)", line)
            if found:
                yield found[1]
                return
        raise SystemExit("the page has not started")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def picture(place: int) -> bytes:
    """A picture of its own for each request, so that nothing can be answered from a memory."""
    rng = np.random.default_rng(place)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (256, 256), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def ask(client: httpx.Client, upload: dict[str, Any], content: bytes) -> Outcome:
    """Upload, ask, and wait for the answer."""
    session, started = uuid.uuid4().hex, time.perf_counter()
    try:
        sent = client.post("/gradio_api/upload", files={"files": ("a.png", content, "image/png")})
        if sent.status_code == 503:
            return "refused", time.perf_counter() - started
        [path] = sent.json()
        file = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
        body = {"fn_index": upload["id"], "session_hash": session, "data": [[file], *upload["values"]]}
        joined = client.post("/gradio_api/queue/join", json=body)
        if joined.status_code == 503:
            return "refused", time.perf_counter() - started
        joined.raise_for_status()
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if told.get("msg") == "process_completed":
                    right = told["success"] and "bt-panel" in json.dumps(told["output"])
                    return "answered" if right else "lost", time.perf_counter() - started
    except (httpx.HTTPError, ValueError):
        return "lost", time.perf_counter() - started
    return "lost", time.perf_counter() - started


def find_upload(address: str) -> dict[str, Any]:
    """The page's event for uploads, and what its controls say."""
    config = httpx.get(f"{address}/config", timeout=60).json()
    values = {each["id"]: each["props"].get("value") for each in config["components"]}
    [found] = [each for each in config["dependencies"] if any(kind == "upload" for _, kind in each["targets"])]
    return {"id": found["id"], "values": [values[place] for place in found["inputs"][1:]]}


def together(address: str, clients: int, each: int) -> tuple[list[Outcome], float]:
    """What `clients` at once, who ask `each` times one after the other, are answered, and the seconds of it all."""
    upload, outcomes = find_upload(address), []
    gate = threading.Barrier(clients)

    def run(place: int) -> None:
        with httpx.Client(base_url=address, timeout=300) as client:
            pictures = [picture(place * each + turn) for turn in range(each)]
            gate.wait()
            for content in pictures:
                outcomes.append(ask(client, upload, content))

    started = time.perf_counter()
    threads = [threading.Thread(target=run, args=(place,)) for place in range(clients)]
    _all(threads, threading.Thread.start)
    _all(threads, threading.Thread.join)
    return outcomes, time.perf_counter() - started


def _all(threads: list[threading.Thread], do: Callable[[threading.Thread], None]) -> None:
    for thread in threads:
        do(thread)


def main() -> None:
    overrides = sys.argv[1:]
    if not any(each.startswith("model_uri=") for each in overrides):
        overrides.append("model_uri=models:/brain-tumor@champion")
    print("| clients | answered | refused | lost | median, s | 95th percentile, s | pictures/s |")
    print("|---|---|---|---|---|---|---|")
    with page(*overrides) as address:
        together(address, 2, 2)  # what the first requests wait for
        for clients in CLIENTS:
            _print(str(clients), *together(address, clients, max(1, REQUESTS // clients)))
    with page(*overrides, f"waiting={WAITING}") as address:
        together(address, 2, 2)
        _print(f"{BURST} at once, waiting={WAITING}", *together(address, BURST, 1))


def _print(what: str, outcomes: list[Outcome], seconds: float) -> None:
    counts = [sum(each == kind for each, _ in outcomes) for kind in ("answered", "refused", "lost")]
    taken = sorted(each for kind, each in outcomes if kind == "answered")
    high = taken[min(len(taken) - 1, int(0.95 * len(taken)))]
    figures = f"{statistics.median(taken):.2f} | {high:.2f} | {counts[0] / seconds:.1f}"
    print(f"| {what} | {' | '.join(map(str, counts))} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
