"""`mlflow models serve` as a user types it, of a model that was trained as a user trains one."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stores import Trained
from toy import environment

from brain_tumor import NOTICE
from brain_tumor.data.classes import STANDARD
from brain_tumor.serving.requests import LIMITS, MOST_FILES

pytestmark = pytest.mark.slow
START = 240.0  # seconds, of a busy machine
JSON = "application/json"


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    trained: Trained
    url: str
    log: Path

    def post(self, body: bytes, kind: str = JSON) -> tuple[int, str]:
        request = urllib.request.Request(f"{self.url}/invocations", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ask(self, *contents: str) -> tuple[int, dict[str, Any]]:
        status, text = self.post(json.dumps({"dataframe_records": [{"content": each} for each in contents]}).encode())
        return status, json.loads(text)


@pytest.fixture(scope="module")
def server(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("served")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/brain-tumor@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    env = environment(place) | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{trained.work}/mlruns/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # MLflow starts uvicorn by name, which an environment that is active has on its path.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    log = place / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=place, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        served = Served(trained, f"http://127.0.0.1:{port}", log)
        _wait(served, process)
        yield served
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _wait(served: Served, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{served.url}/ping", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(served.log.read_text())


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def rows(server: Served) -> list[dict[str, Any]]:
    """What the training itself wrote down of its test part."""
    return pd.read_csv(server.trained.artifacts / "tables" / "test_predictions.csv").to_dict("records")


def agrees(answer: dict[str, Any], row: dict[str, Any]) -> bool:
    wanted = {name: row[f"probability_{name}"] for name in STANDARD.names}
    return answer["probabilities"] == pytest.approx(wanted, abs=1e-5)


def test_the_line_of_the_documentation_answers(server: Served, rows: list[dict[str, Any]]) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    page = (Path(__file__).parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
    [line] = [each for each in page.splitlines() if "| curl" in each and "/invocations" in each]
    line = line.replace("http://127.0.0.1:5001", server.url).replace("slice.png", f"'{rows[0]['path']}'")
    done = subprocess.run(line, shell=True, cwd=server.trained.images, capture_output=True, text=True, check=True)
    [answer] = json.loads(done.stdout)["predictions"]
    assert agrees(answer, rows[0])
    assert answer["class"] == max(STANDARD.names, key=lambda name: rows[0][f"probability_{name}"])
    assert (answer["kind"], answer["slice_count"], answer["volume"]) == ("image", 1, None)
    assert set(answer["sets"]) == {"0.9", "0.95"}
    assert {type(answer["not_sure"]), type(answer["not_brain_mri"])} == {bool}
    assert (answer["model"], answer["notice"]) == ("models:/brain-tumor/1", NOTICE)
    assert answer["run"] == server.trained.run


@pytest.mark.parametrize(
    "body",
    [
        lambda content: {"dataframe_split": {"columns": ["content"], "data": [[content]]}},
        lambda content: {"instances": [{"content": content}]},
        lambda content: {"inputs": {"content": [content]}},
        lambda content: {"dataframe_records": [{"content": content, "plane": "axial"}]},
    ],
)
def test_every_form_of_mlflows_json_answers(server: Served, rows: list[dict[str, Any]], body: Any) -> None:
    content = (server.trained.images / rows[1]["path"]).read_bytes()
    status, found = server.post(json.dumps(body(text(content))).encode())
    assert status == 200
    [answer] = json.loads(found)["predictions"]
    assert agrees(answer, rows[1])


def test_twenty_clients_at_once_get_their_own_answers(server: Served, rows: list[dict[str, Any]]) -> None:
    def client(number: int) -> int:
        right = 0
        for step in range(5):
            row = rows[(number + step) % len(rows)]
            status, found = server.ask(text((server.trained.images / row["path"]).read_bytes()))
            right += status == 200 and agrees(found["predictions"][0], row)
        return right

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(client, range(20))) == [5] * 20


def _compressed(side: int) -> str:
    """A picture of stripes: many pixels in few bytes."""
    file = io.BytesIO()
    pixels = np.zeros((side, side), np.uint8)
    pixels[:: side // 10] = 255
    Image.fromarray(pixels).save(file, "PNG")
    return text(file.getvalue())


SMALL = _compressed(40)


@pytest.mark.parametrize(
    ("contents", "line"),
    [
        (
            ["/etc/passwd"],
            "file 1 of 1: content is not base64: give the file's bytes; no path and no address is opened",
        ),
        (["/etc/ssl"], "file 1 of 1: not a"),  # letters of base64, decoded and not opened
        (["http://127.0.0.1:1/a.png"], "file 1 of 1: content is not base64"),
        (["file:///etc/passwd"], "file 1 of 1: content is not base64"),
        ([SMALL, text(b"hello, world")], "file 2 of 2: not a"),
        ([text(base64.b64decode(SMALL)[:50])], "file 1 of 1: "),
        ([_compressed(9_500)], "file 1 of 1: too large: "),
        ([""], "file 1 of 1: content is missing"),
        ([SMALL] * (MOST_FILES + 1), f"{MOST_FILES + 1} files: a request has 1 to {MOST_FILES}"),
        (["A" * (4 * LIMITS.file_bytes // 3 + 12)], "too large: "),
    ],
    ids=["path", "base64-like path", "address", "file address", "text", "cut off", "pixels", "empty", "many", "bytes"],
)
def test_a_refusal_is_one_line(server: Served, contents: list[str], line: str) -> None:
    status, found = server.ask(*contents)
    assert status == 400
    assert found.keys() == {"error_code", "message"}
    assert found["message"].startswith(line)
    assert "\n" not in found["message"]
    assert server.ask(SMALL)[0] == 200  # it goes on


@pytest.mark.parametrize(
    ("body", "kind", "trace"),
    [
        (b'{"dataframe_records": [{"content": "Smi', JSON, False),
        (b'{"dataframe_records": [{"image": "Smith", "Smith": 1}]}', JSON, False),
        (b'{"Smith": 1}', JSON, False),
        (b"Smith", "application/xml", False),
        (b'content\n"Smith\n1,2', "text/csv", True),
        (b"Smith", "application/vnd.apache.parquet", True),
    ],
)
def test_what_mlflow_refuses_itself_is_a_4xx_too(server: Served, body: bytes, kind: str, trace: bool) -> None:
    status, found = server.post(body, kind)
    assert 400 <= status < 500
    assert ("Traceback" in found) == trace  # docs/inference.md says of which


def test_nothing_of_a_request_is_logged(server: Served) -> None:
    for body in ({"dataframe_records": [{"content": SMALL, "Smith": "Smith"}], "params": {"Smith": "Smith"}},):
        assert server.post(json.dumps(body).encode())[0] == 200
    log = server.log.read_text()
    assert "POST /invocations" in log
    for secret in ("Smith", SMALL[:40], "passwd"):
        assert secret not in log
