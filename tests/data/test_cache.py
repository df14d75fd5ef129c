import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.data import cache
from brain_tumor.data.cache import cache_folder, decoded, hash_files, pictures
from brain_tumor.errors import InputError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Ten pictures of 16 px, the i-th of which is i everywhere, by SHA-256."""
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{index}.png" for index in range(10)]
    for index, path in enumerate(paths):
        Image.new("RGB", (16, 16), (index, index, index)).save(path)
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in paths}


def home(folder: Path) -> Path:
    (only,) = (folder / "pixels").iterdir()
    return only


def value_of(path: Path) -> int:
    return int(path.stem)


def test_pixels_and_table_follow_the_hashes(files: dict[str, Path], tmp_path: Path) -> None:
    contents = decoded(files, pictures(8), tmp_path / "cache", 2)
    assert contents.pixels.shape == (10, 8, 8, 3)
    assert contents.pixels[0].dtype == np.uint8
    assert contents.table["sha256"].tolist() == sorted(files)
    for picture, sha in zip(contents.pixels[:], contents.table["sha256"], strict=True):
        assert (picture == value_of(files[sha])).all()
    assert contents.table[["width", "height", "mode", "planes", "error"]].drop_duplicates().to_numpy().tolist() == [
        [16, 16, "RGB", 1, ""]
    ]


def test_gray_pictures_take_a_third_of_the_room_and_coloured_ones_keep_their_colours(
    files: dict[str, Path], tmp_path: Path
) -> None:
    coloured = tmp_path / "images" / "coloured.png"
    Image.new("RGB", (16, 16), (10, 20, 30)).save(coloured)
    sha = hashlib.sha256(coloured.read_bytes()).hexdigest()
    contents = decoded(files | {sha: coloured}, pictures(8), tmp_path / "cache", 2)
    assert np.load(home(tmp_path / "cache") / "planes.npy").shape == (10 + 3, 8, 8)
    row = contents.table.index[contents.table["sha256"] == sha][0]
    assert (contents.pixels[row] == [10, 20, 30]).all()
    gray = [value_of(files[each]) for each in contents.table["sha256"].drop(row)]
    assert contents.pixels[contents.table["sha256"] != sha][:, 0, 0].tolist() == [[value] * 3 for value in gray]


def test_of_no_files_there_are_no_pictures(tmp_path: Path) -> None:
    assert decoded({}, pictures(8), tmp_path / "cache", 2).pixels.shape == (0, 8, 8, 3)


def test_second_call_decodes_nothing(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decoded(files, pictures(8), tmp_path / "cache", 2)
    monkeypatch.setattr(cache, "decode", None)
    for path in files.values():
        path.unlink()
    assert np.array_equal(decoded(files, pictures(8), tmp_path / "cache", 2).pixels, first.pixels)


def test_another_size_or_set_has_its_own_place(files: dict[str, Path], tmp_path: Path) -> None:
    decoded(files, pictures(8), tmp_path / "cache", 2)
    decoded(files, pictures(4), tmp_path / "cache", 2)
    fewer = dict(list(files.items())[:5])
    assert decoded(fewer, pictures(8), tmp_path / "cache", 2).pixels.shape == (5, 8, 8, 3)
    assert len(list((tmp_path / "cache" / "pixels").iterdir())) == 3


def test_picture_that_cannot_be_decoded_is_black_with_its_reason(files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "images" / "broken.png"
    broken.write_bytes(b"")
    sha = hashlib.sha256(b"").hexdigest()
    for _ in range(2):  # decoded, then reread
        contents = decoded(files | {sha: broken}, pictures(8), tmp_path / "cache", 2)
        row = contents.table.index[contents.table["sha256"] == sha][0]
        assert contents.table.loc[row, "error"] == "the file is empty"
        assert not contents.pixels[row].any()
        assert (contents.table["error"] == "").sum() == 10


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "table", "other"])
def test_damaged_cache_is_made_anew(
    damage: str, files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = np.array(decoded(files, pictures(8), tmp_path / "cache", 2).pixels)
    folder = home(tmp_path / "cache")
    planes, table = folder / "planes.npy", folder / "contents.csv"
    if damage == "cut":
        os.truncate(planes, planes.stat().st_size - 100)
    elif damage == "empty":
        planes.write_bytes(b"")
    elif damage == "gone":
        planes.unlink()
    elif damage == "table":
        table.write_text(table.read_text()[:200])
    else:
        np.save(planes, first[:5, ..., 0])
    assert np.array_equal(decoded(files, pictures(8), tmp_path / "cache", 2).pixels, first)
    assert "was damaged" in caplog.text
    assert list((tmp_path / "cache" / "pixels").iterdir()) == [folder]


def test_interrupted_decoding_leaves_nothing(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(content: bytes, size: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            decoded(files, pictures(8), tmp_path / "cache", 2)
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []
    assert len(decoded(files, pictures(8), tmp_path / "cache", 2).pixels) == 10


def test_what_a_killed_process_left_is_removed_after_a_day(files: dict[str, Path], tmp_path: Path) -> None:
    old, fresh = (tmp_path / "cache" / "pixels" / name for name in (".new-old", ".new-fresh"))
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "planes.npy").touch()
    os.utime(old, (0, 0))
    decoded(files, pictures(8), tmp_path / "cache", 2)
    assert not old.exists()
    assert fresh.exists()


def test_another_process_that_was_first_is_no_error(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded(files, pictures(8), tmp_path / "other", 2)
    publish = cache._publish

    def lose_the_race(new: Path, home: Path, shas: list[str], shape: tuple[int, ...]) -> None:
        def rename(source: Path, target: Path) -> None:
            shutil.copytree(tmp_path / "other" / "pixels" / home.name, home)
            raise OSError("Directory not empty")

        monkeypatch.setattr(os, "rename", rename)
        publish(new, home, shas, shape)

    monkeypatch.setattr(cache, "_publish", lose_the_race)
    assert len(decoded(files, pictures(8), tmp_path / "cache", 2).pixels) == 10
    assert len(list((tmp_path / "cache" / "pixels").iterdir())) == 1


def test_two_processes_at_once(files: dict[str, Path], tmp_path: Path) -> None:
    code = (
        "import sys, hashlib; from pathlib import Path; from brain_tumor.data.cache import decoded, pictures\n"
        "files = {hashlib.sha256(p.read_bytes()).hexdigest(): p for p in Path(sys.argv[1]).iterdir()}\n"
        "print(int(decoded(files, pictures(200), Path(sys.argv[2]), 1).pixels[:].sum()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "images"), str(tmp_path / "cache")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [int(run.communicate(timeout=60)[0]) for run in runs]
    assert outputs == [sum(range(10)) * 200 * 200 * 3] * 2
    assert home(tmp_path / "cache").is_dir()


@pytest.fixture
def files_of_a_kilobyte() -> Iterator[None]:
    """The operating system refuses to write more to a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("files_of_a_kilobyte")
def test_disk_that_fills_up(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write decoded images to .* point data\.cache=DIR elsewhere"):
        decoded(files, pictures(64), tmp_path / "cache", 2)
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def test_disk_with_too_little_space_is_known_before(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match="1 MiB are needed and 0 are free"):
        decoded(files, pictures(200), tmp_path / "cache", 2)


def test_cache_that_is_a_file(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match="cannot write decoded images"):
        decoded(files, pictures(8), tmp_path / "cache", 2)


def test_image_that_changes_meanwhile(files: dict[str, Path], tmp_path: Path) -> None:
    next(iter(files.values())).write_bytes(b"other")
    with pytest.raises(InputError, match="changed while it was being read"):
        decoded(files, pictures(8), tmp_path / "cache", 2)


def test_hashes_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    names = ("a", "link", "pipe", "missing")
    hashes, errors = hash_files([tmp_path / name for name in names], 2)
    # FIPS 180-2, appendix B.1
    assert hashes[0] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashes[1:] == ["", "", ""]
    assert errors == ["", "a broken link", "not a file", "not a file"]


def test_folder_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("a b=c") == tmp_path / "a b=c"
    assert cache_folder("~/x") == tmp_path / "home" / "x"
    if sys.platform == "linux":
        assert cache_folder(None) == tmp_path / "xdg" / "brain-tumor"
