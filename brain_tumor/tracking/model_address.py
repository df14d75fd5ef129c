"""Which model an address means, and whether all that made it can be had: known before anything is loaded."""

from contextlib import suppress
from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from brain_tumor.config.train import ADOPTED, AND
from brain_tumor.data.classes import ClassList, read_classes
from brain_tumor.errors import InputError
from brain_tumor.models.backbones import BACKBONES
from brain_tumor.tracking.moved_store import local
from brain_tumor.tracking.runs import load_config
from brain_tumor.tracking.store import current

FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID/model"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # of no such name, version, alias


@dataclass(frozen=True)
class Found:
    """A model of the store that is open."""

    uri: str  # of a version, where it is registered, and not of an alias
    run_id: str  # that trained it
    classes: ClassList
    name: str | None = None
    version: str | None = None
    keras: bool = True  # False: an adopted model of ONNX

    @property
    def adopted(self) -> bool:
        """Whether it was trained elsewhere."""
        return bool(load_config(self.run_id)["model"]["name"] == ADOPTED)

    @property
    def draws_lesion_map(self) -> bool:
        """Whether it reads its answer from a lesion map; heads had no name when the first runs were logged."""
        return bool(load_config(self.run_id)["model"].get("head") == "evidence")

    @property
    def whole(self) -> bool:
        """Whether it takes whole volumes."""
        return self.volume_shape is not None

    @property
    def volume_shape(self) -> tuple[int, ...] | None:
        """Voxels of the whole volumes that it takes; None of slices."""
        given = load_config(self.run_id)["data"].get("volume_shape")
        return None if given is None else tuple(given)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The distances of the voxels that it takes (mm), where they are the same for all heads."""
        given = load_config(self.run_id)["data"].get("spacing")
        return None if given is None else tuple(given)

    @property
    def attends(self) -> bool:
        """Whether it is one transformer; an adopted model may be one, which shows when it is loaded."""
        name = load_config(self.run_id)["model"]["name"]
        return BACKBONES[name].attends if name in BACKBONES else not self.averages

    @property
    def averages(self) -> bool:
        """Whether it is an ensemble."""
        return AND in load_config(self.run_id)["model"]["name"]


def find(uri: str, key: str = "model_uri") -> Found:
    """The model that `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/RUN_ID/model` means today.

    Raises InputError, which names the URI by the setting `key`, if there is no such model, it was not logged by this
    package, or its files or its run's cannot be read.
    """
    said = f"{key}={uri} cannot be loaded from {current()}"
    try:
        name, version = _resolve(uri)
        exact = f"models:/{name}/{version}" if name else uri
        info = mlflow.models.get_model_info(exact)
    except LookupError as error:
        raise InputError(f"{said}: {error.args[0]}; tracking.uri names another store") from error
    except Exception as error:  # MLflow's and the artifact store's own
        reason = _lost(uri) or " ".join(str(error).split())[:200]
        raise InputError(f"{said}: {reason} (expected {FORMS}; tracking.uri names another store)") from error
    if not info.run_id:
        raise InputError(f"{key}={uri} belongs to no run, so its split is unknown: train it with brain_tumor.train")
    try:
        mlflow.get_run(info.run_id)
    except MlflowException as error:
        raise InputError(
            f"{said}: the run that trained it, {info.run_id}, is gone for good, with its configuration and split"
        ) from error
    load_config(info.run_id)
    return Found(exact, info.run_id, read_classes(info.metadata), name, version, "keras" in info.flavors)


def _lost(uri: str) -> str:
    """Where the files of a registered model are looked for, if they are not there; nothing of another."""
    with suppress(MlflowException, LookupError):
        name, version = _resolve(uri)
        place = local(mlflow.MlflowClient().get_model_version_download_uri(name, version)) if name else None
        if place is not None and not (place / "MLmodel").exists():
            return (
                f"its files are looked for in {place}, and are not there: deleted, or moved (tracking.artifacts=DIR)?"
            )
    return ""


def trained_by(uri: str) -> str:
    """Id of the run that logged the model `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises InputError if there is no such model.
    """
    try:
        name, version = _resolve(uri)
    except LookupError as error:
        raise InputError(f"{uri}: there is no such model in {current()}: {error.args[0]}") from error
    found = mlflow.MlflowClient().get_model_version(name, version) if name else None
    if found is None or not found.run_id:
        raise InputError(f"{uri} names no model of a run: give models:/NAME@ALIAS or models:/NAME/VERSION")
    return str(found.run_id)


def _resolve(uri: str) -> tuple[str | None, str | None]:
    """Name and version that a registry URI means today, so that the log says which version was meant.

    Nothing of another URI. Raises LookupError, with what there is instead, where the registry has no such model.
    """
    rest = uri.removeprefix("models:/")
    if rest == uri or not set(rest) & set("/@"):  # models:/m-… is a model of a run, whether registered or not
        return None, None
    name, sign, end = rest.rpartition("@" if "@" in rest else "/")
    client = mlflow.MlflowClient()
    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        known = [each.name for each in client.search_registered_models(max_results=20)]
        raise LookupError(f"it has no model {name!r}{_but(known)}") from error
    if sign == "@":
        if end not in model.aliases:
            raise LookupError(f"{name} has no alias {end!r}{_but(sorted(model.aliases) or _versions(name))}")
        return name, str(model.aliases[end])
    if end == "latest" and (versions := _versions(name)):
        return name, versions[-1]
    try:
        return name, str(client.get_model_version(name, end).version)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        raise LookupError(f"{name} has no version {end!r}{_but(_versions(name))}") from error


def _versions(name: str) -> list[str]:
    found = mlflow.MlflowClient().search_model_versions(f"name='{name}'")
    return sorted((str(each.version) for each in found), key=int)


def _but(known: list[str]) -> str:
    return f"; there is {', '.join(known)}" if known else ", and no other"
