"""Finished phases go through a run's artifacts unchanged, and their failure stops no trial."""

from pathlib import Path

import pytest

from brain_tumor.config.train import TrackingConfig


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A finished run in a store of its own."""
    from brain_tumor.tracking import runs
    from brain_tumor.tracking.store import open_store

    store = open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", None, "c", False))
    with runs.started(store, system_metrics=False) as run_id:
        return run_id


def make_entry(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "last.npz").write_bytes(content)
    (folder / "best-2.npz").write_bytes(content * 1000)
    return folder


def test_an_entry_comes_back_as_it_was(run_id: str, tmp_path: Path) -> None:
    from brain_tumor.tracking.warm_artifacts import fetcher, publisher

    fetch, publish = fetcher(run_id), publisher(run_id)
    targets = [tmp_path / f"target{index}" for index in range(3)]
    for target in targets:
        target.mkdir()
    assert not fetch("key", targets[0])
    publish("key", make_entry(tmp_path / "entry", b"first"))
    publish("key", make_entry(tmp_path / "later", b"second"))  # another machine was faster: its files stay together
    assert not fetch("other", targets[1])
    assert fetch("key", targets[2])
    found = {path.name: path.read_bytes() for path in targets[2].iterdir()}
    assert found == {"last.npz": b"first", "best-2.npz": b"first" * 1000}
    assert not list(targets[0].iterdir()) + list(targets[1].iterdir())


def test_what_goes_wrong_is_one_line_and_no_error(
    run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    from brain_tumor.tracking.warm_artifacts import FOLDER, fetcher, publisher

    entry = make_entry(tmp_path / "entry", b"x")
    publisher("0" * 32)("key", entry)
    assert not fetcher("0" * 32)("key", tmp_path)
    (tmp_path / "half.tar").write_bytes(b"half a file")
    mlflow.MlflowClient().log_artifact(run_id, str(tmp_path / "half.tar"), FOLDER)
    assert not fetcher(run_id)("half", tmp_path)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warm start")]
    assert [line.split(" run ")[0] for line in lines] == [
        "warm start: nothing could be published in",
        "warm start: nothing could be fetched from",
        "warm start: nothing could be fetched from",
    ]
