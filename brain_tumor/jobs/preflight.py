"""What can be known before anything starts, without TensorFlow: an error here has cost the user a second or two.

What is to be trained is checked in `training_checks`.
"""

import socket
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from brain_tumor.config.train import DataConfig, ProtocolConfig, Source, TrackingConfig
from brain_tumor.data.class_folders import check_layout, site_folders
from brain_tumor.data.classes import AUTO, STANDARD, ClassList, name_classes
from brain_tumor.data.grouping import patients_table
from brain_tumor.data.protocol import require_trained
from brain_tumor.data.relabel import read_labels
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.needs import require_method
from brain_tumor.jobs import adopted_checks
from brain_tumor.jobs.volume_checks import check_other_data, check_same_kind, check_whole_answers
from brain_tumor.lazy import lazy, uncollected
from brain_tumor.paths import existing_path

if TYPE_CHECKING:
    from brain_tumor.config.commands import (
        AdoptConfig,
        AppConfig,
        AuditConfig,
        EnsembleConfig,
        EvaluateConfig,
        ExportConfig,
        PredictConfig,
    )
    from brain_tumor.jobs.ensemble_members import Members
    from brain_tumor.serving.inputs import Files
    from brain_tumor.tracking.model_address import Found

# What only some of the commands' checks need is imported by these.
address = lazy("brain_tumor.serving.review_page.address")
ensemble_members = lazy("brain_tumor.jobs.ensemble_members")
inputs = lazy("brain_tumor.serving.inputs")
journal = lazy("brain_tumor.serving.journal")
model_address = lazy("brain_tumor.tracking.model_address")
place = lazy("brain_tumor.auditing.place")
runs = lazy("brain_tumor.tracking.runs")
runtimes = lazy("brain_tumor.serving.runtimes")
store = lazy("brain_tumor.tracking.store")

# What MLflow's registry, its filters and its addresses take in a model's name.
NAME_LENGTH, NAME_EXCLUDES = 256, "/:@#?'"


def check_name(register: str | None, key: str = "tracking.register") -> None:
    """Refuse a name by which MLflow cannot register a model, or whose address `models:/NAME/1` leads elsewhere."""
    if register is None:
        return
    sound = 0 < len(register) <= NAME_LENGTH and register.isprintable() and not set(register) & set(NAME_EXCLUDES)
    if not sound or register != register.strip() or register[0] == ".":
        raise InputError(
            f"{key}={register!r} is no name for a model: give {key}=NAME, 1 to {NAME_LENGTH} "
            f"letters, digits or signs but {' '.join(NAME_EXCLUDES)}, with no dot in front and no space at either end"
        )


def check_adoption(config: "AdoptConfig") -> Path:
    """Check the name, the images and the file, of which nothing is run; returns the file."""
    check_name(config.register, "register")
    path = adopted_checks.check_file(config)
    check_source(config.data)
    check_store(config.tracking)
    return path


def check_ensemble(config: "EnsembleConfig") -> "Members":
    """Find the members, and check that they can be averaged, before any is loaded."""
    check_name(config.register, "register")
    if config.data.masks is not None:
        raise InputError(f"data.masks={config.data.masks} is not read for an ensemble: leave it out")
    check_store(config.tracking)
    members: Members = ensemble_members.gather(config)
    return members


def check_evaluation(config: "EvaluateConfig") -> None:
    """Check the runtime's packages, the images of another source, and the folder of the training images."""
    if config.runtime in runtimes.FORMATS:
        runtimes.require(config.runtime)
    if isinstance(config.data, DataConfig):
        check_healthy(config.data)
    _check_trained_root(config)
    check_store(config.tracking)
    found = model_address.find(config.model_uri)
    require_method(config.explain.method, draws=found.draws_lesion_map, attends=found.attends)
    if config.explain.sanity and found.averages:
        raise InputError("explain.sanity=true builds one network anew, and this is the mean of several: leave it out")
    adopted_checks.check_evaluated(found, config)
    if isinstance(config.data, DataConfig):
        check_other_data(found, config, config.data)
        check_source(config.data, known=found.classes)
    elif runs.load_split(found.run_id).part("test").empty:
        raise InputError(
            f"model_uri={config.model_uri} has met all images of its split, and none was held out: "
            "give others, data=folder data.root=DIR"
        )


def _check_trained_root(config: "EvaluateConfig") -> None:
    given = config.trained_root
    if given is None:
        return
    if not isinstance(config.data, DataConfig):
        raise InputError(
            f"trained_root={given} is read only with other data (data=folder data.root=DIR): leave it out; where the "
            "logged images are now is data.root=DIR"
        )
    check_trained_root(given)


def check_trained_root(given: str) -> None:
    """Raise InputError where the training images cannot lie."""
    if not existing_path(given).is_dir():
        raise InputError(f"trained_root={given} is no folder: give the one that holds the training images")


def check_healthy(data: DataConfig) -> None:
    """Raise InputError where data that a model is asked about name a class as healthy, which the model has settled."""
    if data.healthy != AUTO:
        raise InputError(f"data.healthy={data.healthy} is the model's own, and not of the data: leave it out")


def check_prediction(config: "PredictConfig") -> "tuple[Files, Path | None]":
    """Find the files that `input` names, and the place of `out`; InputError where either is wrong."""
    if config.runtime in runtimes.FORMATS:
        runtimes.require(config.runtime)
    asked = "explain" if config.explain else "report" if config.report else ""
    if asked and config.out is None:
        raise InputError(f"{asked}=true writes a folder beside out: give out=FILE.csv or out=FILE.jsonl")
    out = journal.check_out(config.out, overwrite=config.overwrite) if config.out else None
    files = inputs.find_files(config.input)
    check_store(config.tracking)
    found = model_address.find(config.model_uri)
    require_method(config.maps.method, key="maps.method", draws=found.draws_lesion_map, attends=found.attends)
    adopted_checks.check_answering(found, config)
    check_whole_answers(found, config)
    if config.without_lesion and not found.draws_lesion_map:
        raise InputError(
            f"without_lesion=true paints over what a lesion map marks, and model_uri={config.model_uri} draws none: "
            "leave it out, or answer by a model that was trained with model.head=evidence"
        )
    return files, out


def check_export(config: "ExportConfig") -> Path:
    """Check the packages that the formats need; returns the folder `out`, made where there is none."""
    if config.data.masks is not None:
        raise InputError(f"data.masks={config.data.masks} is not read by an export: leave it out")
    for name in config.formats:
        runtimes.require(name)
    [found] = _check_models(config.tracking, model_uri=config.model_uri)
    adopted_checks.refuse_onnx(found, "no other format can be made of it")
    folder = existing_path(config.out).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".brain_tumor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"out={config.out} cannot be written: {error.strerror or error}") from error
    return folder


def check_audit(config: "AuditConfig") -> Path | None:
    """Check the images' folders; returns the place of the report, if there is to be one beside the run's."""
    if config.data.masks is not None:
        raise InputError(f"data.masks={config.data.masks} is not read by an audit: leave it out")
    check_source(config.data, readable=False)  # broken images are what an audit finds
    report: Path | None = place.check_place(config.report)
    return report


def check_app(config: "AppConfig") -> tuple[tuple[str, str] | None, socket.socket]:
    """The user and password that the page asks for, if any, and the socket at which it will answer."""
    login = address.login_of(config)
    address.require_gradio()
    listening = address.listen(config.host, config.port)
    try:
        models = _check_models(config.tracking, model_uri=config.model_uri, model_b=config.model_b)
        for found in models:
            adopted_checks.refuse_onnx(found, "the page shows maps, and it has none")
        check_same_kind(models)
    except InputError:
        listening.close()
        raise
    return login, listening


def check_store(tracking: TrackingConfig) -> None:
    """Open the store for the first time; InputError where it cannot be."""
    with uncollected(freeze=False):  # MLflow is imported for it
        store.open_store(tracking)


def _check_models(tracking: TrackingConfig, **uris: str | None) -> "list[Found]":
    """Open the store, and find in it every model that a key names."""
    check_store(tracking)
    return [model_address.find(uri, key) for key, uri in uris.items() if uri is not None]


def check_source(
    data: DataConfig, *, readable: bool = True, protocol: ProtocolConfig | None = None, known: ClassList | None = None
) -> ClassList | None:
    """Refuse folders that the source would not read, or whose classes do not fit, and unreadable patients or labels.

    With `readable` also a class of which no image can be decoded; with a `protocol` one that would not be trained; with
    a model's classes, `known`, one that it does not know. Returns the classes, None of what is yet to be downloaded.
    """
    classes = None
    if data.relabel is not None and data.source is Source.kaggle:
        read_labels(data.relabel)
    if data.source is Source.folder:
        images, classes = look_at(tuple(site_folders(data.root).items()), data, known, readable=readable)
        if protocol is not None:
            require_trained(images, protocol, classes)
        if data.relabel is not None:
            read_labels(data.relabel, classes)
    elif data.source is Source.phantom:
        classes = name_classes(STANDARD.names, data, known).classes
    if data.source is not Source.folder and data.root is not None:
        raise InputError(f"data.root={data.root} is not read with data={data.source}: add data=folder")
    if data.patients is not None and data.source is not Source.phantom:
        patients_table(data.patients)
    return classes


look_at = lru_cache(maxsize=16)(check_layout)  # once a process: a sweep checks many points on the same folders
