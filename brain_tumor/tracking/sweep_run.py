"""A study's own run, the parent of its trials' runs: what it shows while they go on, and what it ends with."""

import math
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from optuna.study import Study
from optuna.trial import FrozenTrial

from brain_tumor import NOTICE
from brain_tumor.command_line import command
from brain_tumor.errors import InputError
from brain_tumor.layout.blocks import Block, Finding
from brain_tumor.lazy import lazy
from brain_tumor.sweep import description
from brain_tumor.sweep.advice import ERROR, advise
from brain_tumor.sweep.confirmation import confirmation, confirming, to_register, winner
from brain_tumor.sweep.summary import Summary, chosen_trial, is_scored, metric_names, summarize, table
from brain_tumor.tracking import registry
from brain_tumor.tracking.headline import WHAT
from brain_tumor.tracking.runs import load_config, own_tags
from brain_tumor.tracking.store import Store, current
from brain_tumor.tracking.sweep_note import FOLDER
from brain_tumor.tracking.view import NOTE

drawing = lazy("brain_tumor.sweep.figures")  # plotting libraries, whose failure to import ends no sweep either

PARENT, FIGURES_AT = "parent_run", "figures_at"  # attributes of the study
FIGURES_EVERY = 600  # seconds between two drawings, whichever workers make them
PATIENCE = 30.0  # seconds that a worker waits for the one that made the study
SETTLE = 0.5  # seconds in which a worker that made a run at the same moment must have said so
TAG_LIMIT = 5000  # characters that any MLflow server takes


def open_parent(
    store: Store,
    study: Study,
    *,
    name: str,
    tags: Mapping[str, str],
    config_text: str,
    created: bool,
    patience: float = PATIENCE,
) -> str:
    """The study's run, made where there is none (any more), and running again; returns its id.

    The worker that `created` the study makes it; the others wait `patience` seconds for that, and make it themselves
    only then. Of runs that several made at once all but one are deleted.
    """
    client = mlflow.MlflowClient(store.uri)
    deadline = time.monotonic() + (0 if created else patience)
    while (known := _parent(study)) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    if known is None or not _exists(client, known):
        known = _make_parent(client, store, study, known, name, tags, config_text)
    client.update_run(known, "RUNNING")
    return known


def check_best(study: Study) -> None:
    """Raise InputError where the store does not have the best trial's run, whose model is registered in the end."""
    best = to_register(study)
    run_id = None if best is None else best.user_attrs.get("run_id")
    if best is None or run_id is None:
        return
    try:
        mlflow.get_run(str(run_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise InputError(
            f"study {study.study_name}: the run of its best trial, {run_id}, is not in {current()}, so that its model "
            "could not be registered in the end: name the store that has it (tracking.uri=…), or register none "
            "(tracking.register=null), or begin another study (sweep.study=NAME)"
        ) from error


def tell_of_namesakes(store: Store, study: Study) -> None:
    """Say that a study that has just been made has the name of one whose runs the store has."""
    client = mlflow.MlflowClient(store.uri)
    known = client.search_runs([store.experiment_id], "tags.job = 'sweep'", order_by=["attributes.start_time DESC"])
    earlier = [run.info.run_id for run in known if run.data.tags.get("study") == study.study_name]
    if earlier:
        print(
            f"study {study.study_name} begins anew: {current()} has an earlier one's run, {earlier[0]}, but its trials "
            "are not in this storage (was optuna.db deleted, or was there another sweep.storage=…?)",
            file=sys.stderr,
        )


def log_progress(store: Store, run_id: str, study: Study, *, figures: bool | None = None) -> list[Block]:
    """Bring the study's run up to date: `study/trials.csv`, metrics at the number of finished trials, the best as tags.

    Metrics: `best/METRIC`, `trials/STATE` and `cost/trials_seconds`, and METRIC of the best trial. Tags: what that
    trial is (`model`, `schedule` …); of one objective `best.trial`, `best.run_id`, `best.value` and `best.KEY` for each
    parameter; of several `front.trials` and `front.run_ids`. Where the best trials were trained again with other seeds
    (`study/confirmation.csv`), the best one is the best on average, and METRIC its mean over these, also the tag
    `best.confirmed`.
    Figures (True: draw them, False: do not) are drawn every ten minutes over all workers if None; whatever goes wrong
    with them is one line on stderr. Returns the advice that stands above them, which takes some seconds to find, and
    nothing without figures. Raises InputError where somebody has deleted the run meanwhile.
    """
    client = mlflow.MlflowClient(store.uri)
    if not _exists(client, run_id):
        raise InputError(
            f"study {study.study_name}: its run {run_id} was deleted meanwhile; no trial is lost: type the same "
            "command again, which makes another run and goes on"
        )
    found = summarize(study)
    client.log_text(run_id, table(study).to_csv(index=False, lineterminator="\n"), f"{FOLDER}/trials.csv")
    if (again := confirming(study)) is not None:
        client.log_text(run_id, table(again).to_csv(index=False, lineterminator="\n"), f"{FOLDER}/confirmation.csv")
    tags = _tags(found, study) | _what(client, study)
    client.log_batch(run_id, metrics=_metrics(found, study), tags=[RunTag(key, value) for key, value in tags.items()])
    for stale in client.get_run(run_id).data.tags:
        if stale.startswith(("best.", "front.")) and stale not in tags:
            with suppress(MlflowException):  # another worker has deleted it first
                client.delete_tag(run_id, stale)
    client.update_run(run_id, "RUNNING")  # another worker may have closed it
    _note_error(study)
    if figures or (figures is None and _figures_due(study)):
        return _log_figures(client, run_id, study)
    return []


def close_parent(run_id: str, status: str) -> None:
    """End the study's run: FINISHED, KILLED (Ctrl-C) or FAILED; one that was deleted has ended."""
    client = mlflow.MlflowClient()
    if _exists(client, run_id):
        client.set_terminated(run_id, status)


def register_best(study: Study, name: str) -> tuple[str, str, Finding]:
    """Register the best trial's model under `name`, crown it if it is better than the champion.

    Of several objectives it is the front's best in the first one, of trials that were trained again with other seeds
    the best on average, with one of these. A model that has been registered already keeps its version. Returns its URI,
    its version, and what `registry.crown` says. Raises InputError if no trial is complete, or the best one has logged
    no model.
    """
    best, trained = winner(study), to_register(study)
    if best is None or trained is None:
        raise InputError(f"study {study.study_name} has no complete trial, so there is no model to register")
    run_id = str(trained.user_attrs.get("run_id"))
    version = registry.registered_from(run_id, name)
    if version is None:
        uri, tags = _logged_model(study, best, run_id)
        version = registry.register_model(uri, name, tags)
    return f"models:/{name}/{version}", version, registry.crown(name, version)


def _logged_model(study: Study, trial: FrozenTrial, run_id: str) -> tuple[str, dict[str, str]]:
    """The address of the model that a trial's run has logged, and its tags in the registry."""
    what = f"study {study.study_name}: the best trial, {trial.number},"
    try:
        run = mlflow.get_run(run_id)
    except MlflowException as error:
        raise InputError(f"{what} has no run {run_id} in {current()}") from error
    models = run.outputs.model_outputs if run.outputs else []
    if not models:
        raise InputError(f"{what} has logged no model in its run {run_id}")
    tags = own_tags(run)
    monitor = tags.get("monitor") or str(load_config(run_id)["monitor"])
    # The run's last value of it is that of the kept epoch.
    score = tags.get("score") or repr(run.data.metrics[monitor])
    tags |= {"monitor": monitor, "score": score, "study": study.study_name, "trial": str(trial.number)}
    return f"models:/{models[-1].model_id}", tags | {"study_run": _parent(study) or ""}


def _parent(study: Study) -> str | None:
    found = study.user_attrs.get(PARENT)
    return None if found is None else str(found)


def _exists(client: mlflow.MlflowClient, run_id: str) -> bool:
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _make_parent(
    client: mlflow.MlflowClient,
    store: Store,
    study: Study,
    gone: str | None,
    name: str,
    tags: Mapping[str, str],
    config_text: str,
) -> str:
    """A new run in place of `gone`, unless another worker has made one meanwhile."""
    note = f"Study {study.study_name}: every trial is a run below this one. {NOTICE}"
    own = {"job": "sweep", "study": study.study_name, NOTE: note, **tags}
    run_id = str(client.create_run(store.experiment_id, run_name=name, tags=own).info.run_id)
    client.log_text(run_id, config_text, "config/config.yaml")
    if _parent(study) == gone:
        study.set_user_attr(PARENT, run_id)
        time.sleep(SETTLE)
    agreed = _parent(study)
    assert agreed is not None
    if agreed != run_id:
        client.delete_run(run_id)
    return agreed


def _metrics(found: Summary, study: Study) -> list[Metric]:
    counts = found.counts
    values = {
        **{f"trials/{state}": count for state, count in vars(counts).items()},
        "trials/finished": counts.finished,
        "cost/trials_seconds": found.seconds,
    }
    scored = [trial.values for trial in study.get_trials(deepcopy=False) if is_scored(trial)]
    for name, direction, column in zip(found.metrics, found.directions, zip(*scored, strict=True), strict=False):
        values[f"best/{name}"] = max(column) if direction == "maximize" else min(column)
    now = int(time.time() * 1000)
    logged = [Metric(name, float(value), now, counts.finished) for name, value in values.items()]
    # Under the objective's own name, too, for the page that lists runs; at one step, since it is no curve of epochs.
    best, confirmed = winner(study), confirmation(study)
    scores = [] if best is None else best.values if confirmed is None else [confirmed.winner.confirmed]
    own = zip(found.metrics, scores, strict=False)
    return [*(Metric(name, float(value), now, 0) for name, value in own), *logged]


def _tags(found: Summary, study: Study) -> dict[str, str]:
    best, confirmed = winner(study), confirmation(study)
    if best is None:
        return {}
    if len(found.metrics) > 1:
        runs = [str(trial.user_attrs.get("run_id", "")) for trial in found.best]
        numbers = ", ".join(str(trial.number) for trial in found.best)
        return {"front.trials": numbers[:TAG_LIMIT], "front.run_ids": ", ".join(runs)[:TAG_LIMIT]}
    named = {"trial": best.number, "run_id": best.user_attrs.get("run_id", ""), "value": best.values[0]}
    named |= {} if confirmed is None else {"confirmed": confirmed.winner.confirmed}
    named |= best.params
    # A key as Hydra takes it (group@package) may hold what MLflow does not.
    return {f"best.{re.sub(r'[^-_./: a-zA-Z0-9]', '_', key)}": str(value)[:TAG_LIMIT] for key, value in named.items()}


def _what(client: mlflow.MlflowClient, study: Study) -> dict[str, str]:
    """The model, schedule, protocol and data of the trial that is best so far, which a sweep may search."""
    best = winner(study)
    try:
        known = {} if best is None else client.get_run(str(best.user_attrs.get("run_id"))).data.tags
    except MlflowException:  # a user has deleted the run for good
        known = {}
    return {name: known[name] for name in WHAT if name in known}


def _figures_due(study: Study) -> bool:
    """Whether it is this worker's turn to draw; the clock starts when it is first asked."""
    last, now = study.user_attrs.get(FIGURES_AT), time.time()
    if last is not None and now - float(last) < FIGURES_EVERY:
        return False
    study.set_user_attr(FIGURES_AT, now)
    return last is not None


def _log_figures(client: mlflow.MlflowClient, run_id: str, study: Study) -> list[Block]:
    blocks: list[Block] = []
    try:
        study.set_user_attr(FIGURES_AT, time.time())
        found, given = summarize(study), advise(study)
        blocks += description.advice(given, found, command("train"))
        opening, mattered = [*description.view(found), *blocks], given.found if given else {}
        with tempfile.TemporaryDirectory() as folder:
            if drawing.write_figures(study, Path(folder), opening, mattered):
                client.log_artifacts(run_id, folder, FOLDER)
    except Exception as error:  # neither a plotting library nor an artifact store may end a sweep
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        print(f"could not draw study {study.study_name}: {reason}", file=sys.stderr)
    return blocks


def _note_error(study: Study) -> None:
    """Keep in the study the standard error of its best trial's value: of the 95 % interval that its run has of it."""
    best = chosen_trial(study)
    if best is None or len(study.directions) > 1 or (study.user_attrs.get(ERROR) or [None])[0] == best.number:
        return
    [metric] = metric_names(study)
    name = {"val/loss": "log_loss"}.get(metric, metric.removeprefix("val/"))
    try:
        place = mlflow.get_run(str(best.user_attrs.get("run_id"))).info.artifact_uri
        scores = pd.read_csv(StringIO(mlflow.artifacts.load_text(f"{place}/tables/val_metrics.csv")))
        low, high = scores.set_index("metric").loc[[name], ["low", "high"]].to_numpy(dtype=float)[0]
    except (MlflowException, OSError, KeyError):  # of a cost there is none, and a user may have deleted the run
        return
    error = float(high - low) / (2 * 1.96)
    if math.isfinite(error):
        study.set_user_attr(ERROR, [best.number, error])
