"""`python -m brain_tumor.study watch=true` follows a sweep that other processes run."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from studies import empty, mixed, trial
from test_study import keep
from toy import environment, hear_ctrl_c, words

from brain_tumor.jobs import study_watch

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens between two looks, one step each; the last one is Ctrl-C unless the sweep is through."""

    def happen(*steps: Callable[[], object]) -> None:
        left: Iterator[Callable[[], object]] = iter(steps)

        def sleep(seconds: float) -> None:
            step = next(left, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr(study_watch.time, "sleep", sleep)

    return happen


def test_each_change_is_a_line_until_no_trial_is_missing(run: Run, tmp_path: Path, looks: Callable[..., None]) -> None:
    begun = empty()
    begun.set_user_attr("n_trials", 2)
    begun.add_trial(trial(0, values=[0.5]))
    url = f"sqlite:///{tmp_path}/work/mlruns/optuna.db"

    def stored() -> optuna.Study:
        return optuna.load_study(study_name="demo", storage=url)

    looks(
        lambda: keep(tmp_path / "work", begun),
        lambda: stored().ask(),
        lambda: None,
        lambda: stored().tell(1, state=TrialState.PRUNED),
    )
    done = run("study", "watch=true")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in done.stdout.splitlines()]
    assert lines == [
        f"Waiting for a sweep in {url}.",
        "study demo: 1 of 2 finished, best 0.5000, trial 0, about 1 min 0 s left",
        lines[2],
        "trial 1 pruned; 2 of 2 finished, best 0.5000, trial 0",
    ]
    assert lines[2].startswith("trial 1 running; 1 of 2 finished, best 0.5000, trial 0, about ")


def test_the_newest_study_that_is_not_through_is_followed(run: Run, tmp_path: Path, looks: Callable[..., None]) -> None:
    through = empty()
    through.set_user_attr("n_trials", 1)
    through.add_trial(trial(0, values=[0.5]))
    keep(tmp_path / "work", mixed(), through, names=("older", "newest"))
    looks()
    done = run("study", "watch=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "study older: 5 of 20 finished" in done.stdout
    assert "study newest: 1 of 1 finished" in run("study", "watch=true", "name=newest").stdout
    assert "Waiting for study next in" in run("study", "watch=true", "name=next").stdout


def test_a_study_that_is_deleted_meanwhile_is_one_line(run: Run, tmp_path: Path, looks: Callable[..., None]) -> None:
    url = keep(tmp_path / "work", mixed())
    looks(lambda: optuna.delete_study(study_name="demo", storage=url))
    done = run("study", "watch=true")
    assert done.returncode == 2
    assert done.stderr == f"error: study demo has been deleted from {url}\n"


def test_on_a_terminal_one_view_is_kept_up_to_date(tmp_path: Path) -> None:
    study = mixed()
    keep(tmp_path, study)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "brain_tumor.study", "watch=true"],
        cwd=tmp_path, env=environment(tmp_path, TERM="xterm"), stdout=follower, stderr=follower,
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    os.close(follower)
    said = b""
    while said.count(b"time left") < 2:
        said += os.read(leader, 65536)
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            said += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    assert process.wait(60) == 0
    text = said.decode()
    assert "Traceback" not in text
    assert "\x1b[1A" in text  # the second view stands where the first one did
    assert "trial 8: begins" in words(text)
