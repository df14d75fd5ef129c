"""The one place where a model meets images for measuring: validation, test and `evaluate` all call it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.pixels import Pixels, at_once
from brain_tumor.lazy import lazy
from brain_tumor.models.onnx_model import OnnxModel
from brain_tumor.progress import progress

keras = lazy("keras")

EVALUATION_BATCH = 64
Change = Callable[[NDArray[np.uint8], slice], NDArray[np.uint8]]  # a batch and its place in the rows -> a batch


class Answers(NamedTuple):
    """What a classifier puts out for B images."""

    probabilities: NDArray[np.float32]  # (B, C)
    logits: NDArray[np.float32]  # (B, C)
    features: NDArray[np.float32]  # (B, D) pooled, before the head
    lesion_map: NDArray[np.float32] | None = None  # (B, h, w, 1) in 0..1, of a model that reads its answer from one

    def part(self, rows: slice) -> "Answers":
        """The same for some of the images."""
        drawn = None if self.lesion_map is None else self.lesion_map[rows]
        return Answers(self.probabilities[rows], self.logits[rows], self.features[rows], drawn)


# The layers that give them: models/heads.py
LAYERS = dict(zip(Answers._fields, ("probabilities", "logits", "avg_pool", "lesion_map"), strict=True))
Runtime = Callable[[NDArray[np.uint8]], Answers]  # of RGB 0..255 (B, H, W, 3); a model in whatever runs it


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a classifier says of N images, and what it says it by."""

    probabilities: NDArray[np.float64]  # (N, C), each row sums to 1
    logits: NDArray[np.float64]  # (N, C)
    features: NDArray[np.float32]  # (N, D) pooled, before the head
    lesion_map: NDArray[np.float32] | None = None  # (N, h, w), of a model that draws one

    def take(self, indices: NDArray[np.int64]) -> "Outputs":
        """The same for some of the images, by position, in the order given."""
        drawn = None if self.lesion_map is None else self.lesion_map[indices]
        return Outputs(self.probabilities[indices], self.logits[indices], self.features[indices], drawn)


def predict(
    model: Any,
    pixels: Pixels,
    rows: NDArray[np.int64],
    *,
    batch_size: int = EVALUATION_BATCH,
    title: str | None = None,
    change: Change | None = None,
) -> NDArray[np.float64]:
    """Class probabilities (len(rows), C), each row summing to 1, of `pixels[rows]`.

    `model` is a Keras classifier, an `observing` one, or a Runtime. `pixels` is uint8 (N, H, W, 3) RGB, or whole
    volumes (N, D, H, W, C), memory-mapped or not; only one batch is held at a time, of volumes a smaller one. `title`
    names a progress bar; None draws none. `change` makes of each batch, and the slice of `rows` that it holds, what the
    model sees instead.
    """
    batches = _batches(model, pixels, rows, batch_size, title, change)
    return _normalised(np.concatenate([_probabilities(each) for each in batches]))


def ask(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Class probabilities (B, C) of one batch of images, by whatever `predict` takes."""
    return _probabilities(_run_of(model)(images)).astype(np.float64)


def observing(model: Any) -> Any:
    """A classifier with all of `Answers` as its outputs, of the same layers; for `observe`.

    Made once for several parts: TensorFlow traces each such model anew.
    """
    if isinstance(model, OnnxModel):
        return model.observed
    return keras.Model(model.inputs, list(answers_of_layers(model).values()))


def answers_of_layers(model: Any) -> dict[str, Any]:
    """The symbolic outputs of a classifier's layers by the fields of `Answers`; a lesion map where it draws one."""
    draws = any(layer.name == LAYERS["lesion_map"] for layer in model.layers)
    return {field: model.get_layer(name).output for field, name in LAYERS.items() if draws or field != "lesion_map"}


def answering(observed: Any) -> Runtime:
    """An `observing` model as a Runtime."""
    run = _run_of(observed)
    return lambda images: Answers(*run(images))


def observe(
    observed: Any,
    pixels: Pixels,
    rows: NDArray[np.int64],
    *,
    batch_size: int = EVALUATION_BATCH,
    title: str | None = None,
) -> Outputs:
    """As `predict`, with all outputs of an `observing` model or a Runtime; `rows` may be empty."""
    chunks = [Answers(*each) for each in _batches(observed, pixels, rows, batch_size, title)]
    if not chunks:  # a black image shows how wide the outputs are
        black = answering(observed)(np.zeros((1, *pixels.shape[1:]), np.uint8))
        chunks = [black.part(slice(0))]
    probabilities, logits, features, drawn = zip(*chunks, strict=True)
    return Outputs(
        _normalised(np.concatenate(probabilities)),
        np.concatenate(logits).astype(np.float64),
        np.concatenate(features).astype(np.float32),
        None if drawn[0] is None else np.concatenate(drawn)[..., 0],
    )


def _batches(
    model: Any,
    pixels: Pixels,
    rows: NDArray[np.int64],
    batch_size: int,
    title: str | None,
    change: Change | None = None,
) -> Iterator[Any]:
    run, batch_size = _run_of(model), at_once(pixels.shape[1:], batch_size)
    with progress(len(rows), title or "", disable=title is None) as bar:
        for start in range(0, len(rows), batch_size):
            taken = slice(start, start + batch_size)
            batch = np.asarray(pixels[rows[taken]])
            if change is not None:
                batch = change(batch, taken)
            yield run(batch)
            bar.update(len(batch))


def _run_of(model: Any) -> Callable[[NDArray[np.uint8]], Any]:
    if not hasattr(model, "predict_on_batch"):
        return model  # type: ignore[no-any-return]  # a Runtime
    if not getattr(model, "compiled", False):
        model.jit_compile = False  # measured 7 times slower on a CPU
    return model.predict_on_batch  # type: ignore[no-any-return]


def _probabilities(found: Any) -> NDArray[Any]:
    return np.asarray(found if isinstance(found, np.ndarray) else found[0])


def _normalised(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    # float32 softmax sums to 1 within 1e-7; the metrics in float64 check it more strictly.
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))
