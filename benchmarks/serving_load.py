"""What a served model takes: latency and throughput by the number of clients, and what becomes of more than it takes.

    python benchmarks/serving_load.py [TARGET …]

Makes an EfficientNet-Lite0 of 160 px with ImageNet weights, whose head is random, calibrated on phantoms and registered
as a training would, and serves it on 127.0.0.1 by each target. Clients are threads of this script, on the same cores.
Each sends one phantom slice (PNG) after the other, over a connection of its own as `curl` does, and checks every answer
against what it was told of that slice when nobody else asked.

Another target is an entry of TARGETS: what starts it, and how one slice is asked about.
"""

import argparse
import base64
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from jobs import machine
from PIL import Image

SIDE, NAME, SLICES = 160, "served", 40
CLIENTS, REQUESTS = (1, 5, 20), 400  # requests of each level, all clients together
CROWD = 200  # clients that come at once, with one request each
START = 300.0  # seconds
HEADER = """\
| target | clients | median ms | 95th percentile ms | slices/s | its processor ms a slice | peak MiB | right | lost |
|---|---|---|---|---|---|---|---|---|"""
Probabilities = Mapping[str, float]


class RefusedError(Exception):
    """The server answered, but not the question; the text says how."""


@dataclass(frozen=True)
class Target:
    """Something that serves the registered model."""

    command: Callable[[str, int], list[str]]  # of the model's address and a port
    ready: str  # a path that answers once it is up
    ask: Callable[[int, bytes], Probabilities]  # of a port and a PNG; raises RefusedError
    bounds: Mapping[str, Mapping[str, str]]  # environments in which the crowd comes: title -> variables


def mlflow_command(uri: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    return [*command, "--host", "127.0.0.1", "--port", str(port)]


def ask_mlflow(port: int, picture: bytes) -> Probabilities:
    content = base64.b64encode(picture).decode()
    body = json.dumps({"dataframe_records": [{"content": content}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RefusedError(f"{response.status}")
    found: Probabilities = json.loads(text)["predictions"][0]["probabilities"]
    return found


TARGETS = {
    "mlflow": Target(
        mlflow_command,
        "/ping",
        ask_mlflow,
        {
            "nothing set": {},
            "`-t 2`": {"MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "2"},
            "`UVICORN_LIMIT_CONCURRENCY=64`": {"UVICORN_LIMIT_CONCURRENCY": "64"},
        },
    )
}


@dataclass(frozen=True)
class Level:
    """What a number of clients saw."""

    seconds: list[float]  # of each request that was answered rightly
    wall: float
    processor: float  # of the server, seconds
    wrong: Counter[str]  # why a request has no right answer -> how many


def make(folder: Path) -> None:
    """Register the model in a store of its own, and write the slices that are asked about."""
    import mlflow
    from composed import prepared
    from networks import ours

    from brain_tumor.config.train import TrackingConfig
    from brain_tumor.evaluation.prediction import observing
    from brain_tumor.evaluation.uncertainty.fitting import fit_uncertainty
    from brain_tumor.tracking import registry, runs
    from brain_tumor.tracking.store import open_store

    keys = ["model=effnet_lite0", f"data.image_size={SIDE}", "data.phantom.subjects=80", "protocol=official"]
    dataset = prepared(keys).dataset
    model = ours(SIDE)
    uncertainty = fit_uncertainty(observing(model), dataset, calibrate="auto", levels=(0.9, 0.95), accuracy=0.98)
    store = open_store(TrackingConfig(store_of(folder), "benchmark", NAME, str(folder), False))
    with runs.started(store, system_metrics=False):
        _, version = registry.log_model(model, dataset.split.classes, uncertainty, register=NAME, tags={})
    mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", version)
    for index, pixels in enumerate(dataset.images(dataset.rows("test")[:SLICES])):
        Image.fromarray(pixels).convert("L").save(folder / f"{index}.png")


def store_of(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


@contextmanager
def served(target: Target, folder: Path, more: Mapping[str, str]) -> Iterator[tuple[int, psutil.Process]]:
    """The target's server: its port, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow starts uvicorn by name
    env = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": store_of(folder), **more}
    with open(folder / "server.log", "ab") as log:
        command = target.command(f"models:/{NAME}@champion", port)
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START
        while not answers(port, target.ready):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((folder / "server.log").read_text(encoding="utf-8"))
            time.sleep(0.5)
        yield port, psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measure(
    target: Target,
    port: int,
    process: psutil.Process,
    pictures: Sequence[bytes],
    known: Sequence[Probabilities],
    clients: int,
    requests: int,
) -> Level:
    """So many clients, who share so many requests and begin together."""
    seconds: list[float] = []
    wrong: Counter[str] = Counter()

    def client(number: int) -> None:
        for step in range(number, requests, clients):
            index = step % len(pictures)
            begun = time.perf_counter()
            try:
                found = target.ask(port, pictures[index])
            except (RefusedError, OSError, http.client.HTTPException, TimeoutError) as error:
                wrong[f"{type(error).__name__} {error}"[:60]] += 1
                continue
            spent = time.perf_counter() - begun
            if any(abs(found[name] - known[index][name]) > 1e-4 for name in known[index]):
                wrong["another answer than when alone"] += 1
            else:
                seconds.append(spent)

    before, begun = processor(process), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return Level(seconds, time.perf_counter() - begun, processor(process) - before, wrong)


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def processor(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in family(process))


def peak(process: psutil.Process) -> float:
    """MiB that the largest of the server's processes has held at most."""
    found = []
    for each in family(process):
        status = Path(f"/proc/{each.pid}/status").read_text(encoding="utf-8")
        found += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(found)


def row(title: str, clients: int, level: Level, process: psutil.Process) -> str:
    done = len(level.seconds)
    cells = [title, str(clients)]
    if done:
        cells += [f"{1000 * statistics.median(level.seconds):.0f}", f"{1000 * np.quantile(level.seconds, 0.95):.0f}"]
        cells += [f"{done / level.wall:.1f}", f"{1000 * level.processor / done:.1f}"]
    else:
        cells += [""] * 4
    lost = ", ".join(f"{count}: {why}" for why, count in level.wrong.items()) or "0"
    return f"| {' | '.join([*cells, f'{peak(process):.0f}', str(done), lost])} |"


def main(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        subprocess.run([sys.executable, __file__, "--make", text], check=True)
        pictures = [(folder / f"{index}.png").read_bytes() for index in range(SLICES)]
        size = statistics.median(map(len, pictures)) / 1024
        versions = machine("mlflow", "fastapi", "uvicorn")
        print(f"effnet_lite0, {SIDE} px, slices of {size:.0f} KiB; {versions}\n\n{HEADER}", flush=True)
        for name in names:
            target = TARGETS[name]
            with served(target, folder, {}) as (port, process):
                known = [target.ask(port, each) for each in pictures]
                for clients in CLIENTS:
                    level = measure(target, port, process, pictures, known, clients, REQUESTS)
                    print(row(name, clients, level, process), flush=True)
            for title, more in target.bounds.items():
                with served(target, folder, more) as (port, process):
                    level = measure(target, port, process, pictures, known, CROWD, CROWD)
                    print(row(f"{name}, {title}", CROWD, level, process), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if arguments.make:
        make(arguments.make)
    else:
        main(arguments.targets)
