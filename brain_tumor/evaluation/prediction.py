"""The one place where a model meets images for measuring: validation, test and `evaluate` all call it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.progress import progress

EVALUATION_BATCH = 64


def predict(
    model: Any,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    batch_size: int = EVALUATION_BATCH,
    title: str | None = None,
    change: Callable[[NDArray[np.uint8], slice], NDArray[np.uint8]] | None = None,
) -> NDArray[np.float64]:
    """Class probabilities (len(rows), C), each row summing to 1, of `pixels[rows]`.

    `pixels` is (N, H, W, 3) uint8 RGB, memory-mapped or not; only one batch is held at a time. `title` names a
    progress bar; None draws none. `change` makes of each batch, and the slice of `rows` that it holds, what the model
    sees instead.
    """
    if not getattr(model, "compiled", False):
        model.jit_compile = False  # measured 7 times slower on a CPU
    chunks = []
    with progress(len(rows), title or "", disable=title is None) as bar:
        for start in range(0, len(rows), batch_size):
            taken = slice(start, start + batch_size)
            batch = np.asarray(pixels[rows[taken]])
            if change is not None:
                batch = change(batch, taken)
            chunks.append(np.asarray(model.predict_on_batch(batch), dtype=np.float64))
            bar.update(len(batch))
    probabilities = np.concatenate(chunks)
    # float32 softmax sums to 1 within 1e-7; the metrics in float64 check it more strictly.
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))
