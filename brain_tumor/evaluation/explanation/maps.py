"""Maps at the resolution of the image: averaged over shifted and mirrored views of it, multiplied over layers.

One map of a layer that has a cell for 16 x 16 pixels can neither say where in its cell something lies nor is it the
same when the image moves by half a cell. The mean over views that move within a cell says it (as test-time
augmentation does for predictions; Smilkov et al. 2017, "SmoothGrad", average over noise, which these classifiers do not
bear). A layer further up knows what, one further down where: their product keeps what both see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.config.train import AND
from brain_tumor.data.pixels import at_once
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, PRODUCT, Kind, described, layer_maps, output_of
from brain_tumor.evaluation.views import views
from brain_tumor.lazy import lazy
from brain_tumor.models.backbones import ATTENDED
from brain_tumor.models.members import prefixes
from brain_tumor.progress import progress

cv2 = lazy("cv2")
keras = lazy("keras")
scipy = lazy("scipy")

Maps = NDArray[np.float32]
Mapper = Callable[[NDArray[np.uint8], NDArray[np.int64]], list[Maps]]  # of images (N, H, W, 3) and classes (N,)


@dataclass(frozen=True, eq=False)
class Explainer:
    """A model and how its maps are made."""

    model: Any  # keras.Model
    method: str  # a key of METHODS, EVIDENCE or ROLLOUT
    layer: str  # one name, or several with PRODUCT between them; of an ensemble see `layer_of`
    views: int

    @property
    def name(self) -> str:
        """For titles: method, layers and views."""
        networks = len(prefixes(self.model))
        mean = f", mean of {networks} networks" if networks > 1 and self.method != EVIDENCE else ""
        return described(self.method, self.layer) + mean + (f", {self.views} views" if self.views > 1 else "")

    @cached_property
    def make(self) -> "Mapper":
        """The `mapper` of this kind alone, made once: tracing its graph takes as long as hundreds of maps."""
        return mapper(self.model, [(self.method, self.layer)], self.views)


def explain(
    explainer: Explainer,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    *,
    batch_size: int = 16,
    title: str | None = None,
) -> Maps:
    """Explain a class of each image.

    Args:
        explainer: what explains.
        images: (N, H, W, 3) RGB 0..255, or volumes (N, D, H, W, C).
        classes: (N,) index of the class to explain, usually the predicted one.
        batch_size: images at a time; it does not change the maps.
        title: names a progress bar; None draws none.

    Returns:
        (N, H, W) float32 in [0, 1], with 1 at each map's maximum; all 0 where nothing speaks for the class. A lesion
        map keeps its values: 0.5 and more is lesion. Of volumes (N, D, H, W).

    Raises:
        InputError: the layer or the method is unknown, or the layer's output is no map that feeds the logits.
    """
    batch_size = at_once(images.shape[1:], batch_size)
    maps = np.empty(images.shape[:-1], dtype=np.float32)
    with progress(len(images), title or "", disable=title is None) as bar:
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            maps[part] = explainer.make(np.asarray(images[part]), classes[part])[0]
            bar.update(len(maps[part]))
    return maps


def mapper(model: Any, kinds: Sequence[Kind], count: int) -> Mapper:
    """Function of one batch of images and classes that gives the map of each kind, as `explain` does for one.

    Layers that several kinds share, and all methods at them, come from the same pass through the model. Weights that
    change later are followed. An ensemble's map is the mean of its members', each of which explains its own logits.
    """
    makes = [_mapper(model, before, kinds, count) for before in prefixes(model)]
    if len(makes) == 1:
        return makes[0]

    def run(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> list[Maps]:
        means = [np.mean(maps, axis=0) for maps in zip(*(make(images, classes) for make in makes), strict=True)]
        return [mean if method == EVIDENCE else normalise(mean) for (method, _), mean in zip(kinds, means, strict=True)]

    return run


def _mapper(model: Any, before: str, kinds: Sequence[Kind], count: int) -> Mapper:
    """`mapper` of one network in `model`, whose layers have `before` before their names."""
    kinds = [(method, layer_of(model, before, layer)) for method, layer in kinds]
    single = list(dict.fromkeys((method, name) for method, layer in kinds for name in layer.split(PRODUCT)))
    differentiate = layer_maps(model, single, f"{before}logits")
    seen = views(count)
    outputs = model.get_layer("logits").output.shape[-1]

    def run(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> list[Maps]:
        if len(images) != len(classes) or not np.all((classes >= 0) & (classes < outputs)):
            raise ValueError(f"each of the {len(images)} images needs a class from 0 to {outputs - 1}")
        size = images.shape[1:-1]
        sums: dict[Kind, Maps] = {}
        for view in seen:
            for kind, small in zip(single, differentiate(view.of(images), classes), strict=True):
                sums[kind] = sums.get(kind, np.float32(0)) + view.back(upsample(small, size))
        whole = {
            kind: total / np.float32(len(seen)) if kind[0] == EVIDENCE else normalise(total)
            for kind, total in sums.items()
        }
        return [
            whole[method, layer]
            if method == EVIDENCE
            else normalise(np.prod([whole[method, name] for name in layer.split(PRODUCT)], axis=0))
            for method, layer in kinds
        ]

    return run


def upsample(maps: Maps, size: tuple[int, ...]) -> Maps:
    """Enlarge maps (N, h, w) to `size` (H, W), or (N, d, h, w): linear, each value standing at its cell's centre."""
    if len(size) == 3:
        zoom = (1.0, *(side / cells for side, cells in zip(size, maps.shape[1:], strict=True)))
        return np.asarray(scipy.ndimage.zoom(maps, zoom, order=1, mode="nearest", grid_mode=True), np.float32)
    enlarged = np.empty((len(maps), *size), dtype=np.float32)
    for index, values in enumerate(maps):
        cv2.resize(values.astype(np.float32), size[::-1], dst=enlarged[index], interpolation=cv2.INTER_LINEAR)
    return enlarged


def normalise(maps: Maps) -> Maps:
    """Each map (N, …) divided by its maximum; one that is 0 everywhere stays."""
    peak = maps.max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.asarray(np.divide(maps, peak, out=np.zeros_like(maps), where=peak > 0))


def layer_of(model: Any, before: str, layer: str) -> str:
    """The names in `model` of the layers that `layer` means in its network whose names begin with `before`.

    Between AND stand layers for networks that differ: each takes the first that it has.
    """
    there = {each.name for each in model.layers}
    meant = [PRODUCT.join(f"{before}{name}" for name in each.split(PRODUCT)) for each in layer.split(AND)]
    return next((each for each in meant if set(each.split(PRODUCT)) <= there), meant[0])


def stages(model: Any) -> list[str]:
    """The last activation at each resolution from a quarter of the image's side downwards, the finest first.

    Of a transformer's blocks it is what the last one attends to; of an ensemble those that all members have.
    """
    first, *others = prefixes(model)
    found = [name.removeprefix(first) for name in _stages(model, first)]
    there = {each.name for each in model.layers}
    return [name for name in found if all(f"{before}{name}" in there for before in others)]


def _stages(model: Any, before: str) -> list[str]:
    width = model.input_shape[-2]
    last: dict[int, str] = {}
    for layer in model.layers:
        if not layer.name.startswith(before):
            continue
        is_stage = isinstance(layer, (keras.layers.Activation, keras.layers.ReLU)) or layer.name.endswith(ATTENDED)
        if is_stage and len(layer.output.shape) >= 4:
            last[layer.output.shape[-2]] = layer.name
    return [last[side] for side in sorted(last, reverse=True) if 1 < side <= -(-width // 4)]


def layer_choices(model: Any) -> list[str]:
    """What `explain.layer=auto` chooses from: each stage, and the products of neighbours among all but the coarsest."""
    every = stages(model)
    fine = every[:-1]
    runs = [fine[first:end] for first in range(len(fine)) for end in range(first + 2, len(fine) + 1)]
    return [*every, *(PRODUCT.join(names) for names in runs)]


def check_layer(model: Any, layer: str) -> None:
    """Raise InputError unless every layer that is named there gives a map."""
    networks = prefixes(model)
    for before in networks:
        names = layer_of(model, before, layer).split(PRODUCT)
        for name in names:
            try:
                output_of(model, name)
            except InputError as error:
                said = str(error)
                for each in networks:
                    said = said.replace(each, "")  # of each network the layers are given by their own names
                if len(names) > 1:
                    said = f"explain.layer={layer} is a product of {len(names)} layers, and {said}"
                raise InputError(said) from error
