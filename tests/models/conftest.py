"""A weights server on the loopback device, in place of Keras' own."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest


@dataclass
class Host:
    """What the server holds, and how it behaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut_short: bool = False
    silent: bool = False
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, host: Host, *args: object) -> None:
        self.host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.host.requests.append(name)
        if self.host.silent:
            time.sleep(3)
            return
        if name not in self.host.files:
            self.send_error(404)
            return
        body = self.host.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.host.cut_short else body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, for this package and for Keras itself."""
    home = tmp_path / "keras home"
    home.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(home))
    return home


@pytest.fixture
def host(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A running server that Keras' weights tables point to; it holds nothing yet."""
    host = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, host))
    host.url = f"http://127.0.0.1:{server.server_port}/"
    for module in ("efficientnet", "efficientnet_v2"):
        monkeypatch.setattr(f"keras.src.applications.{module}.BASE_WEIGHTS_PATH", host.url)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield host
    server.shutdown()
    server.server_close()


@pytest.fixture
def publish(host: Host, monkeypatch: pytest.MonkeyPatch):
    """Put a file on the server and its MD5 into Keras' table: publish(module, key, name, content)."""

    def put(module: str, key: str, name: str, content: bytes) -> None:
        host.files[name] = content
        hashes = import_module(f"keras.src.applications.{module}").WEIGHTS_HASHES
        monkeypatch.setitem(hashes, key, ("", hashlib.md5(content).hexdigest()))

    return put
