"""What a killed page has left behind goes when the next one starts, and nothing else does."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from brain_tumor.serving.review_page.process_folder import PREFIX, own_folder

HOLD = """
import time
from brain_tumor.serving.review_page.process_folder import own_folder
with own_folder() as own:
    (own.path / "upload").touch()
    print(own.path, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_removed_once_its_process_was_killed(place: Path) -> None:
    env = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen([sys.executable, "-c", HOLD], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    with own_folder() as mine:
        assert left.parent == mine.path.parent
        assert (left / "upload").exists()  # it is alive
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert left.exists()
    with own_folder() as mine:
        assert list(place.iterdir()) == [mine.path]
    assert list(place.iterdir()) == []


def test_links_and_what_is_no_pages_folder_stay(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    (place / f"{PREFIX}file").touch()
    inside = place / f"{PREFIX}left"
    inside.mkdir()
    (inside / "link").symlink_to(elsewhere)
    with own_folder():
        assert not inside.exists()
    assert sorted(path.name for path in place.iterdir()) == [f"{PREFIX}file", f"{PREFIX}link", "elsewhere"]
    assert (elsewhere / "file").exists()


def test_another_users_folder_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = place / f"{PREFIX}other"
    other.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: other.stat().st_uid + 1)
        with own_folder():
            assert other.exists()


def test_a_folder_that_was_cleaned_away_is_made_and_held_again(place: Path) -> None:
    with own_folder() as mine:
        mine.path.rmdir()
        assert not mine.there()
        mine.path.mkdir(0o755)  # by a library that writes there
        assert not mine.there()
        mine.again()
        assert mine.there()
        assert mine.path.stat().st_mode & 0o777 == 0o700
        with own_folder():  # a page that starts takes it for nothing that was left behind
            assert mine.there()
    assert list(place.iterdir()) == []


def test_what_somebody_put_in_the_folders_place_is_not_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    with own_folder() as mine:
        mine.path.rmdir()
        mine.path.symlink_to(elsewhere)
        with pytest.raises(OSError, match="directory"):
            mine.again()
        mine.path.unlink()
        mine.path.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getuid", lambda: place.stat().st_uid + 1)
            with pytest.raises(PermissionError, match="somebody else"):
                mine.again()
    assert mine.path.exists()
