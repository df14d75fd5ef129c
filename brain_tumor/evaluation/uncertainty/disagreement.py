"""Disagreement among an ensemble's networks as a measure of doubt, beside the confidence of their mean.

It is the mean Kullback-Leibler divergence of the networks' probabilities from their mean, in nats: the entropy of the
mean less the mean of the entropies, which is the mutual information of the answer and the network (Lakshminarayanan et
al. 2017, arXiv:1612.01474; Depeweg et al. 2018, arXiv:1710.07283).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.bootstrap import drawn_groups, percentiles
from brain_tumor.evaluation.metrics import HEADLINE, Evaluation, score
from brain_tumor.evaluation.prediction import predict
from brain_tumor.evaluation.uncertainty.abstention import risk_coverage
from brain_tumor.evaluation.views import in_pairs
from brain_tumor.lazy import lazy
from brain_tumor.models.members import prefixes

keras = lazy("keras")
scipy = lazy("scipy")

Array = NDArray[np.float64]


def of_members(model: Any, dataset: Dataset, part: str, *, batch_size: int, views: int = 1) -> list[Array]:
    """The probabilities (N, C) of each network of an ensemble for a part; none of a single network.

    With several `views` of each image (`views.in_pairs`) the mean over these.
    """
    names = prefixes(model)
    rows = dataset.pixel_rows[dataset.rows(part)]
    if len(names) == 1:
        return []
    outputs = [model.get_layer(f"{each}probabilities").output for each in names]
    whole = keras.Model(model.inputs, keras.ops.concatenate(outputs, axis=-1))
    whole.jit_compile = False  # measured 7 times slower on a CPU

    def asked(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = [whole.predict_on_batch(view.of(images)) for view in in_pairs(views)]
        return np.asarray(np.mean(found, axis=0))

    every = predict(asked, dataset.pixels, rows, batch_size=batch_size, title=f"asking all of {part}")
    return [np.asarray(each / each.sum(axis=1, keepdims=True)) for each in np.split(every, len(names), axis=1)]


def disagreement(members: list[Array]) -> Array:
    """(N,), at least 0: how far the networks' probabilities, each (N, C), are from their mean."""
    every = np.stack(members)
    found = scipy.special.rel_entr(every, every.mean(axis=0)).sum(axis=2).mean(axis=0)
    return np.asarray(found)


def alone(evaluation: Evaluation, members: list[Array]) -> pd.DataFrame:
    """The scores of each network by itself on the images of an evaluation of their mean: `member`, and HEADLINE."""
    rows = [score(replace(evaluation, probabilities=each, uncalibrated=None)) for each in members]
    table = pd.DataFrame([{name: row[name] for name in HEADLINE} for row in rows])
    table.insert(0, "member", range(1, len(members) + 1))
    return table


def compare(evaluation: Evaluation, doubt: Array, resamples: int, seed: int = 0) -> pd.DataFrame:
    """The area under risk and coverage with images ranked by their confidence, by `doubt` (N,), and the difference.

    Lower is better. Columns `by`, `aurc`, `low`, `high`: 95 % intervals, resampled by group, for both alike.
    """
    ranked = (evaluation.confidences, -doubt)
    correct = evaluation.correct

    def areas(rows: NDArray[np.int64]) -> list[float]:
        first, second = (risk_coverage(each[rows], correct[rows]).area for each in ranked)
        return [first, second, second - first]

    member, names = pd.factorize(evaluation.rows["group"])
    bounds = np.full((2, 3), np.nan)
    if len(names) > 1:
        draws = (counts for chunk in drawn_groups(len(names), resamples, seed, chunk=100) for counts in chunk)
        bounds = percentiles(np.array([areas(np.repeat(np.arange(len(member)), counts[member])) for counts in draws]))
    found = {"by": ["confidence", "disagreement", "difference"], "aurc": areas(np.arange(len(member)))}
    return pd.DataFrame({**found, "low": bounds[0], "high": bounds[1]})
