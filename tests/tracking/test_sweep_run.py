"""A study's run in MLflow: one for all workers, true after every trial, and the best model in the registry."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState
from studies import BLOCKS, RATE, UNFREEZE, empty, many, mixed, trial

from brain_tumor.data.classes import STANDARD
from brain_tumor.errors import InputError
from brain_tumor.tracking.store import Store


def opened(store: Store, study: Study, *, created: bool = True, patience: float = 60) -> str:
    from brain_tumor.tracking.sweep_run import open_parent

    return open_parent(
        store, study, name="sweep", tags={"x": "y"}, config_text="a: 1\n", created=created, patience=patience
    )


def runs_of(store: Store) -> list[Any]:
    import mlflow

    return list(mlflow.MlflowClient(store.uri).search_runs([store.experiment_id]))


def artifact(run_id: str, path: str, folder: Path) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=str(folder)))


def test_one_run_that_is_opened_again(store: Store, tmp_path: Path) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import close_parent

    study = mixed()
    run_id = opened(store, study)
    assert study.user_attrs["parent_run"] == run_id
    run = mlflow.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("RUNNING", "sweep")
    assert {"x": "y", "job": "sweep", "study": "demo"}.items() <= run.data.tags.items()
    assert artifact(run_id, "config/config.yaml", tmp_path).read_text() == "a: 1\n"
    close_parent(run_id, "KILLED")
    assert mlflow.get_run(run_id).info.status == "KILLED"
    assert opened(store, study, created=False) == run_id
    assert mlflow.get_run(run_id).info.status == "RUNNING"
    assert len(runs_of(store)) == 1


def test_a_run_that_is_gone_is_made_again(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import close_parent, log_progress

    study = mixed()
    first = opened(store, study)
    mlflow.delete_run(first)
    second = opened(store, study, created=False)
    assert second != first
    mlflow.delete_run(second)  # while the sweep goes on
    with pytest.raises(InputError, match=r"was deleted meanwhile.*type the same command again"):
        log_progress(store, second, study)
    close_parent(second, "FAILED")
    study.set_user_attr("parent_run", "0" * 32)  # of another tracking server
    assert opened(store, study, created=False) not in (first, second)


def test_a_study_that_begins_anew_is_said_to(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    from brain_tumor.tracking.sweep_run import tell_of_namesakes

    tell_of_namesakes(store, empty())
    assert capsys.readouterr().err == ""
    earlier = opened(store, empty())
    tell_of_namesakes(store, empty(name="another"))
    assert capsys.readouterr().err == ""
    tell_of_namesakes(store, empty())
    assert f"study demo begins anew: {store.uri} has an earlier one's run, {earlier}" in capsys.readouterr().err


@pytest.mark.parametrize(("maker", "patience"), [(True, 60.0), (False, 0.0)])
def test_workers_that_start_at_once_share_one_run(
    store: Store, tmp_path: Path, maker: bool, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not maker:  # each makes one, and on a busy machine threads are late
        monkeypatch.setattr("brain_tumor.tracking.sweep_run.SETTLE", 5.0)
    url = f"sqlite:///{tmp_path}/optuna.db"
    studies = [empty(storage=RDBStorage(url))]
    import optuna

    studies += [optuna.load_study(study_name="demo", storage=RDBStorage(url)) for _ in range(2)]
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(opened, store, study, created=False, patience=patience) for study in studies[1:]]
        first = pool.submit(opened, store, studies[0], created=maker, patience=patience)
        found = {each.result() for each in [first, *waiting]}
    assert found == {studies[0].user_attrs["parent_run"]}
    assert {run.info.run_id for run in runs_of(store)} == found


def test_progress_is_a_table_metrics_and_tags(store: Store, tmp_path: Path) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import close_parent, log_progress

    study = mixed()
    run_id = opened(store, study)
    log_progress(store, run_id, study, figures=False)
    frame = pd.read_csv(artifact(run_id, "study/trials.csv", tmp_path))
    assert list(frame["state"][:4]) == ["complete", "complete", "complete", "pruned"]
    run = mlflow.get_run(run_id)
    assert run.data.metrics == {
        **{"trials/complete": 3, "trials/pruned": 1, "trials/failed": 1, "trials/running": 1, "trials/waiting": 1},
        **{"trials/lost": 2, "trials/surplus": 1, "trials/finished": 5},
        **{"cost/trials_seconds": 400, "best/val/macro_f1": 0.9, "val/macro_f1": 0.9},
    }
    best = {key: value for key, value in run.data.tags.items() if key.startswith("best.")}
    assert best == {
        **{"best.trial": "1", "best.run_id": "r1", "best.value": "0.9"},
        **{f"best.{RATE}": "0.01", f"best.{UNFREEZE}": "some", f"best.{BLOCKS}": "3"},
    }

    # A better trial without the conditional parameter, told by a worker after another one has closed the run.
    study.add_trial(trial(10, values=[0.95], run_id="r10"))
    close_parent(run_id, "FINISHED")
    log_progress(store, run_id, study, figures=False)
    run = mlflow.get_run(run_id)
    best = {key: value for key, value in run.data.tags.items() if key.startswith("best.")}
    assert best == {
        **{"best.trial": "10", "best.run_id": "r10", "best.value": "0.95"},
        **{f"best.{RATE}": "0.001", f"best.{UNFREEZE}": "all"},
    }
    assert run.info.status == "RUNNING"
    history = mlflow.MlflowClient(store.uri).get_metric_history(run_id, "best/val/macro_f1")
    assert [(each.step, each.value) for each in history] == [(5, 0.9), (6, 0.95)]
    assert run.data.metrics["val/macro_f1"] == 0.95


def test_progress_of_several_objectives_and_of_none_yet(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import log_progress

    study = empty(directions=("maximize", "minimize"))
    run_id = opened(store, study)
    log_progress(store, run_id, study, figures=False)
    assert mlflow.get_run(run_id).data.metrics["trials/finished"] == 0
    study.add_trials(
        [trial(index, values=list(v), run_id=f"r{index}") for index, v in enumerate([(1, 9), (0, 9), (0, 3)])]
    )
    log_progress(store, run_id, study, figures=False)
    run = mlflow.get_run(run_id)
    assert (run.data.tags["front.trials"], run.data.tags["front.run_ids"]) == ("0, 2", "r0, r2")
    assert (run.data.metrics["best/val/macro_f1"], run.data.metrics["best/cost/inference_ms"]) == (1, 3)
    assert not [key for key in run.data.tags if key.startswith("best.")]


def test_figures_are_drawn_every_ten_minutes_over_all_workers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.tracking import sweep_run

    drawn: list[float] = []
    clock = [1000.0]
    monkeypatch.setattr(sweep_run.time, "time", lambda: clock[0])
    monkeypatch.setattr("brain_tumor.sweep.figures.write_figures", lambda *_: drawn.append(clock[0]) or [])
    study = mixed()
    run_id = opened(store, study)
    for now, choice in [
        (1000, None),
        (1599, None),
        (1600, None),
        (1700, None),
        (1800, True),
        (2399, None),
        (2400, None),
    ]:
        clock[0] = float(now)
        sweep_run.log_progress(store, run_id, study, figures=choice)
    clock[0] = 9000.0
    sweep_run.log_progress(store, run_id, study, figures=False)
    assert drawn == [1600, 1800, 2400]


def test_figures_that_fail_do_not_end_a_sweep(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from brain_tumor.tracking.sweep_run import log_progress

    def full(*arguments: object) -> list[str]:
        raise OSError("No space left\non device")

    monkeypatch.setattr("brain_tumor.sweep.figures.write_figures", full)
    study = mixed()
    log_progress(store, opened(store, study), study, figures=True)
    assert capsys.readouterr().err == "could not draw study demo: OSError: No space left on device\n"


def test_the_figures_lie_beside_the_table(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import log_progress

    study = many(12)
    run_id = opened(store, study)
    log_progress(store, run_id, study, figures=True)
    names = {Path(item.path).name for item in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path="study")}
    assert {"trials.csv", "study.html", "best.png", "timeline.png"} <= names


def trained(store: Store, study: Study, score: float) -> str:
    """A trial's run, its model logged but not registered."""
    import keras
    import mlflow

    from brain_tumor.tracking import registry, runs

    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    tags = {"data_kind": "real", "data_digest": "d", "protocol": "official"}
    with runs.started(store, tags=tags, parent=study.user_attrs["parent_run"], system_metrics=False) as run_id:
        mlflow.log_text("monitor: val/macro_f1\n", "config/config.yaml")
        mlflow.log_metric("val/macro_f1", 0.1, step=1)
        mlflow.log_metric("val/macro_f1", score, step=2)
        registry.log_model(model, STANDARD, register=None, tags={})
    return run_id


def test_the_best_model_is_registered_once(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import register_best

    study = empty()
    parent = opened(store, study)
    scores = [0.7, 0.9, 0.8]
    children = [trained(store, study, score) for score in scores]
    study.add_trials([trial(i, values=[score], run_id=children[i]) for i, score in enumerate(scores)])
    uri, version, verdict = register_best(study, "m")
    assert (uri, version, verdict.detail) == ("models:/m/1", "1", "m version 1 (real) is now champion.")
    found = mlflow.MlflowClient(store.uri).get_model_version("m", "1")
    assert found.run_id == children[1]
    assert found.tags == {
        **{"data_kind": "real", "data_digest": "d", "protocol": "official", "monitor": "val/macro_f1", "score": "0.9"},
        **{"study": "demo", "trial": "1", "study_run": parent},
    }
    assert "not a medical device" in found.description
    assert mlflow.keras.load_model(uri).input_shape == (None, 4, 4, 3)
    assert register_best(study, "m")[2].verdict == "champion already"

    better = trained(store, study, 0.95)
    study.add_trial(trial(3, values=[0.95], run_id=better))
    _, version, verdict = register_best(study, "m")
    assert (version, verdict.verdict) == ("2", "now champion (real)")


def test_of_confirmed_trials_a_training_of_the_best_on_average_is_registered(store: Store, tmp_path: Path) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import log_progress, register_best

    study = empty()
    study.set_user_attr("fixed", {"seed": 0})
    study.set_user_attr("confirm", 2)
    parent = opened(store, study)
    lucky, steady = {RATE: 1e-3, UNFREEZE: "all"}, {RATE: 1e-2, UNFREEZE: "all"}
    study.add_trials([trial(0, values=[0.9], params=lucky, run_id="r0"), trial(1, values=[0.8], params=steady)])
    again = empty(storage=study._storage, name="demo-confirm")
    again.set_user_attr("ready", True)
    runs = []
    for index, (point, seed, value) in enumerate(
        [(lucky, 1, 0.5), (lucky, 2, 0.6), (steady, 1, 0.7), (steady, 2, 0.75)]
    ):
        runs.append(trained(store, study, value))
        made = trial(index, values=[value], params=point, run_id=runs[-1])
        made.params, made.distributions = (
            {**made.params, "seed": seed},
            {**made.distributions, "seed": IntDistribution(1, 2)},
        )
        made.system_attrs = {"fixed_params": made.params}
        again.add_trial(made)
    _, version, _ = register_best(study, "confirmed")
    tags = mlflow.MlflowClient().get_model_version("confirmed", version).tags
    assert {"study": "demo", "trial": "1", "score": "0.75"}.items() <= tags.items()
    assert mlflow.MlflowClient().get_model_version("confirmed", version).run_id == runs[3]
    log_progress(store, parent, study, figures=False)
    run = mlflow.get_run(parent)
    assert run.data.metrics["best/val/macro_f1"] == 0.9
    assert run.data.metrics["val/macro_f1"] == pytest.approx(0.725)  # of seeds 1 and 2
    assert run.data.tags["best.trial"] == "1"
    assert float(run.data.tags["best.confirmed"]) == pytest.approx(0.725)
    table = pd.read_csv(artifact(parent, "study/confirmation.csv", tmp_path))
    assert list(zip(table["seed"], table["val/macro_f1"], strict=True)) == [(1, 0.5), (2, 0.6), (1, 0.7), (2, 0.75)]


def test_of_several_objectives_the_first_decides(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import register_best

    study = empty(directions=("maximize", "minimize"))
    opened(store, study)
    children = [trained(store, study, 0.5), trained(store, study, 0.9)]
    study.add_trials([trial(0, values=[0.5, 1], run_id=children[0]), trial(1, values=[0.9, 9], run_id=children[1])])
    _, version, _ = register_best(study, "several")
    assert mlflow.MlflowClient(store.uri).get_model_version("several", version).run_id == children[1]


def test_what_cannot_be_registered_is_one_line(store: Store) -> None:
    import mlflow

    from brain_tumor.tracking.sweep_run import register_best

    study = empty()
    study.add_trial(trial(0, TrialState.FAIL, reason="r"))
    with pytest.raises(InputError, match="no complete trial"):
        register_best(study, "m")
    study.add_trial(trial(1, values=[0.5], run_id="0" * 32))
    with pytest.raises(InputError, match="the best trial, 1, has no run 000"):
        register_best(study, "m")
    bare = mlflow.MlflowClient(store.uri).create_run(store.experiment_id).info.run_id
    study.add_trial(trial(2, values=[0.6], run_id=bare))
    with pytest.raises(InputError, match="logged no model in its run"):
        register_best(study, "m")
