"""The description of a study's run, kept up to date while its trials train."""

import time
from collections.abc import Callable

import mlflow
import pytest
from optuna.study import Study
from optuna.trial import TrialState
from studies import empty, mixed, trial

from brain_tumor.sweep.advice import ERROR
from brain_tumor.tracking import sweep_note, sweep_run
from brain_tumor.tracking.store import Store
from brain_tumor.tracking.view import NOTE


def made(store: Store) -> str:
    return str(mlflow.MlflowClient(store.uri).create_run(store.experiment_id).info.run_id)


def note(run_id: str) -> str:
    return str(mlflow.get_run(run_id).data.tags.get(NOTE, ""))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_opens_on_what_one_wants_and_follows_the_trials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_note, "EVERY", 0.1)
    study, run_id = mixed(), made(store)
    stop = sweep_note.keep(store.uri, run_id, study)
    until(lambda: "trial 8: begins" in note(run_id))
    first = note(run_id)
    study.add_trial(trial(10, TrialState.RUNNING, epochs=[8, 17, 5], seconds=30.0))
    until(lambda: "trial 10: epoch 8 of 17, about 1 min 30 s left" in note(run_id))
    assert first.splitlines()[2:5] == [
        "| study | demo: maximize val/macro\\_f1 |",
        "| finished | 5 of 20 (3 complete, 1 pruned, 1 failed); 1 running; 1 waiting; 2 lost; 1 surplus |",
        "| best so far | 0.9000, trial 1 |",
    ]
    assert f"![best so far](get-artifact?path=study/best.png&run_uuid={run_id})" in first
    assert "Research software, not a medical device" in first
    assert [each.path for each in mlflow.MlflowClient(store.uri).list_artifacts(run_id, "study")] == ["study/best.png"]
    mlflow.MlflowClient(store.uri).set_tag(run_id, NOTE, "the end")
    mlflow.MlflowClient(store.uri).set_terminated(run_id, "FINISHED")
    study.add_trial(trial(11, values=[0.95]))
    time.sleep(0.5)
    stop()
    assert note(run_id) == "the end"  # of a worker that was through before this one


def test_what_fails_again_and_again_is_one_line_and_no_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> bool:
        raise OSError("No space left\non device")

    monkeypatch.setattr("brain_tumor.sweep.figures.write_best", full)
    monkeypatch.setattr(sweep_note, "EVERY", 0.01)
    stop = sweep_note.keep(store.uri, made(store), mixed())
    said: list[str] = []
    until(lambda: bool(said.append(capsys.readouterr().err) or "".join(said)))
    time.sleep(0.3)
    stop()
    said.append(capsys.readouterr().err)
    assert "".join(said) == "study demo could not be described: OSError: No space left on device\n"


def test_before_the_first_trial_and_when_nobody_works_on_it(store: Store) -> None:
    study, run_id = empty(), made(store)
    study.set_user_attr("command", "model=effnet_lite0 -m")
    text = sweep_note.opening(run_id, study)
    assert "| finished | 0 of 20 |" in text
    assert "best.png" not in text
    assert "brain\\_tumor" not in text  # a command is left as it is
    assert " ".join(text.replace("\\\n", "").split()).endswith("-m brain_tumor.train model=effnet_lite0 -m ```")


@pytest.mark.parametrize(
    ("metric", "error"), [("val/macro_f1", 0.1 / 3.92), ("val/loss", 0.2 / 3.92), ("cost/x", None)]
)
def test_the_standard_error_is_of_the_interval_that_the_best_run_has(
    store: Store, metric: str, error: float | None
) -> None:
    study: Study = empty()
    study.set_user_attr("metrics", [metric])
    run_id = made(store)
    table = "metric,value,low,high\nmacro_f1,0.86,0.8,0.9\nlog_loss,0.4,0.3,0.5\n"
    mlflow.MlflowClient(store.uri).log_text(run_id, table, "tables/val_metrics.csv")
    study.add_trial(trial(0, values=[0.86], run_id=run_id))
    sweep_run._note_error(study)
    assert study.user_attrs.get(ERROR) == (None if error is None else [0, pytest.approx(error)])
    study.add_trial(trial(1, values=[0.9], run_id="0" * 32))  # its run was deleted
    sweep_run._note_error(study)
    assert (study.user_attrs.get(ERROR) or [0])[0] == 0
