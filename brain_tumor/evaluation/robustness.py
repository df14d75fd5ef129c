"""How far accuracy falls when the same images are damaged: every corruption at every strength."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.bootstrap import drawn_groups
from brain_tumor.evaluation.corruptions import Corruption, Images, corrupter, corruptions_of
from brain_tumor.evaluation.metrics import Evaluation, score
from brain_tumor.evaluation.prediction import EVALUATION_BATCH, predict
from brain_tumor.progress import progress

CLEAN, ALL = "clean", "all"
_CHUNK = 256  # resamples held at a time


@dataclass(frozen=True, eq=False)
class Robustness:
    """Accuracy under corruption, with 95 % intervals, resampled by group.

    `means` has the columns corruption, accuracy, low, high: the mean over the strengths of each corruption, and in the
    row ALL over all of them. That is Hendrycks & Dietterich's (2019) mean, not divided by a reference model's, so that
    it reads as an accuracy; the clean images have no part in it.
    """

    title: str
    table: pd.DataFrame  # corruption, strength (0: CLEAN, then 1..5), parameter, accuracy, macro_f1, low, high
    means: pd.DataFrame

    @property
    def clean(self) -> float:
        """Accuracy on the images as they are."""
        return float(self.table["accuracy"].iloc[0])


def measure_robustness(
    model: Any,
    dataset: Dataset,
    part: str,
    clean: Evaluation,
    *,
    batch_size: int = EVALUATION_BATCH,
    resamples: int = 1000,
    corruptions: Sequence[Corruption] | None = None,
) -> Robustness:
    """Show a model all images of a part under each corruption, one strength after the other, batch by batch.

    An image is damaged alike for every model of its size, since what is random depends on its content alone.

    Args:
        model: takes uint8 RGB 0..255 (B, S, S, 3), or whole volumes (B, D, H, W, 1), as `predict`.
        dataset: at the model's resolution.
        part: its rows are measured.
        clean: the model's evaluation of that part.
        batch_size: images at a time; without influence on the result.
        resamples: behind each interval.
        corruptions: what is done; None: `corruptions_of` such images.
    """
    pixel_rows = dataset.pixel_rows[dataset.rows(part)]
    seeds = seeds_of(clean.rows)
    rows: list[tuple[str, int, float]] = [(CLEAN, 0, np.nan)]
    measured = [clean]
    for corruption in corruptions_of(dataset.shape) if corruptions is None else corruptions:
        title = f"{part} under {corruption.name}"
        with progress(len(pixel_rows) * len(corruption.strengths), title) as bar:
            for level, strength in enumerate(corruption.strengths, 1):
                corrupt = corrupter(corruption, strength, dataset.shape[-2])

                def damage(batch: Images, taken: slice, corrupt: Any = corrupt, bar: Any = bar) -> Images:
                    bar.update(len(batch))
                    return np.asarray(corrupt(batch, seeds[taken]), np.uint8)

                found = predict(model, dataset.pixels, pixel_rows, batch_size=batch_size, change=damage)
                rows.append((corruption.name, level, strength))
                measured.append(Evaluation(clean.rows, found, clean.classes, clean.title))
    return _robustness(rows, measured, resamples)


def seeds_of(rows: pd.DataFrame) -> list[int]:
    """What each image's corruptions are drawn by: its file's SHA-256, wherever it stands in whatever split."""
    return [int(sha, 16) for sha in rows["sha256"]]


def _robustness(rows: list[tuple[str, int, float]], measured: list[Evaluation], resamples: int) -> Robustness:
    table = pd.DataFrame(rows, columns=["corruption", "strength", "parameter"])
    correct = np.stack([each.correct for each in measured]).astype(np.float64)  # (K, N)
    table["accuracy"] = correct.mean(axis=1)
    table["macro_f1"] = [score(each)["macro_f1"] for each in measured]
    kinds = table["corruption"].drop_duplicates().tolist()[1:]
    averages = np.stack([(table["corruption"] == kind) / (table["corruption"] == kind).sum() for kind in kinds])
    averages = np.vstack([averages, averages.mean(axis=0)])  # (kinds + 1, K)
    resampled = _resampled_accuracy(correct, measured[0].rows["group"], resamples)
    table["low"], table["high"] = np.quantile(resampled, [0.025, 0.975], axis=0)
    means = pd.DataFrame({"corruption": [*kinds, ALL], "accuracy": averages @ table["accuracy"].to_numpy()})
    means["low"], means["high"] = np.quantile(resampled @ averages.T, [0.025, 0.975], axis=0)
    return Robustness(measured[0].title, table, means)


def _resampled_accuracy(correct: NDArray[np.float64], groups: pd.Series, resamples: int) -> NDArray[np.float64]:
    """Accuracies (resamples, K) of K measurements of the same images, `correct` (K, N).

    Each resample draws the same groups for all K, those of `bootstrap.intervals`. NaN with fewer than two groups.
    """
    member, names = pd.factorize(groups, use_na_sentinel=False)
    if len(names) < 2:
        return np.full((resamples, len(correct)), np.nan)
    sizes = np.bincount(member)
    hits = np.stack([np.bincount(member, row) for row in correct], axis=1)  # (groups, K)
    drawn = drawn_groups(len(names), resamples, 0, chunk=_CHUNK)
    return np.concatenate([(counts @ hits) / (counts @ sizes)[:, None] for counts in drawn])
