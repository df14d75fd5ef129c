"""A trial that starts from another one's finished phases is the very trial that it would be on its own."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from toy import environment
from trials import StoppedError, assert_equal, prepared, trial, warm


@pytest.fixture(scope="module")
def straight(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return trial(images, tmp_path_factory.mktemp("straight"))[1]


@pytest.fixture
def made(stocked: Path, tmp_path: Path) -> Path:
    """A store with one entry, to do as one likes with."""
    return Path(shutil.copytree(stocked, tmp_path / "store"))


@pytest.fixture(scope="module")
def stocked(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stocked")
    assert warm(prepared(images), folder / "trial", folder / "store") == 0
    return folder / "store"


def test_warm_started_is_as_if_trained_on_its_own(images: Path, straight: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, trained = trial(images, tmp_path / "first", store=store)
    second, reused = trial(images, tmp_path / "second", store=store)
    assert (first, second) == (0, 2)
    assert_equal(trained, straight)
    assert_equal(reused, straight)
    assert [row.get("reused", False) for row in trained.history] == [False] * 4
    assert [row.get("reused", False) for row in reused.history] == [True, True, False, False]
    assert len([path for path in store.iterdir() if path.is_dir()]) == 1


def test_a_phase_that_stopped_early_is_not_taken_up_again(images: Path, tmp_path: Path) -> None:
    early = ("schedule.head.epochs=5", "schedule.head.early_stopping={patience: 1, min_delta: 10}")
    whole = trial(images, tmp_path / "whole", *early)[1]
    assert warm(prepared(images, *early), tmp_path / "first", tmp_path / "store") == 0
    reused, run = trial(images, tmp_path / "second", *early, store=tmp_path / "store")
    assert reused == 2  # nothing improves by 10, so the second epoch exhausts the patience
    assert_equal(run, whole)


@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_warm_started_run_resumes(stop_after: int, images: Path, straight: Any, made: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trial(images, tmp_path / "trial", store=made, stop_after=stop_after)
    again, resumed = trial(images, tmp_path / "trial", store=tmp_path / "elsewhere")
    assert again == 0
    assert not (tmp_path / "elsewhere").exists()
    assert_equal(resumed, straight)
    assert [row.get("reused", False) for row in resumed.history] == [True, True, False, False]


@pytest.mark.parametrize("damage", ["no history", "cut", "changed", "a file", "other phases"])
def test_a_damaged_entry_is_of_no_use_and_removed(
    damage: str, images: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from brain_tumor.training import checkpoint
    from brain_tumor.training.warm_start import _stored

    (best,) = made.glob("*/best-*.npz")
    entry = best.parent
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "no history":
        (entry / "last.npz").unlink()
    elif damage == "cut":
        best.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        best.write_bytes(content)
    elif damage == "other phases":
        checkpoint.save_history(entry, [{**row, "phase": "all"} for row in checkpoint.read_history(entry)])
    else:
        shutil.rmtree(entry)
        entry.touch()
    assert _stored(entry, prepared(images), ["head"]) is None
    assert not entry.exists()
    said = [line for line in capsys.readouterr().err.splitlines() if "made again" in line]
    assert len(said) == 1
    assert str(entry) in said[0]


def test_a_damaged_entry_is_made_again(images: Path, straight: Any, made: Path, tmp_path: Path) -> None:
    (best,) = made.glob("*/best-*.npz")
    best.write_bytes(best.read_bytes()[:-100])
    reused, run = trial(images, tmp_path / "trial", store=made)
    assert reused == 0
    assert_equal(run, straight)
    assert warm(prepared(images), tmp_path / "next", made) == 2


def test_interrupted_while_training_leaves_no_entry(
    images: Path, straight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brain_tumor.training import callbacks

    save_last = callbacks.save_last

    def crash(folder: Path, model: Any, optimizer: Any, history: list[dict[str, Any]]) -> None:
        save_last(folder, model, optimizer, history)
        raise StoppedError

    monkeypatch.setattr(callbacks, "save_last", crash)
    with pytest.raises(StoppedError):
        warm(prepared(images), tmp_path / "cut", tmp_path / "store")
    monkeypatch.undo()
    assert not list((tmp_path / "cut").iterdir())
    assert {path.suffix for path in (tmp_path / "store").iterdir()} == {".lock", ".partial"}
    reused, run = trial(images, tmp_path / "cut", store=tmp_path / "store")
    assert reused == 0
    assert_equal(run, straight)
    assert sorted(path.suffix for path in (tmp_path / "store").iterdir()) == ["", ".lock"]


def test_who_comes_second_waits_and_says_so(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.training import warm_start

    store, said = tmp_path / "store", []
    store.mkdir()
    held = FileLock(store / f"{warm_start.warm_key(prepared(images), ['head'], None)}.lock")
    held.acquire()

    def say(line: str, **_: Any) -> None:
        said.append(line)
        held.release()

    monkeypatch.setattr(warm_start, "print", say, raising=False)
    warm(prepared(images), tmp_path / "trial", store)
    assert said[0] == "warm start: waits for the trial that trains head"


def test_another_machine_fetches_what_one_has_published(images: Path, straight: Any, tmp_path: Path) -> None:
    shelf, asked = tmp_path / "shelf", []

    def fetch(key: str, target: Path) -> bool:
        asked.append(key)
        assert not list(target.iterdir())
        if not (shelf / key).exists():
            return False
        shutil.copytree(shelf / key, target, dirs_exist_ok=True)
        return True

    def publish(key: str, entry: Path) -> None:
        shutil.copytree(entry, shelf / key)

    hooks: dict[str, Callable[..., Any]] = {"fetch": fetch, "publish": publish}
    assert warm(prepared(images), tmp_path / "a", tmp_path / "here", **hooks) == 0
    reused, run = trial(images, tmp_path / "b", store=tmp_path / "there", **hooks)
    assert reused == 2
    assert_equal(run, straight)
    assert warm(prepared(images), tmp_path / "c", tmp_path / "there", **hooks) == 2  # now from its own store
    assert asked == [next(shelf.iterdir()).name] * 2
    (shelf / asked[0] / "last.npz").write_bytes(b"half")
    hooks.pop("publish")
    assert warm(prepared(images), tmp_path / "d", tmp_path / "third", **hooks) == 0


def test_without_shared_phases_nothing_happens(images: Path, tmp_path: Path) -> None:
    from brain_tumor.training.warm_start import warm_start

    ready = prepared(images)
    assert warm_start(ready, tmp_path, store=tmp_path / "store", phases=[], weights=None) == 0
    assert not list(tmp_path.iterdir())
    for phases in (["all"], ["head", "all"]):
        with pytest.raises(ValueError, match="are not leading phases of"):
            warm_start(ready, tmp_path, store=tmp_path / "store", phases=phases, weights=None)


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from brain_tumor.models import cnn
from trials import FILTERS, trial
cnn._FILTERS = FILTERS
name = sys.argv[1]
print("reused", trial(Path({images!r}), Path({work!r}) / name, store=Path({work!r}) / "store")[0])
"""


@pytest.mark.slow
def test_of_parallel_workers_one_trains(images: Path, tmp_path: Path) -> None:
    code = WORKER.format(tests=str(Path(__file__).parents[1]), images=str(images), work=str(tmp_path))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, name], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    said = sorted(worker.communicate(timeout=300)[0].split()[-1] for worker in workers)
    assert said == ["0", "2"]
