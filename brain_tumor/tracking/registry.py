"""Registered models: saving, the champion, and loading one with all that made it."""

import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib.metadata import version as installed
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from brain_tumor import NOTICE
from brain_tumor.command_line import python
from brain_tumor.config.train import LOWER_IS_BETTER
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.errors import InputError
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.layout.blocks import Finding
from brain_tumor.models.onnx_model import OnnxModel
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.tracking import served
from brain_tumor.tracking.logged_uncertainty import load_uncertainty
from brain_tumor.tracking.model_address import ABSENT, find
from brain_tumor.tracking.runs import load_config, load_split, own_tags_of
from brain_tumor.tracking.store import current

CHAMPION = "champion"
UNSCORED = {"adopt": "was trained elsewhere", "ensemble": "is the mean of several"}  # by the job that registered it


def log_model(
    model: Any,
    classes: ClassList,
    uncertainty: Uncertainty | None = None,
    *,
    register: str | None,
    tags: Mapping[str, str],
    fitting: Mapping[str, object] = MappingProxyType({}),
) -> tuple[str, str | None]:
    """Save a model, ready to serve, in the current run and register it under `register`.

    Returns its URI and its version. `classes`, which MLflow shows as its metadata, travel inside it, and so does
    `uncertainty`, which a sweep's trial has none of, and the `fitting` of whole volumes (`DataConfig.fitting`). A run
    that was resumed after its model had been registered keeps that version.
    """
    run = mlflow.active_run()
    known = registered_from(run.info.run_id, register) if register is not None and run is not None else None
    if known is not None:
        return f"models:/{register}/{known}", known
    # Requirements are given because inferring them takes seconds; an input example crashes keras models (mlflow 16183).
    runs = ("onnxruntime",) if isinstance(model, OnnxModel) else ()
    requirements = [f"{name}=={installed(name)}" for name in ("tensorflow", "keras", "numpy", *runs)]
    info = Model.log(
        None,
        served,
        name="model",
        flavor_name="keras",
        metadata=classes.plain() | dict(fitting),
        model=model,
        uncertainty=uncertainty,
        pip_requirements=requirements,
    )
    if register is None:
        return str(info.model_uri), None
    version = register_model(str(info.model_uri), register, tags)
    return f"models:/{register}/{version}", version


def register_model(uri: str, name: str, tags: Mapping[str, str]) -> str:
    """Make a logged model (`models:/m-…`) the next version under `name`, with these tags; returns that version."""
    client = mlflow.MlflowClient()
    with redirect_stderr(StringIO()):  # it would say so in lines of its own; what goes wrong is raised
        version = str(mlflow.register_model(uri, name, tags=dict(tags)).version)
    client.update_model_version(name, version, description=NOTICE)
    return version


def registered_from(run_id: str, name: str) -> str | None:
    """The version under `name` that a run's model has been registered as; None if it has not."""
    for known in mlflow.MlflowClient().search_model_versions(f"name='{name}' and run_id='{run_id}'"):
        return str(known.version)
    return None


def crown(name: str, version: str) -> Finding:
    """Move the alias `champion` to `version` if it is better, and say what was done and why.

    Better is: a better validation score on the same data and protocol, any real model against a synthetic one, or one
    whose split does not leak against one whose split does.
    """
    client = mlflow.MlflowClient()
    champion = _champion(name)
    challenger = client.get_model_version(name, version)
    kind = _kind(challenger.tags)
    if champion is not None and str(champion.version) == version:
        return Finding(f"{CHAMPION} already", f"{name} version {version} ({kind}) is {CHAMPION} already.")
    reason = refusal(dict(champion.tags), dict(challenger.tags)) if champion is not None else None
    if champion is not None and reason is not None:
        code = (
            f"import mlflow; mlflow.MlflowClient({current()!r}, {current()!r})"
            f".set_registered_model_alias({name!r}, {CHAMPION!r}, {version!r})"
        )
        said = f"version {champion.version} ({_kind(champion.tags)}) stays {CHAMPION}: {reason}"
        return Finding(said, f"{name} {said}. This moves it all the same:", f"{python()} -c {shlex.quote(code)}")
    client.set_registered_model_alias(name, CHAMPION, version)
    return Finding(f"now {CHAMPION} ({kind})", f"{name} version {version} ({kind}) is now {CHAMPION}.")


def succeed(name: str, version: str, before: str | None) -> Finding:
    """Move the alias `champion` to `version` if it stands at `before`, of the same network; otherwise `crown`."""
    champion = _champion(name)
    if champion is None or str(champion.version) != before:
        return crown(name, version)
    mlflow.MlflowClient().set_registered_model_alias(name, CHAMPION, version)
    said = f"now {CHAMPION}, as version {before} was"
    return Finding(said, f"{name} version {version} is {said}: the network is the same.")


def tags_of(uri: str, run_id: str) -> dict[str, str]:
    """The tags of a version `models:/NAME/VERSION`; of a model without one those of its run."""
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    if not uri.startswith("models:/") or not name:
        return own_tags_of(run_id)
    return dict(mlflow.MlflowClient().get_model_version(name, version).tags)


def champion_line(name: str) -> str:
    """Which version is champion, in a few words."""
    champion = _champion(name)
    return "none is champion" if champion is None else f"version {champion.version} is champion"


def refusal(champion: Mapping[str, str], challenger: Mapping[str, str]) -> str | None:
    """Why a challenger's tags do not beat a champion's; None if they do.

    Tags read: `data_kind` (real | synthetic), `leaking` and `leaking_val` (true | false, of the test and the val part),
    `classes`, `protocol`, `data_digest`, `monitor`, `score`.
    """
    kinds = champion.get("data_kind"), challenger.get("data_kind")
    if kinds == ("synthetic", "real"):
        return None
    if kinds == ("real", "synthetic"):
        return "it was trained on real data, this one on synthetic data"
    standard = ", ".join(STANDARD.names)  # of models that were logged before classes were data
    known = [set(tags.get("classes", standard).split(", ")) for tags in (champion, challenger)]
    if known[0] != known[1]:
        return f"it knows other classes ({champion.get('classes', standard)})"
    if challenger.get("job") in UNSCORED:
        return f"this one {UNSCORED[challenger['job']]}, and has no score to compare"
    leaks = _leaks(champion), _leaks(challenger)
    if leaks == (True, False):
        return None
    if leaks == (False, True):
        return "its split does not leak, and this one's does"
    for tag in ("protocol", "data_digest", "monitor"):
        if champion.get(tag) != challenger.get(tag):
            return f"the two are not comparable (another {tag.replace('_', ' ')})"
    if "score" not in champion:
        return "the champion was not trained as one network by this package and has no score to compare"
    old, new = float(champion["score"]), float(challenger["score"])
    monitor = challenger["monitor"]
    better = new < old if monitor in LOWER_IS_BETTER else new > old
    return None if better else f"its {monitor} is {old:.4f}, this one's {new:.4f}"


def _leaks(tags: Mapping[str, str]) -> bool:
    return "true" in (tags.get("leaking"), tags.get("leaking_val"))


def _kind(tags: Mapping[str, str]) -> str:
    return f"{tags.get('data_kind')}, LEAKS" if _leaks(tags) else str(tags.get("data_kind"))


def load_model(uri: str, key: str = "model_uri") -> RegisteredModel:
    """Load a model and what made it by an address that `model_address.find` understands, and raise what that raises.

    Raises InputError as well if the model's own file cannot be read.
    """
    found = find(uri, key)
    try:
        if found.keras:
            model = mlflow.keras.load_model(found.uri, load_model_kwargs={"compile": False, "safe_mode": True})
        else:
            model = served.load_onnx(Path(mlflow.artifacts.download_artifacts(found.uri)))
    except Exception as error:  # MLflow's, the file system's, Keras' and h5py's
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{key}={uri} cannot be loaded from {current()}: {reason}") from error
    made_by = load_config(found.run_id), load_split(found.run_id), load_uncertainty(found.run_id)
    return RegisteredModel(model, found.uri, found.run_id, found.name, found.version, *made_by)


def _champion(name: str) -> ModelVersion | None:
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise
