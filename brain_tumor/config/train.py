"""The configuration of a training as frozen dataclasses, made by `config.validation` of what Hydra composes.

Field comments give the meaning, unit and range; `conf/` gives the values.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from brain_tumor.config.schedule import DistillConfig, PhaseConfig
from brain_tumor.config.values import STRICT_KEYS, ClassName, Fraction, Level, Share, SplitSeed, VolumeSide

# What picks the best epoch, and may be a sweep's objective.
Monitor = Literal["val/accuracy", "val/balanced_accuracy", "val/macro_f1", "val/roc_auc", "val/loss", "val/trust"]
TRUST = "val/trust"  # measured only where it is the monitor, see training/trust.py
LOWER_IS_BETTER = frozenset({"val/loss"})

Calibrate = Literal["auto", "temperature", "vector", "none"]
Head = Literal["pooled", "attention", "evidence"]  # models/heads.py

ADOPTED = "adopted"  # model.name of a model that was trained elsewhere: models/adopted.py
AND = "+"  # between the names of an ensemble's networks in model.name: models/ensemble.py


def _pairs(value: Any) -> Any:
    """Of a mapping, since a configuration is a key of caches and has to be hashable."""
    if isinstance(value, str) or (isinstance(value, list) and not all(isinstance(each, list) for each in value)):
        raise ValueError("give the class of each folder, {no: notumor, yes: tumour}")
    return () if value is None else tuple(value.items()) if isinstance(value, dict) else value


class Source(StrEnum):
    phantom = "phantom"
    folder = "folder"
    kaggle = "kaggle"


class OnCorrupt(StrEnum):
    error = "error"
    skip = "skip"


@dataclass(frozen=True, config=STRICT_KEYS)
class PhantomConfig:
    """What determines the synthetic set's pixels; any change makes another set."""

    subjects: PositiveInt = 640  # synthetic people, each of one class, each a group
    slices_per_subject: PositiveInt | None = 2  # None: a whole volume of each
    test_fraction: Fraction = 0.25  # of subjects
    size: Annotated[int, Field(ge=32, le=1024)] = 128  # rendered pixels a side
    seed: SplitSeed = 0

    @property
    def whole(self) -> bool:
        """Whether a subject is a whole volume, and not slices."""
        return self.slices_per_subject is None


@dataclass(frozen=True, config=STRICT_KEYS)
class DataConfig:
    source: Source
    # Folder of images, or several, each a site; None where the source finds its own.
    root: str | tuple[str, ...] | None
    image_size: Annotated[int, Field(ge=32, le=2048)] | None  # pixels a side; None: the model's native resolution
    val_fraction: Fraction  # of the training part, carved where the data has no val part
    test_fraction: Fraction  # of all images, carved only where the data has no test part
    split_seed: SplitSeed  # carves val (and test); apart from `seed`, so that runs of other seeds stay comparable
    on_corrupt: OnCorrupt
    workers: Annotated[int, Field(ge=1, le=64)]  # threads that decode and augment
    cache: str | None  # folder of decoded pixels; None: the user's cache folder
    handle: str | None = None  # kaggle: owner/dataset/versions/N
    phantom: PhantomConfig | None = None
    copies: bool = True  # whether all copies of a slice train; False: one image a slice does
    subset: Fraction | None = None  # share of the training part that is used; None: all of it
    calibration_fraction: Fraction | None = None  # of the training part, set apart for prediction sets; None: none
    # Voxels of whole volumes from the feet to the head, front to back and right to left; None: of slices.
    volume_shape: tuple[VolumeSide, VolumeSide, VolumeSide] | None = None
    # mm between voxels along these; None: what the head needs to fill them.
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    # How sites share the training: none (each image counts alike) or balanced (each site does).
    site_weights: Literal["none", "balanced"] = "none"
    patients: str | None = None  # CSV with the columns path, patient: images of one patient are never separated
    masks: str | None = None  # folder of lesion masks, with the images' tree and names, .png; None: none are known
    relabel: str | None = None  # CSV with the columns sha256, new_label: labels that a person has corrected
    # Names and order of the classes; None: what the folders say, see data/classes.py.
    classes: tuple[ClassName, ...] | None = None
    # The class without a lesion; auto: found by its usual names; None: there is none.
    healthy: ClassName | None = "auto"
    # Folder -> class, where folders cannot be renamed; several folders may become one class.
    rename: Annotated[tuple[tuple[ClassName, ClassName], ...], BeforeValidator(_pairs)] = ()

    @property
    def knows_patients(self) -> bool:
        """Whether anything says whose images are: a list, or of volumes their folders."""
        return self.patients is not None or self.volume_shape is not None

    @property
    def fitting(self) -> dict[str, Any]:
        """How volumes are fitted besides their shape, for who has the model alone; {} of slices."""
        return {} if self.volume_shape is None else {"spacing": self.spacing and list(self.spacing)}

    def __post_init__(self) -> None:
        whole = self.volume_shape is not None
        if self.spacing is not None and not whole:
            raise ValueError(f"spacing={list(self.spacing)} is of whole volumes: give data=volumes, or volume_shape")
        if self.source is Source.phantom and self.phantom is not None and whole != self.phantom.whole:
            raise ValueError("volume_shape needs phantom.slices_per_subject=null, and that needs volume_shape")
        if self.source is Source.kaggle and whole:
            raise ValueError("the Kaggle set has slices alone: give data=volumes")


@dataclass(frozen=True, config=STRICT_KEYS)
class ModelConfig:
    name: str  # a key of the table of backbones, models/backbones.py
    weights: str  # imagenet | none | path of a file
    dropout: Annotated[float, Field(ge=0, lt=1)]  # before the logits
    # With defaults, so that configurations logged before there were heads still load.
    head: Head = "pooled"  # how the answer is made of the backbone's activations
    lesion_weight: NonNegativeFloat = 1.0  # head=evidence: of the map's loss, beside the cross-entropy's 1


@dataclass(frozen=True, config=STRICT_KEYS)
class CounterfactualConfig:
    """Lesions painted over and transplanted in training, see data/counterfactual.py."""

    removed: Share  # of the images with a known lesion: it is painted over, and they belong to the healthy class
    elsewhere: Share  # of these and of the healthy: they are painted over where no lesion is, and stay what they are
    transplanted: Share = 0.0  # of the healthy images: they get the lesion of another image, and belong to its class

    def __post_init__(self) -> None:
        for name, share in (("removed", self.removed), ("transplanted", self.transplanted)):
            if share + self.elsewhere > 1:
                raise ValueError(f"{name}={share} and elsewhere={self.elsewhere} are more than all images")


@dataclass(frozen=True, config=STRICT_KEYS)
class AugmentConfig:
    name: str
    transforms: dict[str, dict[str, Any]]  # albumentations transform -> its parameters, applied in order
    counterfactual: CounterfactualConfig | None = None  # before the transforms; None: nothing is painted over


@dataclass(frozen=True, config=STRICT_KEYS)
class ProtocolConfig:
    # How the images are divided, see data/protocol.py. auto: grouped, or official for the phantom, which does not leak.
    name: Literal["auto", "official", "clean", "grouped", "leave_one_site_out"]
    folds: Annotated[int, Field(ge=2, le=100)] | None = None  # grouped: cross-validation, a run a fold
    fold: NonNegativeInt | None = None  # the one fold that is the test part; None: all, one after the other
    site: str | None = None  # leave_one_site_out: the site that is the test part; None: each in turn

    def __post_init__(self) -> None:
        if self.folds is not None and self.name not in ("auto", "grouped"):
            raise ValueError(f"folds={self.folds} needs protocol=grouped")
        if self.fold is not None and self.folds is None:
            raise ValueError(f"fold={self.fold} is one of several folds: give protocol.folds=K, too")
        if self.fold is not None and self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold={self.fold} is none of the {self.folds} folds: count from 0")
        if self.site is not None and self.name != "leave_one_site_out":
            raise ValueError(f"site={self.site} needs protocol=leave_one_site_out")


@dataclass(frozen=True, config=STRICT_KEYS)
class TrackingConfig:
    # Any MLflow tracking URI; None: what MLFLOW_TRACKING_URI says, and without that sqlite in mlruns/ of this folder.
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
    register: str | None  # name in MLflow's registry (`preflight.check_name`); None: logged, but not registered
    checkpoints: str  # folder of the checkpoints that `resume` reads
    system_metrics: bool
    artifacts: str | None = None  # once, where the files of a SQLite store that was moved are now


@dataclass(frozen=True, config=STRICT_KEYS)
class ExplainConfig:
    """How maps are made. auto: what points best at the known lesions of the validation part."""

    # None: the lesion map of a model that has one (evidence), otherwise layercam.
    method: Literal["gradcam", "gradcam++", "hirescam", "layercam", "evidence", "rollout", "auto"] | None
    layer: (
        Annotated[str, Field(min_length=1)] | None
    )  # a name, several with * between them (their product), or auto; None: the backbone's `cam_layer`
    # With defaults, so that configurations logged before there were these keys still load.
    views: Annotated[int, Field(ge=1, le=64)] = 1  # shifted and mirrored views that a map is averaged over
    sanity: bool = False  # score the maps of randomised weights, too


@dataclass(frozen=True, config=STRICT_KEYS)
class HardwareConfig:
    """How this machine is used: a matter of speed, hardly of the result. See models/hardware.py for what auto means.

    The defaults are how runs were trained that were logged before there were these keys.
    """

    # TensorFlow's intra-op threads in this process; None: as TF_NUM_INTRAOP_THREADS says, otherwise one for each core.
    threads: PositiveInt | None = None
    strategy: Literal["none", "mirrored"] = "none"  # mirrored: one model on all GPUs, each with its share of a batch
    device: Literal["auto", "cpu", "gpu"] = "auto"  # auto: the first GPU, otherwise the CPU
    # What layers compute in; weights, probabilities and the model that is kept are float32 whatever it is.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    jit_compile: Literal["auto", True, False] = False  # by XLA; auto: on a GPU, where it is measured to train faster
    # Images that are trained on at once, of a larger batch piece by piece: see training/gradient_accumulation.py.
    micro_batch: PositiveInt | None = None

    def __post_init__(self) -> None:
        if self.strategy == "mirrored" and self.micro_batch is not None:
            raise ValueError(
                f"micro_batch={self.micro_batch} needs strategy=none: mirrored devices share a batch whole"
            )
        if self.strategy == "mirrored" and self.jit_compile is True:
            raise ValueError("jit_compile=true needs strategy=none: TensorFlow mirrors no model through XLA")


@dataclass(frozen=True, config=STRICT_KEYS)
class TrainConfig:
    data: DataConfig
    model: ModelConfig
    augment: AugmentConfig
    schedule: dict[str, PhaseConfig]  # empty of what was not trained as such: adopted models, ensembles
    protocol: ProtocolConfig
    tracking: TrackingConfig
    explain: ExplainConfig
    seed: SplitSeed
    monitor: Monitor
    test: bool  # measure the test part once, after training; never in a multirun
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]  # resamples behind each interval
    resume: str | None  # id of an interrupted run
    seeds: tuple[SplitSeed, ...] | None = None  # a run for each, below one parent
    # Runs logged before there were these two have none.
    hardware: HardwareConfig = Field(default_factory=HardwareConfig)
    distill: DistillConfig = Field(default_factory=DistillConfig)
    # What is said with a prediction, fitted after training.
    calibrate: Calibrate = "auto"  # of the logits, on the val part
    coverage: Annotated[tuple[Level, ...], Field(min_length=1)] = (0.9, 0.95)  # of prediction sets, class by class
    selective_accuracy: Fraction = 0.98  # wanted on the val part of the images that are not answered with "not sure"

    def __post_init__(self) -> None:
        if not self.schedule and self.model.name != ADOPTED and AND not in self.model.name:
            raise ValueError("schedule: give at least one phase")
        if self.seeds is not None and len(self.seeds) < 2:
            raise ValueError(f"seeds={list(self.seeds)}: give at least two seeds, or seed={[*self.seeds, 0][0]}")
        if len(set(self.seeds or ())) < len(self.seeds or ()):
            raise ValueError(f"seeds={list(self.seeds or ())} has a seed twice")
        self._check_masks()
        self._check_teacher()
        self._check_volumes()
        if len(set(self.coverage)) < len(self.coverage):
            raise ValueError(f"coverage={list(self.coverage)} has a level twice")
        if self.protocol.name == "auto":  # known by its name ever after
            name: Literal["official", "grouped"]
            name = "official" if self.data.source is Source.phantom and self.protocol.folds is None else "grouped"
            object.__setattr__(self, "protocol", replace(self.protocol, name=name))

    def _check_teacher(self) -> None:
        distill = self.distill
        if distill.teacher is None and distill != DistillConfig():
            raise ValueError("distill.temperature and distill.weight need a teacher: give distill.teacher=MODEL_URI")
        if distill.teacher is not None and self.hardware.strategy == "mirrored":
            raise ValueError("distill.teacher is asked on one device: give hardware.strategy=none")

    def _check_volumes(self) -> None:
        """What is there for slices alone."""
        if self.data.volume_shape is None:
            return
        if self.data.image_size is not None:
            raise ValueError(f"data.image_size={self.data.image_size} is of slices: data.volume_shape is read instead")
        if self.augment.counterfactual is not None:
            raise ValueError(f"augment={self.augment.name} paints in slices: give another, augment=notebook")

    def _check_masks(self) -> None:
        """What the keys that need pictures and their masks cannot have, or need."""
        keys = {
            f"model.head={self.model.head}": self.model.head == "evidence",
            f"augment={self.augment.name}": self.augment.counterfactual is not None,
            f"monitor={self.monitor}": self.monitor == TRUST,
        }
        for key in [key for key, asked in keys.items() if asked]:
            for name, phase in self.schedule.items():
                if phase.feature_views is not None:
                    raise ValueError(
                        f"schedule.{name}.feature_views={phase.feature_views} stores pooled features, and {key} needs "
                        f"pictures: give schedule.{name}.feature_views=null"
                    )
        if self.model.head == "evidence" and self.hardware.strategy == "mirrored":
            raise ValueError(f"model.head={self.model.head} trains on one device: give hardware.strategy=none")
        if self.explain.method == "evidence" and self.model.head != "evidence":
            raise ValueError(f"explain.method=evidence is the map of model.head=evidence, not of {self.model.head}")
        painting = [f"augment={self.augment.name}"] * (self.augment.counterfactual is not None)
        painting += [f"monitor={self.monitor}"] * (self.monitor == TRUST)
        if painting and self.data.masks is None and self.data.source != Source.phantom:
            raise ValueError(f"{painting[0]} needs lesion masks to paint over: give data.masks=DIR")
