"""The typed configuration of every command but `train`; `conf/` gives the values."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from brain_tumor.config.train import Calibrate, DataConfig, ExplainConfig, ProtocolConfig, TrackingConfig
from brain_tumor.config.values import STRICT_KEYS, ClassName, Fraction, Level

PASSWORD = "BRAIN_TUMOR_PASSWORD"  # the environment variable: what is typed on a command line is saved


@dataclass(frozen=True, config=STRICT_KEYS)
class LoggedData:
    """`evaluate`'s default: the split that was logged with the model."""

    source: Literal["logged"]
    root: str | None  # where the images are now, if they have moved; found there by content
    cache: str | None  # folder of decoded pixels; None: as in training
    masks: str | None = None  # folder of lesion masks; None: as in training


Views = Annotated[int, Field(ge=1, le=64)]  # of each image, whose mean an answer is: evaluation/views.py


@dataclass(frozen=True, config=STRICT_KEYS)
class EvaluateConfig:
    model_uri: str
    data: Annotated[LoggedData | DataConfig, Field(union_mode="left_to_right")]
    trained_root: str | None  # where the model's training images are now, for other data to be compared with
    tracking: TrackingConfig
    explain: ExplainConfig
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    batch_size: PositiveInt
    robustness: bool  # measure the images again under each corruption of evaluation/corruptions.py: 45 passes
    runtime: Literal["auto", "keras", "onnx", "tflite"]  # what answers: serving/runtime_choice.py; maps by Keras
    views: Views


Scaling = Literal["rescale", "tf", "torch", "caffe", "efficientnet", "none"]  # models/adopted.py
Channels = Literal["rgb", "bgr", "gray"]


@dataclass(frozen=True, config=STRICT_KEYS)
class AdoptConfig:
    file: str  # of a Keras or ONNX model that somebody else has trained
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2)]  # in the order of its outputs
    scaling: Scaling  # of the pixels that it was trained on
    channels: Channels
    trained_on: str  # folder of the images that it was trained on; its own test folder was held out
    register: str
    data: DataConfig  # how these images are read
    protocol: ProtocolConfig  # official: its test folder as it is; clean: without what has a twin in training
    tracking: TrackingConfig
    explain: ExplainConfig
    calibrate: Calibrate
    coverage: Annotated[tuple[Level, ...], Field(min_length=1)]
    selective_accuracy: Fraction

    def __post_init__(self) -> None:
        if self.protocol.name not in ("official", "clean"):
            raise ValueError(f"protocol={self.protocol.name}: the model is trained already: choose official or clean")


@dataclass(frozen=True, config=STRICT_KEYS)
class EnsembleConfig:
    members: tuple[str, ...] | None  # addresses of the models that are averaged; None: those of `run`
    run: str | None  # the parent of seeds or folds, whose models are averaged
    only: Annotated[str, Field(min_length=1)] | None  # of `run` those with this in their name ("fold 2"); None: all
    register: str
    data: LoggedData  # the images that the members were trained around
    tracking: TrackingConfig
    calibrate: Calibrate
    coverage: Annotated[tuple[Level, ...], Field(min_length=1)]
    selective_accuracy: Fraction

    def __post_init__(self) -> None:
        if (self.members is None) == (self.run is None):
            raise ValueError("give either members=[models:/NAME/1,models:/NAME/2] or run=PARENT")
        if self.only is not None and self.run is None:
            raise ValueError(f"only={self.only} chooses among the runs of run=PARENT: leave it out")
        if self.members is not None and len(self.members) < 2:
            raise ValueError(f"members names {len(self.members)} model: give at least two")


@dataclass(frozen=True, config=STRICT_KEYS)
class PoolConfig:
    model_uri: str  # of a model of slices
    register: str | None  # None: the name that the model has
    data: DataConfig  # volumes of known class
    trained_root: str | None  # where the model's training images are now, for the volumes to be compared with
    tracking: TrackingConfig
    coverage: Annotated[tuple[Level, ...], Field(min_length=1)]
    selective_accuracy: Fraction


@dataclass(frozen=True, config=STRICT_KEYS)
class ExportConfig:
    model_uri: str
    out: str  # folder, made where there is none
    formats: Annotated[tuple[Literal["onnx", "tflite", "tflite_int8"], ...], Field(min_length=1)]
    data: LoggedData  # the split that calibrates an int8 export and that every export is checked on
    tracking: TrackingConfig


@dataclass(frozen=True, config=STRICT_KEYS)
class MapsConfig:
    """How a map is made where no lesion is known to choose by."""

    method: Literal["gradcam", "gradcam++", "hirescam", "layercam", "evidence", "rollout"] | None  # as in ExplainConfig
    layer: Annotated[str, Field(min_length=1)] | None  # as in ExplainConfig, without auto
    views: Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, config=STRICT_KEYS)
class PredictConfig:
    model_uri: str
    input: str  # file, folder or glob
    out: str | None  # FILE.csv or FILE.jsonl; None: the terminal alone
    overwrite: bool
    plane: Literal["auto", "axial", "coronal", "sagittal"]  # in which a volume file is cut
    volume: NonNegativeInt | None  # which volume of a file of several, from 0; None: there is but one
    runtime: Literal["auto", "keras", "onnx", "tflite"]
    views: Views
    workers: Annotated[int, Field(ge=1, le=64)]  # threads that read and decode
    explain: bool  # write maps laid over the pictures beside `out`
    report: bool  # write a page of each file beside `out`, to be printed or kept
    maps: MapsConfig
    without_lesion: bool  # answer again with what the model's lesion map marks painted over
    tracking: TrackingConfig


@dataclass(frozen=True, config=STRICT_KEYS)
class AuditConfig:
    data: DataConfig
    tracking: TrackingConfig
    report: str | None  # folder to write the report to, beside the run's artifacts; None: there alone
    floor: bool  # measure how far trivial features go


@dataclass(frozen=True, config=STRICT_KEYS)
class CompareConfig:
    run_a: str  # id of a run, its beginning, or models:/NAME@ALIAS, models:/NAME/VERSION
    run_b: str
    part: Literal["test", "val"]  # whose predictions are compared
    tracking: TrackingConfig
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]


@dataclass(frozen=True, config=STRICT_KEYS)
class StudyConfig:
    name: str | None  # of a sweep's study; None: the only one, or the list of all
    storage: str | None  # as sweep.storage; None: sqlite in mlruns/ under the current folder
    watch: bool  # show it again and again until the sweep is through


@dataclass(frozen=True, config=STRICT_KEYS)
class AppConfig:
    model_uri: str
    model_b: str | None  # a second model, whose answers stand beside the first one's
    host: Annotated[str, Field(min_length=1)]  # address to listen at; 127.0.0.1: this machine alone
    port: Annotated[int, Field(ge=0, le=65535)]  # 0: a free one
    user: Annotated[str, Field(pattern=r"^[^:]+$")] | None  # who may look, with the password in PASSWORD; None: anyone
    views: Annotated[int, Field(ge=1, le=64)]  # shifted and mirrored views that a map is averaged over
    files: Annotated[int, Field(ge=1, le=2000)]  # at most, at once; a DICOM series has hundreds
    megabytes: Annotated[int, Field(ge=1, le=2048)]  # at most, of all files that are dropped at once
    waiting: PositiveInt  # requests that may wait for their turn; others are told that the page is busy
    tracking: TrackingConfig


@dataclass(frozen=True, config=STRICT_KEYS)
class LrFindConfig:
    """What `lr_find` takes beside the configuration of a training."""

    phase: str | None  # of the schedule; None: its last one
    lowest: PositiveFloat  # the first step's learning rate
    highest: PositiveFloat  # and the last one's
    steps: Annotated[int, Field(ge=20, le=10_000)]
    out: str  # FILE.png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest={self.lowest:g} is no lower than highest={self.highest:g}: change either")
