"""The teacher of a training (`distill.teacher`): who it is, what it must not have seen, and how it is loaded."""

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import DataConfig, TrainConfig
from brain_tumor.data.classes import ClassList
from brain_tumor.data.protocol import KNOWN
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy

if TYPE_CHECKING:
    from brain_tumor.data.dataset import Dataset

# For commands that have no teacher, and for checks before TensorFlow is imported.
contamination = lazy("brain_tumor.data.contamination")
distillation = lazy("brain_tumor.training.distillation")
lineage = lazy("brain_tumor.tracking.lineage")
model_address = lazy("brain_tumor.tracking.model_address")
registry = lazy("brain_tumor.tracking.registry")
runs = lazy("brain_tumor.tracking.runs")

KEY = "distill.teacher"
# Part of the student -> the teacher's parts in which none of its images may be. As the student itself has seen its val
# part when its test part is measured, and not when its val part is (see KNOWN), so may a teacher of the same division.
SEEN = {**KNOWN, "calibration": ("train", "val")}


def with_teacher(composed: Composition, classes: ClassList | None = None) -> Composition:
    """The composition with its teacher by the version that is meant today: an alias may mean another one tomorrow.

    The store is open. Raises InputError as `find_teacher`.
    """
    uri = find_teacher(composed.config, classes)
    if uri is None:
        return composed
    distill = replace(composed.config.distill, teacher=uri)
    values = {**composed.values, "distill": asdict(distill)}
    return replace(composed, config=replace(composed.config, distill=distill), values=values)


def find_teacher(config: TrainConfig, classes: ClassList | None = None) -> str | None:
    """The teacher's address by its version; InputError if it is not in the open store, or knows other classes."""
    if config.distill.teacher is None:
        return None
    found = model_address.find(config.distill.teacher, KEY)
    if not found.keras:
        raise InputError(f"{KEY}={config.distill.teacher} is a model of ONNX, and a teacher one of Keras: give another")
    if (found.volume_shape, found.spacing) != (config.data.volume_shape, config.data.spacing):
        shape = "slices" if found.volume_shape is None else f"volumes of data.volume_shape={list(found.volume_shape)}"
        apart = "" if found.spacing is None else f" and data.spacing={list(found.spacing)}"
        raise InputError(f"{KEY}={config.distill.teacher} takes {shape}{apart}, and the student does not: give another")
    if classes is not None:
        _require_classes(config.distill.teacher, found.classes, classes)
    return str(found.uri)


def _require_classes(teacher: str, its: ClassList, classes: ClassList) -> None:
    if set(its.names) != set(classes.names):
        raise InputError(
            f"{KEY}={teacher} knows {', '.join(its.names)}, and the images are of {', '.join(classes.names)}: give a "
            "teacher of the same classes"
        )


def require_stranger(config: TrainConfig, dataset: "Dataset") -> None:
    """Raise InputError where the teacher, or a teacher of its own, has seen what the student is measured on.

    That is an image, a twin or the patient of one, in the parts that SEEN names. What stands in the student's own
    training as well (protocol=official) is known as a leak already, whoever teaches.
    """
    uri = config.distill.teacher
    if uri is None:
        return
    table = dataset.split.table
    own = {f"protocol.{key}": getattr(config.protocol, key) for key in ("fold", "site")}
    member = "".join(f"{key}={value}: " for key, value in own.items() if value is not None)
    for trained_on in _splits_seen(model_address.find(uri, KEY).run_id):
        for part, parts in SEEN.items():
            leaking = table["group"].isin(set(table.loc[table["part"].isin(SEEN[part]), "group"]))
            rows = ((table["part"] == part) & ~leaking).to_numpy()
            seen = rows & _seen(dataset.split, trained_on, parts, config.data, f"{member}{KEY}={uri}")
            if seen.any():
                raise InputError(
                    f"{member}{KEY}={uri} has seen {int(seen.sum())} of the {int(rows.sum())} {part} images, "
                    f"or a twin or the patient of them, in its {' or '.join(parts)} part: give one that was trained on "
                    "the same division (data.split_seed, protocol.fold), or on other images"
                )


def _splits_seen(run_id: str) -> list[Split]:
    """The splits by which a model's networks were trained, and those of its teachers.

    What is said with the answers of an ensemble is fitted on the calibration part of its members, as it may be.
    """
    return [runs.load_split(each) for each in (*lineage.networks(run_id), *lineage.teachers(run_id))]


def _seen(split: Split, trained_on: Split, parts: Collection[str], data: DataConfig, who: str) -> NDArray[np.bool_]:
    """Which images of `split` stand in these parts of another, as they are, as twins or by their patient."""
    if split.listed and split.listed == trained_on.listed:  # the same images, in the same groups
        known = trained_on.table.loc[trained_on.table["part"].isin(list(parts)), "group"]
        return split.table["group"].isin(set(known)).to_numpy()
    root = trained_on.root if trained_on.root.is_dir() else split.root
    advice = "put them back there"
    whole = data.volume_shape is not None
    found = contamination.find_contamination(
        split, trained_on, root, data.cache, data.workers, data.patients, whole=whole, parts=parts, advice=advice
    )
    if not found.complete:
        raise InputError(
            f"{who} was trained on images that are not in {root} any more, so that nobody can tell whether these are "
            "among them: put them back there, or give another teacher"
        )
    return np.asarray(found.seen)


def load_teacher(config: TrainConfig, dataset: "Dataset") -> Any:
    """The teacher as `distillation.teacher_of` gives it, with the student's classes and images; None without one."""
    uri = config.distill.teacher
    if uri is None:
        return None
    registered, classes = registry.load_model(uri, KEY), dataset.split.classes
    _require_classes(uri, registered.classes, classes)
    order = [registered.classes.index(name) for name in classes.names]
    return distillation.teacher_of(registered.model, order, dataset.shape)
