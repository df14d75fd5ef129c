"""Registered models: saving, the champion, and loading one with all that made it."""

import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib.metadata import version as installed
from io import StringIO
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from brain_tumor import NOTICE
from brain_tumor.command_line import python
from brain_tumor.config.train import LOWER_IS_BETTER
from brain_tumor.data.classes import STANDARD, ClassList, read_classes
from brain_tumor.errors import InputError
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.layout.blocks import Finding
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.tracking import served
from brain_tumor.tracking.logged_uncertainty import load_uncertainty
from brain_tumor.tracking.runs import load_config, load_split
from brain_tumor.tracking.store import current

CHAMPION = "champion"


def log_model(
    model: Any,
    classes: ClassList,
    uncertainty: Uncertainty | None = None,
    *,
    register: str | None,
    tags: Mapping[str, str],
) -> tuple[str, str | None]:
    """Save a Keras model, ready to serve, in the current run and register it under `register`.

    Returns its URI and its version. `classes`, which MLflow shows as its metadata, travel inside it, and so does
    `uncertainty`; a sweep's trial has none. A run that was resumed after its model had been registered keeps that
    version.
    """
    run = mlflow.active_run()
    known = registered_from(run.info.run_id, register) if register is not None and run is not None else None
    if known is not None:
        return f"models:/{register}/{known}", known
    # Requirements are given because inferring them takes seconds; an input example crashes keras models (mlflow 16183).
    requirements = [f"{name}=={installed(name)}" for name in ("tensorflow", "keras", "numpy")]
    info = Model.log(
        None,
        served,
        name="model",
        flavor_name="keras",
        metadata=classes.plain(),
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
    leaks = _leaks(champion), _leaks(challenger)
    if leaks == (True, False):
        return None
    if leaks == (False, True):
        return "its split does not leak, and this one's does"
    for tag in ("protocol", "data_digest", "monitor"):
        if champion.get(tag) != challenger.get(tag):
            return f"the two are not comparable (another {tag.replace('_', ' ')})"
    if "score" not in champion:
        return "the champion was not trained by this package and has no score to compare"
    old, new = float(champion["score"]), float(challenger["score"])
    monitor = challenger["monitor"]
    better = new < old if monitor in LOWER_IS_BETTER else new > old
    return None if better else f"its {monitor} is {old:.4f}, this one's {new:.4f}"


def _leaks(tags: Mapping[str, str]) -> bool:
    return "true" in (tags.get("leaking"), tags.get("leaking_val"))


def _kind(tags: Mapping[str, str]) -> str:
    return f"{tags.get('data_kind')}, LEAKS" if _leaks(tags) else str(tags.get("data_kind"))


def load_model(uri: str, key: str = "model_uri") -> RegisteredModel:
    """Load a model and what made it by `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/RUN_ID/model`.

    Raises InputError, which names the URI by the setting `key`, if there is no such model, or it was not logged by this
    package.
    """
    try:
        name, version = _resolve(uri)
        exact = _exact(name, version, uri)
        info = mlflow.models.get_model_info(exact)
        model = mlflow.keras.load_model(exact, load_model_kwargs={"compile": False, "safe_mode": True})
    except Exception as error:  # MLflow's, the file system's, Keras' and h5py's
        raise _unloadable(uri, key, error) from error
    if not info.run_id:
        raise InputError(f"{key}={uri} belongs to no run, so its split is unknown: train it with brain_tumor.train")
    made_by = load_config(info.run_id), load_split(info.run_id), load_uncertainty(info.run_id)
    return RegisteredModel(model, exact, info.run_id, name, version, *made_by)


def classes_of(uri: str, key: str = "model_uri") -> ClassList:
    """The classes of a model, before anything of it is loaded.

    Raises InputError, which names the URI by the setting `key`, if there is no such model.
    """
    try:
        return read_classes(mlflow.models.get_model_info(_exact(*_resolve(uri), uri)).metadata)
    except Exception as error:  # MLflow's and the file system's
        raise _unloadable(uri, key, error) from error


def trained_by(uri: str) -> str:
    """Id of the run that logged the model `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises InputError if there is no such model.
    """
    try:
        name, version = _resolve(uri)
        found = mlflow.MlflowClient().get_model_version(name, version) if name and version else None
    except MlflowException as error:
        raise InputError(f"{uri}: there is no such model in {current()}") from error
    if found is None or not found.run_id:
        raise InputError(f"{uri} names no model of a run: give models:/NAME@ALIAS or models:/NAME/VERSION")
    return str(found.run_id)


def _unloadable(uri: str, key: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(
        f"{key}={uri} cannot be loaded from {current()}: {reason}"
        " (expected models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID/model;"
        " tracking.uri names another store)"
    )


def _exact(name: str | None, version: str | None, uri: str) -> str:
    return f"models:/{name}/{version}" if name else uri


def _resolve(uri: str) -> tuple[str | None, str | None]:
    """Name and version that a registry URI means today, so that the log says which version was meant."""
    rest = uri.removeprefix("models:/")
    logged = rest.startswith("m-") and not set(rest) & set("/@")  # a model of a run, whether registered or not
    if rest == uri or logged:
        return None, None
    if "@" in rest:
        name, alias = rest.rsplit("@", 1)
        return name, str(mlflow.MlflowClient().get_model_version_by_alias(name, alias).version)
    name, _, version = rest.rpartition("/")
    if name and version == "latest":
        found = mlflow.MlflowClient().search_model_versions(f"name='{name}'")
        version = max((str(each.version) for each in found), key=int, default=version)
    return name or None, version or None


def _champion(name: str) -> ModelVersion | None:
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # no such model, no such alias
            return None
        raise
