"""How a model learns: the phases of a schedule, and the teacher that it may have."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from brain_tumor.config.values import STRICT_KEYS, Fraction


@dataclass(frozen=True, config=STRICT_KEYS)
class EarlyStoppingConfig:
    patience: PositiveInt  # epochs without a lower val/loss
    min_delta: NonNegativeFloat


@dataclass(frozen=True, config=STRICT_KEYS)
class PlateauConfig:
    patience: PositiveInt  # epochs without a lower val/loss
    factor: Fraction  # the learning rate is multiplied by it
    min_learning_rate: NonNegativeFloat


@dataclass(frozen=True, config=STRICT_KEYS)
class PhaseConfig:
    """One phase of training; a schedule is an ordered mapping of named phases."""

    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: PositiveFloat  # the highest one, after warm-up
    warmup_epochs: NonNegativeFloat  # linear, from 0
    decay: Literal["constant", "cosine", "plateau"]
    plateau: PlateauConfig | None  # ReduceLROnPlateau's settings, needed and read with decay=plateau alone
    weight_decay: NonNegativeFloat  # decoupled (Loshchilov & Hutter 2019), as in all of Keras' optimizers
    unfreeze: Literal["head", "all"] | PositiveInt  # the head, the head and the last N blocks, or everything
    update_batch_norm: bool  # false: batch-norm layers keep their statistics, scale and shift
    # How much of the old statistics each step keeps; None: as the backbone was built (0.99 for EfficientNets, which on
    # a few hundred steps leaves them behind the weights).
    batch_norm_momentum: Fraction | None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "balanced"]
    # Momentum of the exponential moving average of the weights; batch-norm statistics are those of the raw weights.
    weight_averaging: Fraction | None
    early_stopping: EarlyStoppingConfig | None
    # With defaults, so that configurations logged before there were these keys still load.
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None  # before the logits; None: model.dropout
    augment_strength: Annotated[float, Field(ge=0, le=1)] = 1.0  # multiplies each transform's probability; 0: none
    # With unfreeze=head: learn from the backbone's features, kept on disk, of so many augmented views of each image,
    # one an epoch and in turn. None: every epoch passes new views through the backbone.
    feature_views: PositiveInt | None = None
    focal_gamma: NonNegativeFloat = 0.0  # of the focal loss (Lin et al. 2017); 0: cross-entropy
    # Each block learns at so much of the rate of the one above it, the head at `learning_rate`. None: all alike.
    layer_decay: Fraction | None = None

    def __post_init__(self) -> None:
        if self.decay == "plateau" and self.plateau is None:
            raise ValueError("decay=plateau needs the settings under plateau (patience, factor, min_learning_rate)")
        if self.feature_views is not None and self.unfreeze != "head":
            raise ValueError(f"feature_views={self.feature_views} needs unfreeze=head: else features change")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} leaves nothing of the {self.epochs} epochs")


@dataclass(frozen=True, config=STRICT_KEYS)
class DistillConfig:
    """A teacher, of whose probabilities is learned beside the labels, see training/distillation.py."""

    teacher: str | None = None  # address of a logged model; None: the labels alone are learned
    temperature: PositiveFloat = 3.0  # softens the probabilities of both; 1: as they are
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the teacher in the loss; the labels have the rest
