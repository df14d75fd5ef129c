"""Whether an answer for volumes can be fitted to a model of slices: known before anything is loaded or read."""

import pandas as pd

from brain_tumor.config.commands import PoolConfig
from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data.class_folders import site_folders
from brain_tumor.data.classes import ClassList
from brain_tumor.data.grouping import read_patients
from brain_tumor.data.image_table import patients_by_folder
from brain_tumor.errors import InputError
from brain_tumor.evaluation.uncertainty.pooling_choice import LEAST_PATIENTS
from brain_tumor.jobs.preflight import (
    check_healthy,
    check_name,
    check_source,
    check_store,
    check_trained_root,
    look_at,
)
from brain_tumor.lazy import lazy

logged_uncertainty = lazy("brain_tumor.tracking.logged_uncertainty")
model_address = lazy("brain_tumor.tracking.model_address")


def check_pool(config: PoolConfig) -> tuple[str, pd.DataFrame]:
    """Check the model, the name and the folders; returns the name to register the model under, and the volumes."""
    check_name(config.register, "register")
    _check_data(config.data)
    if config.trained_root is not None:
        check_trained_root(config.trained_root)
    check_store(config.tracking)
    found = model_address.find(config.model_uri)
    if found.whole:
        raise InputError(
            f"{found.uri} takes whole volumes and answers for them as it is: give a model of slices (data=folder)"
        )
    if logged_uncertainty.load_uncertainty(found.run_id) is None:
        raise InputError(
            f"{found.uri} has no decision, so it cannot tell which slices are brain MRI, as no trial of a sweep can: "
            "train it by itself (the sweep's last lines say how)"
        )
    name: str | None = config.register or found.name
    if name is None:
        raise InputError(f"model_uri={config.model_uri} is not registered: give the name for it, register=NAME")
    check_source(config.data, known=found.classes)
    images = list_volumes(config.data, found.classes)
    require_enough(images, found.classes)
    return name, images


def list_volumes(data: DataConfig, known: ClassList) -> pd.DataFrame:
    """Every volume of the source: columns `path` (below its root, with several roots `site/path`), `file`, `label`,
    `part`, `site`, and `group`, whose it is.

    Raises InputError where parts stand in it.
    """
    roots = site_folders(data.root)
    listed = look_at(tuple(roots.items()), data, known, readable=True)[0]
    if parts := sorted(set(listed["part"]) - {""}):
        raise InputError(
            f"data.root={data.root} holds parts ({', '.join(parts)}), and the volumes of one are to be fitted on: give "
            "its folder, data.root=DIR/val say"
        )
    files = [str(roots[site] / path) for site, path in zip(listed["site"], listed["path"], strict=True)]
    images = listed.assign(file=files, group=patients_by_folder(listed))
    if len(roots) > 1:
        images["path"] = images["site"] + "/" + images["path"]
    if data.patients is not None:
        named = read_patients(data.patients, images["path"])
        images["group"] = named.where(named != "", images["group"])
    return images


def require_enough(images: pd.DataFrame, classes: ClassList, left: str = "") -> None:
    """Raise InputError where a class of the model has too few patients; `left` says which volumes are not counted."""
    patients = images.groupby("label")["group"].nunique().reindex(list(classes.names), fill_value=0)
    few = [f"{name} {count}" for name, count in patients.items() if count < LEAST_PATIENTS]
    if few:
        raise InputError(
            f"volumes of {LEAST_PATIENTS} patients are needed of each class of the model, and there are fewer of some "
            f"({', '.join(few)}{left}): add volumes of these"
        )


def _check_data(data: DataConfig) -> None:
    if data.source is not Source.folder or data.volume_shape is None:
        raise InputError("volumes of known class are read from folders alone: data=volumes data.root=DIR")
    for key, value in (("masks", data.masks), ("relabel", data.relabel)):
        if value is not None:
            raise InputError(f"data.{key}={value} is not read by pool: leave it out")
    check_healthy(data)
