"""Nothing of an upload stays."""

import io
import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from brain_tumor.serving.review_page.uploads import Uploads, repeating, uploads


def test_an_upload_is_read_once(folder: Uploads) -> None:
    path = folder.add(io.BytesIO(b"slice"))
    assert (folder.size(), folder.take(str(path))) == (5, b"slice")
    assert (list(folder.folder.iterdir()), folder.size()) == ([], 0)
    with pytest.raises(FileNotFoundError):
        folder.take(str(path))


def test_the_same_file_of_two_users_is_two_files(folder: Uploads) -> None:
    first, second = folder.add(io.BytesIO(b"slice")), folder.add(io.BytesIO(b"slice"))
    assert folder.take(str(first)) == folder.take(str(second)) == b"slice"


OTHERS = ["/etc/passwd", "{}/../x", "{}/a/../b", "{}/a/b", "{}//a", "a", "http://a/b", "", "{}/..", "{}/.", "{}/"]


@pytest.mark.parametrize("name", [*OTHERS, "{}/\0", f"{{}}/{'a' * 31}\0", f"{{}}/{'a' * 32}\n", f"{{}}/{'A' * 32}"])
def test_no_other_path_is_read(folder: Uploads, tmp_path: Path, name: str) -> None:
    path = name.format(folder.folder)
    assert not folder.holds(path)
    with pytest.raises(FileNotFoundError):
        folder.take(path)


def test_what_nobody_asks_for_is_removed_in_time(folder: Uploads) -> None:
    old, new = folder.add(io.BytesIO(b"1")), folder.add(io.BytesIO(b"2"))
    left = folder.folder / "of gradio"
    left.mkdir()
    for path in (old, left):
        os.utime(path, (0, time.time() - 121))
    folder.sweep()
    assert list(folder.folder.iterdir()) == [new]


def test_only_its_user_may_enter_the_folder_and_it_ends_with_the_page() -> None:
    with uploads() as found:
        assert found.add(io.BytesIO(b"slice")).stat().st_mode & 0o777 == 0o600
        assert found.folder.stat().st_mode & 0o777 == 0o700
    assert not found.folder.exists()


def test_tasks_are_repeated_until_the_end() -> None:
    calls: list[int] = []
    with repeating(lambda: calls.append(1), every=0.01):
        while len(calls) < 3:
            time.sleep(0.01)
    count = len(calls)
    time.sleep(0.05)
    assert len(calls) == count


def test_an_upload_is_stored_though_the_folder_was_cleaned_away(folder: Uploads) -> None:
    gone = folder.add(io.BytesIO(b"slice"))
    shutil.rmtree(folder.folder)
    folder.sweep()
    assert (folder.size(), folder.reserve(5, 100)) == (0, True)
    with pytest.raises(FileNotFoundError):
        folder.take(str(gone))
    path = folder.add(io.BytesIO(b"slice"))
    assert folder.folder.stat().st_mode & 0o777 == 0o700
    assert folder.take(str(path)) == b"slice"


def test_a_task_that_fails_is_logged_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def fail() -> None:
        raise OSError("the disk is gone")

    with caplog.at_level(logging.ERROR), repeating(fail, lambda: calls.append(1), every=0.01):
        while len(calls) < 3:
            time.sleep(0.01)
    assert "the disk is gone" in caplog.text
