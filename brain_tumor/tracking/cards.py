"""A model's card as artifacts of its run: gathered from the store alone, so that it can be made again at any time."""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TypeVar

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from brain_tumor import NOTICE
from brain_tumor.card.build import build, card_summary
from brain_tumor.card.facts import Facts, Logged
from brain_tumor.errors import InputError
from brain_tumor.evaluation.external_site import UNKNOWN
from brain_tumor.layout import html, markdown
from brain_tumor.layout.blocks import Finding, plainly
from brain_tumor.tracking.logged_uncertainty import load_uncertainty
from brain_tumor.tracking.predictions import FLATTERING, WORDS
from brain_tumor.tracking.runs import artifact_place, download, load_config, load_split

T = TypeVar("T")

FOLDER = "card"  # of the artifacts
MARKDOWN, PAGE = "model_card.md", "model_card.html"
DESCRIPTION_LIMIT = 5000  # characters of a model version's description that any MLflow server takes
TABLES = (
    *("metrics", "predictions", "calibration", "conformal", "maps", "removal", "lesions", "map_sanity"),
    *("robustness", "robustness_means"),
)
PARTS = ("val", "test", "unseen")
EVALUATIONS = 50  # that a card is made of at most, the newest


def write_card(run_id: str) -> str:
    """Write the card of a training run to its artifacts, and a short one to every version that its model has.

    Returns where the page is: its path, or its address where the artifacts are on a server. A description that
    somebody else has written stays.
    """
    facts = gather(run_id)
    card = build(facts)
    client = mlflow.MlflowClient()
    client.log_text(run_id, markdown.render(card), f"{FOLDER}/{MARKDOWN}")
    client.log_text(run_id, html.render(card), f"{FOLDER}/{PAGE}")
    for version in client.search_model_versions(f"run_id='{run_id}'"):
        where = f"artifact {FOLDER}/{MARKDOWN} of the run"
        if _ours(version.description, where):
            said = card_summary(facts, where, DESCRIPTION_LIMIT)
            client.update_model_version(version.name, version.version, description=said)
    return artifact_place(run_id, f"{FOLDER}/{PAGE}")


def publish_card(run_id: str) -> Finding:
    """Write the card of a finished training, and say where it is.

    What goes wrong is that finding, a line on stderr and the tag `card_failed`: no card is worth a trained model.
    """
    try:
        found = Finding("", f"Model card: {write_card(run_id)}")
        if "card_failed" in mlflow.get_run(run_id).data.tags:
            mlflow.MlflowClient().delete_tag(run_id, "card_failed")
    except Exception as error:  # each store raises its own, and a run may hold what no card has met yet
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"the model card of run {run_id} could not be written: {reason}", file=sys.stderr)
        found = plainly(f"The model card was NOT written ({reason}); the run is whole, and evaluate tries again.")
        with suppress(Exception):  # a store that is gone has been said already
            mlflow.MlflowClient().set_tag(run_id, "card_failed", reason)
    return found


def load_card(run_id: str) -> str | None:
    """The card of a training run as Markdown; None of a run that has none.

    Raises InputError if it is there and cannot be read.
    """
    if f"{FOLDER}/{MARKDOWN}" not in _artifacts(run_id, FOLDER):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return Path(download(run_id, f"{FOLDER}/{MARKDOWN}", folder)).read_text(encoding="utf-8")


def card_of(run_id: str) -> str:
    """The card of a training run as Markdown; of a run from before there were cards, one made now and not kept."""
    return load_card(run_id) or markdown.render(build(gather(run_id)))


def gather(run_id: str) -> Facts:
    """Everything that the store holds of a training run and of its evaluations.

    What is missing or cannot be read is left out; the facts say so. Raises MlflowException if there is no such run.
    """
    run = mlflow.get_run(run_id)
    unread: list[str] = []
    requirements = _text(run, "environment/requirements.txt", unread)
    packages = dict(line.split("==", 1) for line in (requirements or "").splitlines() if "==" in line)
    split = _read(lambda: load_split(run_id), unread)
    uncertainty = _read(lambda: load_uncertainty(run_id), unread)
    monitor = run.data.tags.get("monitor", "")
    return Facts(
        run=_logged(run, unread),
        classes=split.classes.names if split else uncertainty.classes if uncertainty else (),
        params=dict(run.data.params),
        config=_read(lambda: load_config(run_id), unread),
        split=split,
        uncertainty=uncertainty,
        packages=packages,
        python=_python(run),
        epochs=_epochs(run_id, monitor),
        versions=_versions(run_id),
        evaluations=tuple(_logged(each, unread) for each in _evaluations(run_id)),
        unread=tuple(unread),
    )


def _logged(run: Run, unread: list[str]) -> Logged:
    """What a card reads of one run."""
    run_id, tags = run.info.run_id, dict(run.data.tags)
    wanted = {f"tables/{name}.csv" for name in ("patients", *(f"{part}_{table}" for part in PARTS for table in TABLES))}
    found = sorted(wanted & set(_artifacts(run_id, "tables")))
    texts = {path: _text(run, path, unread) for path in found}
    if not found and any(name.endswith("/accuracy") for name in run.data.metrics):
        unread.append(f"Run {run_id} has scores, but its tables are not in its artifact folder: was it moved?")
    unsure = {"test": UNKNOWN} if tags.get("contaminated") == "unknown" else {}
    marks = {
        part: ", ".join(word for tag, word in FLATTERING.get(part, {}).items() if tags.get(tag) == "true")
        for part in PARTS
    }
    return Logged(
        run_id=run_id,
        name=str(run.info.run_name),
        date=datetime.fromtimestamp(run.info.start_time / 1000, UTC).date().isoformat(),
        tags=tags,
        metrics=dict(run.data.metrics),
        tables={Path(path).stem: _table(text) for path, text in texts.items() if text},
        marks={**marks, **{part: mark for part, mark in unsure.items() if not marks[part]}},
    )


def _table(text: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(text), keep_default_na=False, na_values=[""], dtype=WORDS)


def _evaluations(run_id: str) -> list[Run]:
    """The finished evaluations of the run's model, in whatever experiment, the newest first."""
    client = mlflow.MlflowClient()
    query = f"tags.trained_by = '{run_id}' and tags.job = 'evaluate' and attributes.status = 'FINISHED'"
    experiments = [each.experiment_id for each in client.search_experiments()]
    order = ["attributes.start_time DESC"]
    return list(client.search_runs(experiments, query, max_results=EVALUATIONS, order_by=order))


def _epochs(run_id: str, monitor: str) -> tuple[tuple[int, float], ...]:
    """Step and value of every epoch's `monitor`; the value of the end, one step later, belongs to no epoch."""
    client = mlflow.MlflowClient()
    steps = {point.step for point in client.get_metric_history(run_id, "train/loss")}
    history = client.get_metric_history(run_id, monitor) if monitor else []
    return tuple(sorted({(point.step, float(point.value)) for point in history if point.step in steps}))


def _versions(run_id: str) -> tuple[str, ...]:
    found = mlflow.MlflowClient().search_model_versions(f"run_id='{run_id}'")
    named = sorted((each.name, int(each.version)) for each in found)
    return tuple(f"{name} version {version}" for name, version in named)


def _python(run: Run) -> str | None:
    """The version of Python that logged the model; None where it has logged none, or that does not say."""
    models = run.outputs.model_outputs if run.outputs else []
    if not models:
        return None
    try:
        flavors = mlflow.models.get_model_info(f"models:/{models[-1].model_id}").flavors
    except (MlflowException, OSError):
        return None
    version = flavors.get("python_function", {}).get("python_version")
    return None if version is None else str(version)


def _read(read: Callable[[], T], unread: list[str]) -> T | None:
    """What `read` gives; None, with the reason among the `unread`, where that cannot be had."""
    try:
        return read()
    except InputError as error:
        unread.append(f"Open: {error}")
        return None


def _text(run: Run, path: str, unread: list[str]) -> str | None:
    def read() -> str:
        with tempfile.TemporaryDirectory() as folder:
            return Path(download(run.info.run_id, path, folder)).read_text(encoding="utf-8")

    return _read(read, unread)


def _artifacts(run_id: str, folder: str) -> list[str]:
    return [file.path for file in mlflow.MlflowClient().list_artifacts(run_id, folder)]


def _ours(description: str | None, where: str) -> bool:
    """Whether a version's description was written here, or by nobody."""
    text = (description or "").strip()
    return text in ("", NOTICE) or (text.startswith(NOTICE) and text.endswith(markdown.escape(where)))
