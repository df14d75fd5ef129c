"""Where a run is, how long it still takes, and what of it reaches a file."""

import pytest

from brain_tumor import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, which pass only where a test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_the_time_left_is_that_of_the_whole_run(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.course(["reading", "training", "measuring"]):
        progress.begin("reading")
        clock[0] += 500  # what is read is not known to be work, and tells nothing of the speed
        progress.expect("training", passes=400, units=100)
        progress.expect("measuring", passes=100, units=100)
        progress.begin("training")
        assert progress.time_left() == ""
        with progress.progress(50, "epoch 1") as bar:
            clock[0] += 20
            bar.update(50)
        # 200 of 500 passes in 20 s
        assert progress.time_left() == "about 30 s left"
        with progress.progress(50, "epoch 2") as bar:
            clock[0] += 20
            bar.update(50)
        progress.begin("measuring")
    said = capsys.readouterr().err.splitlines()
    assert said == ["step 1 of 3: reading", "step 2 of 3: training", "step 3 of 3: measuring, about 10 s left"]
    assert progress.time_left() == ""


def test_what_is_not_needed_counts_no_longer(clock: list[float]) -> None:
    with progress.course(["head", "all", "maps"]):
        for title in ("head", "all", "maps"):
            progress.expect(title, passes=100, units=100)
        progress.begin("all")  # gone on with: the head has been trained before
        with progress.progress(100, "epoch") as bar:
            clock[0] += 10
            bar.update(100)
        assert progress.time_left() == "about 10 s left"


def test_what_was_cut_short_counts_no_longer(clock: list[float]) -> None:
    with progress.course(["training", "maps"]):
        progress.expect("training", passes=600, units=600)
        progress.expect("maps", passes=100, units=100)
        progress.begin("training")
        with progress.progress(100, "epoch 1 of 6, after which it stops early") as bar:
            clock[0] += 10
            bar.update(100)
        progress.begin("maps")  # 100 passes took 10 s
        assert progress.time_left() == "about 10 s left"


def test_a_file_gets_a_line_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(4000, "drawing") as bar, progress.progress(9, "unseen", disable=True) as silent:
        for _ in range(4):
            clock[0] += 20
            bar.update(1000)
            silent.update()
    assert capsys.readouterr().err.splitlines() == ["drawing: 2,000 of 4,000 img", "drawing: 4,000 of 4,000 img"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (3900, "1 h 5 min"), (187200, "2 d 4 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
