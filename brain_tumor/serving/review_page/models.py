"""What the page asks of a model: answers, maps, and what is known of it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, METHODS, ROLLOUT
from brain_tumor.evaluation.explanation.kinds import has_map
from brain_tumor.evaluation.explanation.maps import Maps, layer_choices, mapper
from brain_tumor.evaluation.explanation.rollout import attended
from brain_tumor.lazy import lazy
from brain_tumor.models.heads import ATTENTION
from brain_tumor.serving.batching import batched
from brain_tumor.serving.predictor import Predictor, keras_predictor
from brain_tumor.serving.registered_model import RegisteredModel

keras = lazy("keras")

# Pixels (S, S, 3), index of the class to explain, layer -> method, but EVIDENCE -> map (S, S). Of whole volumes
# (D, H, W, C) and (D, H, W).
Explain = Callable[[NDArray[np.uint8], int, str], Mapping[str, Maps]]


@dataclass(frozen=True, eq=False)
class Volumes:
    """What a model of whole volumes takes."""

    shape: tuple[int, ...]  # (D, H, W, 1)
    spacing: tuple[float, ...] | None  # see `DataConfig`
    # Of (1, D, H, W, 1), how much each slice (D,) counts; None: it does not weigh them.
    attention: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None


@dataclass(frozen=True, eq=False)
class Shown:
    """A model of the page."""

    predictor: Predictor
    explain: Explain
    layers: tuple[str, ...]  # to choose from, the default first
    synthetic: bool  # trained on synthetic images
    card: str  # Markdown
    methods: tuple[str, ...] = tuple(METHODS)  # that there are maps of it by
    trained_on: str = ""
    takes: Volumes | None = None  # None: slices

    @property
    def name(self) -> str:
        """`brain-tumor/3` of `models:/brain-tumor/3`; of a model that has no name, `run` and the id's beginning."""
        kind, _, rest = self.predictor.uri.partition(":/")
        return f"run {rest[:8]}" if kind == "runs" else rest

    @property
    def draws(self) -> bool:
        """Whether it reads its answer from a lesion map, which comes with the answer."""
        return EVIDENCE in self.methods


@contextmanager
def shown(
    registered: RegisteredModel,
    default_layer: str,
    views: int,
    card: str,
    spacing: tuple[float, ...] | None = None,
) -> Iterator[Shown]:
    """A registered model for any number of threads; `spacing` is that of the volumes it was trained on, if any."""
    shape = tuple(registered.model.input_shape[1:])
    predictor = keras_predictor(registered.model, registered.uri, registered.classes, registered.uncertainty)
    layers = tuple(dict.fromkeys((default_layer, *layer_choices(registered.model))))
    with batched(predictor.run) as run:
        yield Shown(
            predictor=replace(predictor, run=run),
            explain=explainer(registered.model, views),
            layers=layers,
            synthetic=registered.split.synthetic,
            card=card,
            methods=methods_of(registered.model),
            trained_on=registered.split.name,
            takes=Volumes(shape, spacing, attention(registered.model)) if len(shape) == 4 else None,
        )


def methods_of(model: Any) -> tuple[str, ...]:
    """The methods that make maps of a model; the lesion map that it reads its answer from, if any, is the first."""
    return (*([EVIDENCE] if has_map(model) else []), *METHODS, *([ROLLOUT] if attended(model) else []))


def attention(model: Any) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
    """How much each slice of a volume counts for a model that weighs them, for any number of threads; else None."""
    if not any(layer.name == ATTENTION for layer in model.layers):
        return None
    weighing = keras.Model(model.inputs, model.get_layer(ATTENTION).output)
    return lambda volume: np.asarray(weighing([volume], training=False), np.float32).reshape(-1)


def explainer(model: Any, views: int) -> Explain:
    """Explains one image at a time, for any number of threads; a layer's graph is made when it is first asked for.

    All come from one pass but EVIDENCE, which came with the answer, so that whoever compares them waits once.
    """
    ready: dict[str, Callable[[NDArray[np.uint8], NDArray[np.int64]], list[Maps]]] = {}
    lock, last = threading.Lock(), attended(model)[-1:]
    methods = [*METHODS, *(ROLLOUT for _ in last)]

    def explain(pixels: NDArray[np.uint8], label: int, layer: str) -> Mapping[str, Maps]:
        with lock:
            if layer not in ready:
                ready[layer] = mapper(
                    model, [*((method, layer) for method in METHODS), *((ROLLOUT, name) for name in last)], views
                )
            found = ready[layer](pixels[None], np.array([label]))
        return {method: maps[0] for method, maps in zip(methods, found, strict=True)}

    return explain
