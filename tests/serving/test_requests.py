"""What a server takes for a file, and what it refuses in one line."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brain_tumor.data.scans.scan import Extent, Limits
from brain_tumor.errors import InputError
from brain_tumor.serving.requests import MOST_FILES, SentFile, fitted, sent_files


def png(side: int = 40) -> bytes:
    file = io.BytesIO()
    pixels = np.full((side, side, 3), 200, np.uint8)
    pixels[side // 2 :] = 0
    pixels[-1] = 100
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_files_come_as_they_were_sent() -> None:
    wrapped = base64.encodebytes(png()).decode()  # lines of 76 characters
    found = sent_files([{"content": text(png())}, {"content": wrapped, "plane": "coronal"}, {"content": text(b"a")}])
    assert found == [
        SentFile("file 1 of 3", png(), "auto"),
        SentFile("file 2 of 3", png(), "coronal"),
        SentFile("file 3 of 3", b"a", "auto"),
    ]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_row_without_a_plane_leaves_it_to_us(missing: Any) -> None:
    assert sent_files([{"content": text(b"a"), "plane": missing}])[0].plane == "auto"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "0 files: a request has 1 to 32"),
        ([{"content": text(b"a")}] * (MOST_FILES + 1), "33 files: a request has 1 to 32"),
        ([{"content": text(b"a")}, {}], "file 2 of 2: content is missing, or is no text"),
        ([{"content": ""}], "file 1 of 1: content is missing"),
        ([{"content": float("nan")}], "file 1 of 1: content is missing"),
        ([{"content": b"a"}], "file 1 of 1: content is missing, or is no text"),
        ([{"content": "/etc/passwd"}], "file 1 of 1: content is not base64: give the file's bytes; no path"),
        ([{"content": "http://127.0.0.1/a.png"}], "file 1 of 1: content is not base64"),
        ([{"content": "data:image/png;base64," + text(png())}], "file 1 of 1: content is not base64"),
        ([{"content": text(png())[:-1]}], "file 1 of 1: content is not base64"),
        ([{"content": "é" * 4}], "file 1 of 1: content is not base64"),
        ([{"content": text(b"a"), "plane": "oblique"}], "file 1 of 1: plane should be one of auto, axial, coronal"),
    ],
)
def test_what_is_no_file_is_refused_in_a_line(rows: list[dict[str, Any]], line: str) -> None:
    with pytest.raises(InputError) as caught:
        sent_files(rows)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_all_files_of_a_request_share_one_limit() -> None:
    limits = Limits(file_bytes=1000)
    for size in (998, 999, 1000):
        assert len(sent_files([{"content": text(bytes(size))}], limits)) == 1
    assert len(sent_files([{"content": text(bytes(500))}] * 2, limits)) == 2
    for sizes in ((1003,), (600, 600), (400, 400, 400)):
        with pytest.raises(InputError, match=r"too large: .* bytes are over a request's limit of 1,000"):
            sent_files([{"content": text(bytes(size))} for size in sizes], limits)


def test_a_picture_is_fitted_as_in_training() -> None:
    scan, pixels, [extent] = fitted(SentFile("file 1 of 1", png(), "auto"), 32)
    assert (scan.kind, pixels.shape) == ("image", (1, 32, 32, 3))
    assert (set(pixels[0, :12].ravel()), set(pixels[0, 20:28].ravel())) == ({200}, {0})
    assert extent == Extent(40, 40)


@pytest.mark.parametrize("content", [b"hello", b"", png()[:60]])
def test_what_is_no_picture_is_named(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^file 2 of 3: "):
        fitted(SentFile("file 2 of 3", content, "auto"), 32)


def test_content_that_reads_as_a_path_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    [sent] = sent_files([{"content": "scan"}])  # four letters of the alphabet of base64
    assert sent.content == base64.b64decode("scan")
    with pytest.raises(InputError):
        fitted(sent, 32)
