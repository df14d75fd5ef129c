"""Accuracy against the answers that stay without the lesion, over all decision thresholds of the healthy class.

    python experiments/evidence/frontier.py OUT.png 'NAME=MODEL_URI MODEL_URI …' 'NAME=…'

A model that says "healthy" sooner needs the lesion more, and misses more of them: so one network is no point but a
curve, along which a constant is added to the logit of the healthy class. Each NAME is a curve over the test parts of
its models, pooled, the networks of five folds for example; its dot is the constant 0, with which they answer.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.config.train import TrackingConfig, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.logged_split import load_logged
from brain_tumor.evaluation.explanation.removal import paint_over
from brain_tumor.evaluation.prediction import predict
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store

SHIFTS = np.linspace(-5, 5, 41)
BATCH = 64


def main(out: Path, curves: list[str]) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    start_tensorflow()
    table = []
    for curve in curves:
        name, uris = curve.split("=", 1)
        answers = [_answers(uri) for uri in tqdm(uris.split(), desc=name, disable=None)]
        for shift in SHIFTS:
            right, stays = (np.concatenate(each) for each in zip(*(_shifted(*a, shift) for a in answers), strict=True))
            table.append((name, shift, right.mean(), stays.mean(), len(right), len(stays)))
    frame = pd.DataFrame(table, columns=["curve", "shift", "accuracy", "kept_without_lesion", "slices", "lesions"])
    frame.to_csv(out.with_suffix(".csv"), index=False, float_format="%.4f")
    print(frame[frame["shift"] % 1 == 0].to_string(index=False, float_format="%.3f"))
    _draw(frame).savefig(out, dpi=110)


def _answers(uri: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], int]:
    """Log probabilities of a model's test part, and without the lesions of these places in it; labels; healthy."""
    registered = registry.load_model(uri)
    config = typed(TrainConfig, registered.config)
    dataset = load_logged(registered.split, config.data, root=None, shape=registered.model.input_shape[1:])
    rows = dataset.rows("test")
    labels = np.asarray(dataset.labels(rows), np.int64)
    classes = dataset.split.classes
    probabilities = predict(registered.model, dataset.pixels, dataset.pixel_rows[rows])
    masked, painted = [], []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        masks = dataset.mask_of(part)
        assert masks is not None
        known = np.flatnonzero(masks.any(axis=(1, 2)))
        if known.size:
            masked.append(start + known)
            without = paint_over(dataset.images(part[known]), masks[known])
            painted.append(registered.model.predict_on_batch(without))
    return (
        np.log(np.maximum(probabilities, 1e-12)),
        np.log(np.maximum(np.concatenate(painted).astype(np.float64), 1e-12)),
        labels,
        np.concatenate(masked),
        classes.index(classes.healthy or ""),
    )


def _shifted(
    logits: NDArray[np.float64],
    without: NDArray[np.float64],
    labels: NDArray[np.int64],
    masked: NDArray[np.int64],
    healthy: int,
    shift: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each answer is right, and whether those of known lesions that are right stay without them."""
    by = np.zeros(logits.shape[1])
    by[healthy] = shift
    right = (logits + by).argmax(axis=1) == labels
    stays = (without + by).argmax(axis=1) == labels[masked]
    return right, stays[right[masked]]


def _draw(frame: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot(
        xlabel="answers that stay with the lesion painted over (lower is better)", ylabel="accuracy"
    )
    for name, curve in frame.groupby("curve", sort=False):
        [line] = axes.plot(curve["kept_without_lesion"], curve["accuracy"], label=str(name))
        as_it_is = curve[curve["shift"] == 0]
        axes.plot(as_it_is["kept_without_lesion"], as_it_is["accuracy"], "o", color=line.get_color())
    axes.set_xlim(0, 1)
    axes.set_ylim(max(0.5, frame["accuracy"].max() - 0.25), 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
