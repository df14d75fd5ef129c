"""kagglehub against a stand-in for Kaggle on the loopback device, which it takes for its proxy."""

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toy import OFFICIAL

from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data.dataset import load
from brain_tumor.data.kaggle import download
from brain_tumor.errors import InputError

HANDLE = "someone/brain-tumor/versions/1"


@dataclass
class Kaggle:
    archive: bytes = b""
    status: int = 200
    requests: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """What the server answers and was asked; kagglehub's cache and home are the test's own."""
    state = Kaggle()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, json.loads(body)))
            content = state.archive if state.status == 200 else b'{"code": 0, "message": "no"}'
            self.send_response(state.status)
            self.send_header("Content-Type", "application/zip" if state.status == 200 else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    use(server.server_address[1], tmp_path, monkeypatch)
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def use(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")  # http://localhost instead of api.kaggle.com
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))


def zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    return file.getvalue()


def test_set_is_downloaded_once_and_split(
    kaggle: Kaggle,
    tmp_path: Path,
    make_folders: Callable[..., Path],
    data_config: Callable[..., DataConfig],
) -> None:
    kaggle.archive = zipped(make_folders(tmp_path / "source", count=4))
    data = data_config(None, source=Source.kaggle, handle=HANDLE)
    datasets = [load(data, shape=(16, 16, 3), protocol=OFFICIAL) for _ in range(2)]
    ((path, request),) = kaggle.requests
    assert path.endswith("/api/v1/datasets.DatasetApiService/DownloadDataset")
    assert (request["ownerSlug"], request["datasetSlug"]) == ("someone", "brain-tumor")
    assert request["datasetVersionNumber"] == 1
    split = datasets[1].split
    assert split.source == "kaggle"
    assert split.root.is_relative_to(tmp_path / "kagglehub")
    assert set(split.table["site"]) == {HANDLE}
    assert split.counts["test"]["glioma"] == 4
    assert split.digest == datasets[0].split.digest


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_refusal_is_one_line_with_the_ways_on(kaggle: Kaggle, status: int) -> None:
    kaggle.status = status
    check_message(HANDLE)


def test_archive_that_is_none(kaggle: Kaggle) -> None:
    kaggle.archive = b"<html>sign in</html>"
    check_message(HANDLE)


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_address[1]
    use(port, tmp_path, monkeypatch)  # closed by now: the connection is refused
    check_message(HANDLE)


def check_message(handle: str) -> None:
    with pytest.raises(InputError) as caught:
        download(handle)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"cannot download {handle} from Kaggle (")
    assert "https://www.kaggle.com/datasets/someone/brain-tumor " in message
    assert "data=folder data.root=DIR" in message
    assert "data=phantom" in message


@pytest.mark.parametrize("handle", [None, "", "someone/brain-tumor", "someone/x/versions/latest", "a b/c/versions/1"])
def test_handle_without_a_version_is_refused(handle: str | None) -> None:
    with pytest.raises(InputError, match="must name a version"):
        download(handle)
