"""The models by name: the table of backbones, read without TensorFlow, so that a mistake is answered at once."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from brain_tumor.config.train import TrainConfig
from brain_tumor.errors import InputError


class Family(StrEnum):
    """Backbones of one family are built by one function and take their weights from one kind of file."""

    cnn = "cnn"
    efficientnet = "efficientnet"  # Tan & Le 2019, arXiv:1905.11946, from keras.applications
    efficientnet_v2 = "efficientnet_v2"  # Tan & Le 2021, arXiv:2104.00298, from keras.applications
    efficientnet_lite = "efficientnet_lite"  # Liu 2020: without squeeze-and-excite, ReLU6
    cct = "cct"  # Hassani et al. 2021, arXiv:2104.05704
    hybrid_lite = "hybrid_lite"  # EfficientNet-Lite's first stages, then a transformer
    slices_lite = "slices_lite"  # EfficientNet-Lite on each slice of a volume
    resnet_3d = "resnet_3d"  # Hara et al. 2018, arXiv:1711.09577: of whole volumes
    cnn_3d = "cnn_3d"
    vit = "vit"  # Dosovitskiy et al. 2020, arXiv:2010.11929, without a class token


@dataclass(frozen=True)
class Backbone:
    """One row of the registry."""

    name: str  # key here, stem of conf/model/<name>.yaml
    family: Family
    variant: str  # within the family: "b0" … "b7", "s", "lite0"; empty where there is only one
    native_size: int  # pixels a side that it was designed and, with ImageNet weights, trained for
    # Where maps are made; several with * between them, whose maps are multiplied: of convolutions the last activations
    # at an 8th and a 16th of the input's side, of transformers what the last block attends to.
    cam_layer: str
    step: int = 1  # pixels that divide the input's side

    @property
    def whole(self) -> bool:
        """Whether it takes whole volumes, and not slices."""
        return self.family in (Family.slices_lite, Family.resnet_3d, Family.cnn_3d)

    @property
    def by_slice(self) -> bool:
        """Whether it looks at each slice of a volume by itself."""
        return self.family is Family.slices_lite

    @property
    def attends(self) -> bool:
        """Whether it is a transformer, of which there are maps by attention alone."""
        return ATTENDED in self.cam_layer


MIN_SIZE = 32  # pixels a side: the convolutional backbones halve it five times

_ROWS = (
    ("cnn_baseline", Family.cnn, "", 128),
    ("effnet_b0", Family.efficientnet, "b0", 224),
    ("effnet_b1", Family.efficientnet, "b1", 240),
    ("effnet_b2", Family.efficientnet, "b2", 260),
    ("effnet_b3", Family.efficientnet, "b3", 300),
    ("effnet_b4", Family.efficientnet, "b4", 380),
    ("effnet_b5", Family.efficientnet, "b5", 456),
    ("effnet_b6", Family.efficientnet, "b6", 528),
    ("effnet_b7", Family.efficientnet, "b7", 600),
    ("effnet_v2_b0", Family.efficientnet_v2, "b0", 224),
    ("effnet_v2_b1", Family.efficientnet_v2, "b1", 240),
    ("effnet_v2_b2", Family.efficientnet_v2, "b2", 260),
    ("effnet_v2_b3", Family.efficientnet_v2, "b3", 300),
    ("effnet_v2_s", Family.efficientnet_v2, "s", 384),
    ("effnet_lite0", Family.efficientnet_lite, "lite0", 224),
    ("effnet_lite1", Family.efficientnet_lite, "lite1", 240),
    ("effnet_lite2", Family.efficientnet_lite, "lite2", 260),
    ("cct_5", Family.cct, "", 96),
    ("hybrid_lite0", Family.hybrid_lite, "lite0", 224),
    ("slices_lite0", Family.slices_lite, "lite0", 128),
    ("cnn3d_baseline", Family.cnn_3d, "", 64),
    ("resnet10_3d", Family.resnet_3d, "10", 128),
    ("resnet18_3d", Family.resnet_3d, "18", 128),
    ("vit_ti16", Family.vit, "ti16", 224),
    ("vit_s16", Family.vit, "s16", 224),
    ("vit_b16", Family.vit, "b16", 224),
)

ATTENDED = "_norm1"  # ends the names of the layers that a transformer's blocks attend to
SHARES = "top_shares"  # the layer of how much each token counts, (B, h, w, 1), of a network that weighs them
_EFFICIENTNET = ("block4a_expand_activation*block6a_expand_activation", 1)
_OF_FAMILY = {  # cam_layer, step
    Family.cnn: ("block3_relu*block4_relu", 1),
    Family.efficientnet: _EFFICIENTNET,
    Family.efficientnet_v2: _EFFICIENTNET,
    Family.efficientnet_lite: _EFFICIENTNET,
    Family.cct: (f"block5{ATTENDED}", 1),
    Family.hybrid_lite: (f"block4a_expand_activation*block9{ATTENDED}", 1),
    Family.slices_lite: _EFFICIENTNET,
    Family.cnn_3d: ("block3_relu", 1),
    Family.resnet_3d: ("block2a_relu", 1),
    Family.vit: (f"block12{ATTENDED}", 16),
}

BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {name: Backbone(name, family, variant, size, *_OF_FAMILY[family]) for name, family, variant, size in _ROWS}
)


def get_backbone(name: str) -> Backbone:
    """Return the registry row of a name.

    Raises:
        InputError: the name is not in the registry; the message gives the nearest names, or all of them.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name, BACKBONES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(BACKBONES)}"
    raise InputError(f"model={name} is unknown: {hint}")


def image_size(config: TrainConfig) -> int:
    """Pixels a side of slices: `data.image_size`, or the backbone's native resolution."""
    return config.data.image_size or get_backbone(config.model.name).native_size


def input_shape(config: TrainConfig) -> tuple[int, ...]:
    """Of what the model takes: (S, S, 3) of slices, (D, H, W, 1) of whole volumes."""
    if config.data.volume_shape is not None:
        return (*config.data.volume_shape, 1)
    return (image_size(config), image_size(config), 3)


def check_head(name: str, head: str) -> None:
    """Raise InputError for a head that cannot stand on a backbone."""
    if head == "evidence" and get_backbone(name).whole:
        raise InputError(f"model.head=evidence draws its map of slices, and {name} takes whole volumes: leave it out")
    if head == "attention" and not get_backbone(name).by_slice:
        raise InputError(f"model.head=attention weighs the slices of a volume, and {name} does not look at single ones")
    if head == "evidence" and "*" not in get_backbone(name).cam_layer:
        raise InputError(
            f"model.head=evidence draws its map of activations at an 8th and a 16th of the side, and {name} has "
            "no such two: give model.head=pooled, or model=hybrid_lite0"
        )


def check_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raise InputError for an `input_shape` that a backbone cannot take."""
    backbone = get_backbone(name)
    if backbone.whole != (len(shape) == 4):
        whole = ", ".join(each for each, row in BACKBONES.items() if row.whole)
        if backbone.whole:
            raise InputError(f"model={name} takes whole volumes: give data=volumes or data=phantom_volumes")
        raise InputError(f"model={name} takes slices, and the data are whole volumes: give one of model={whole}")
    if backbone.whole:
        return
    step, size = backbone.step, shape[0]
    if size < MIN_SIZE:
        raise InputError(f"data.image_size={size} is too small: {name} needs at least {MIN_SIZE} pixels")
    if size % step:
        near = f"{size // step * step} or {-(-size // step) * step}"
        raise InputError(
            f"data.image_size={size} cannot be cut into patches of {step} pixels, as {name} does: give {near}"
        )
