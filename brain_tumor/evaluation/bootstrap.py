"""How far a metric would move with other patients: intervals of a bootstrap by group.

Images of one group (a patient, or duplicates) are no independent draws, so whole groups are drawn with
replacement: the cluster bootstrap (Davison & Hinkley 1997, "Bootstrap methods and their application", section
3.8; Field & Welsh 2007, "Bootstrapping clustered data"). A resample is then a weight per image, how often its
group was drawn, and all metrics are computed for many weightings at once.

Intervals are percentile intervals (Efron & Tibshirani 1993, "An introduction to the bootstrap", chapter 13), but for
the calibration error (ECE): noise only ever adds to it (Kumar, Liang & Ma 2019, "Verified uncertainty calibration";
Roelofs et al. 2022, "Mitigating bias in calibration error estimation"), so resamples lie above the estimate as the
estimate lies above the truth, and the percentile interval can lie above both. It has the basic interval (Davison &
Hinkley 1997, section 5.2), which takes that bias away, cut at 0 and widened to hold the estimate where it would not.
Of a perfectly calibrated model it still misses the truth, 0, in about a third of all draws.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.evaluation.metrics import (
    CALIBRATION_BINS,
    CONFIDENT,
    Evaluation,
    confidence_bins,
    macro_headline,
    score,
)

_CHUNK = 2**21  # weights (resamples x images) held at a time: 16 MiB, and a few arrays of that size beside it


def intervals(evaluation: Evaluation, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> pd.DataFrame:
    """Metrics with bootstrap intervals, resampled by group; the head of this module says which.

    Args:
        evaluation: its rows' `group` says which images are drawn together.
        resamples: number of bootstrap resamples, at least 1.
        seed: the same seed gives the same intervals.
        level: coverage aimed at, in (0, 1).

    Returns:
        One row per metric of `score`, in its order: `metric`, `value` (on the images as they are), `low`,
        `high`. Resamples in which a metric is undefined (a class is missing) are left out of its interval.
        With fewer than two groups nothing can be said: `low` and `high` are NaN.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples={resamples} must be positive and level={level} between 0 and 1")
    values = score(evaluation)
    member, names = pd.factorize(evaluation.rows["group"], use_na_sentinel=False)
    bounds = {name: np.full(2, np.nan) for name in values}
    if len(names) > 1:
        replicates = _replicates(evaluation, np.asarray(member), len(names), resamples, seed)
        bounds = {name: _bounds(name, value, replicates[name], level) for name, value in values.items()}
    return pd.DataFrame(
        [(name, value, float(bounds[name][0]), float(bounds[name][1])) for name, value in values.items()],
        columns=["metric", "value", "low", "high"],
    )


def run_intervals(evaluations: Sequence[Evaluation], resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The mean of each metric over several evaluations, with 95 % intervals and the spread.

    Every resample draws the same groups for all of them, so the interval is that of the mean over these very models on
    other patients; it is NaN where the evaluations are not of the same images, row by row. `sd` (n - 1 in the
    denominator) is the spread over the models, NaN of a single one.

    Returns:
        Columns `metric`, `value`, `low`, `high`, `sd`; see `intervals`.
    """
    values = pd.DataFrame([score(each) for each in evaluations])
    member, names = pd.factorize(evaluations[0].rows["group"], use_na_sentinel=False)
    table = pd.DataFrame({"metric": values.columns, "value": values.mean().to_numpy()})
    table["low"] = table["high"] = np.nan
    same = all(each.rows["path"].tolist() == evaluations[0].rows["path"].tolist() for each in evaluations)
    if same and len(names) > 1:
        drawn = [_replicates(each, np.asarray(member), len(names), resamples, seed) for each in evaluations]
        means = {name: np.mean([each[name] for each in drawn], axis=0) for name in values.columns}
        rows = zip(table["metric"], table["value"], strict=True)
        table["low"], table["high"] = np.transpose([_bounds(name, value, means[name]) for name, value in rows])
    return table.assign(sd=values.std(ddof=1).to_numpy())


def _bounds(
    name: str, value: float, replicates: NDArray[np.float64], level: float = 0.95, *, least: float = 0.0
) -> NDArray[np.float64]:
    """Low and high (2,) of a metric that is `value` on the images and `replicates` (resamples,) on the resamples.

    Undefined replicates are left out. No calibration error lies below `least`; only a difference of two is negative.
    """
    low, high = percentiles(replicates, level)
    if name == "ece":
        low, high = min(value, max(least, 2 * value - high)), max(value, 2 * value - low)
    return np.array([low, high])


def _replicates(
    evaluation: Evaluation, member: NDArray[np.int64], groups: int, resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Each metric (resamples,)."""
    parts = [
        weighted_scores(evaluation, counts[:, member].astype(np.float64))
        for counts in drawn_groups(groups, resamples, seed, chunk=max(1, _CHUNK // len(member)))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def drawn_groups(groups: int, resamples: int, seed: int, *, chunk: int) -> Iterator[NDArray[np.int64]]:
    """How often each group is in each resample, (at most `chunk`, groups) at a time.

    The draws do not depend on how they are cut into chunks.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        drawn = rng.integers(groups, size=(min(chunk, resamples - start), groups))
        offsets = groups * np.arange(len(drawn))[:, None]
        yield np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape)


def paired_intervals(a: Evaluation, b: Evaluation, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The difference of each metric, `b` less `a`, with 95 % intervals, resampled by group.

    Every resample draws the same groups for both, so what makes an image hard for both cancels out.

    Args:
        a: its rows' `group` says which images are drawn together.
        b: of the same images, row by row.
        resamples: number of bootstrap resamples, at least 1.
        seed: the same seed gives the same intervals.

    Returns:
        One row per metric of `score`, in its order: `metric`, `a`, `b`, `difference`, `low`, `high`. Undefined metrics
        and a single group are treated as in `intervals`.
    """
    values = pd.DataFrame({"a": score(a), "b": score(b)})
    table = values.assign(difference=values["b"] - values["a"], low=np.nan, high=np.nan)
    member, names = pd.factorize(a.rows["group"], use_na_sentinel=False)
    if len(names) > 1:
        # The draws depend on the seed and the number of groups alone.
        of_a, of_b = (_replicates(each, np.asarray(member), len(names), resamples, seed) for each in (a, b))
        for name in table.index:
            value = float(table.loc[name, "difference"])
            table.loc[name, ["low", "high"]] = _bounds(name, value, of_b[name] - of_a[name], least=-np.inf)
    return table.rename_axis("metric").reset_index()


def weighted_scores(evaluation: Evaluation, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """All of `score`'s metrics, each (R,), for R weightings (R, N) of the images.

    Weights are at least 0, and no row is all 0. The same as scikit-learn's with `sample_weight`; a class
    whose images all weigh 0 is absent, as in `score`.
    """
    sums = _weighted_sums(evaluation, weights)
    size = len(evaluation.classes)
    confusion = sums.pop("confusion").reshape(-1, size, size)  # (R, true, predicted)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    support, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    everything = support.sum(axis=1, keepdims=True)
    true_negatives = everything - support - predicted + hits
    roc_auc, pr_auc = _areas(evaluation, weights)
    per_class = {
        "precision": _ratio(hits, predicted, otherwise=0.0),
        "recall": _ratio(hits, support),
        "specificity": _ratio(true_negatives, everything - support),
        "npv": _ratio(true_negatives, everything - predicted, otherwise=0.0),
        "f1": _ratio(2 * hits, support + predicted),
        "roc_auc": roc_auc,
        "pr_auc": pr_auc,
    }
    per_class = {name: np.where(support > 0, values, np.nan) for name, values in per_class.items()}
    macro = {name: _mean_of_defined(values) for name, values in per_class.items()}
    images = everything[:, 0]
    right = hits.sum(axis=1)
    confident = sums.pop("confident_mistakes")
    headline = {
        "accuracy": right / images,
        **macro_headline(macro),
        **{name: values / images for name, values in sums.items()},
        "confident_mistakes": _ratio(confident, images - right),
    }
    return headline | {
        f"{metric}_{name}": values[:, index]
        for metric, values in per_class.items()
        for index, name in enumerate(evaluation.classes)
    }


def _weighted_sums(evaluation: Evaluation, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """What is a weighted sum over images, in one matrix product: `confusion` (R, C * C), the others (R,)."""
    labels, probabilities = evaluation.labels, evaluation.probabilities
    size = len(evaluation.classes)
    cells = np.eye(size * size)[labels * size + evaluation.predictions]
    # scikit-learn's log_loss clips by the machine epsilon, too
    likely = np.clip(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps, 1)
    squares = np.square(probabilities - np.eye(size)[labels]).sum(axis=1)
    gaps = evaluation.correct - evaluation.confidences
    binned = np.eye(CALIBRATION_BINS)[confidence_bins(evaluation.confidences)] * gaps[:, None]
    confident = ~evaluation.correct & (evaluation.confidences > CONFIDENT)
    sums = weights @ np.column_stack([cells, -np.log(likely), squares, confident, binned])
    end = size * size
    return {
        "confusion": sums[:, :end],
        "log_loss": sums[:, end],
        "brier": sums[:, end + 1],
        "confident_mistakes": sums[:, end + 2],
        "ece": np.abs(sums[:, end + 3 :]).sum(axis=1),
    }


def _areas(evaluation: Evaluation, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One-vs-rest ROC AUC and average precision, each (R, C); the sort is shared by all weightings."""
    shape = (len(weights), len(evaluation.classes))
    roc_auc, pr_auc = np.empty(shape), np.empty(shape)
    labels = evaluation.labels
    for index in range(shape[1]):
        order = np.argsort(-evaluation.probabilities[:, index], kind="stable")
        ranked = evaluation.probabilities[order, index]
        # Images with equal scores enter at once: the curve has a point only after the last of them.
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        taken = weights[:, order]
        both = np.cumsum(taken, axis=1)[:, last]
        taken *= labels[order] == index
        positives = np.cumsum(taken, axis=1)[:, last]
        negatives = both - positives
        found = np.diff(positives, axis=1, prepend=0)
        height = positives - found / 2  # the trapezoid's mean height
        area = np.einsum("rn,rn->r", np.diff(negatives, axis=1, prepend=0), height)
        roc_auc[:, index] = _ratio(area, positives[:, -1] * negatives[:, -1])
        precision = _ratio(positives, both, otherwise=0.0)
        pr_auc[:, index] = _ratio(np.einsum("rn,rn->r", found, precision), positives[:, -1])
    return roc_auc, pr_auc


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64], otherwise: float = np.nan) -> NDArray[np.float64]:
    """`above / below`, and `otherwise` where `below` is 0."""
    return np.divide(above, below, out=np.full_like(below, otherwise), where=below > 0)


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean (R,) of each row of (R, C) without its NaNs; NaN where nothing is left."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))


def mean_intervals(
    values: NDArray[np.float64], groups: NDArray[np.str_], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, low and high (K,) of the columns of `values` (N, K): a percentile bootstrap over whole groups.

    NaNs have no say; see `drawn_means`.
    """
    defined = ~np.isnan(values)
    mean = _ratio(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0).astype(np.float64))
    low, high = percentiles(drawn_means(values, groups, resamples=resamples, seed=seed), level)
    return mean, low, high


def drawn_means(
    values: NDArray[np.float64], groups: NDArray[np.str_], *, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """The mean (resamples, K) of each column of `values` (N, K) where the same groups are drawn for all columns.

    A resample's mean is the ratio of the sums over the groups drawn, as in `intervals`, of what is not NaN; it is NaN
    where nothing is. With fewer than two groups all are.
    """
    member, names = pd.factorize(groups)
    if len(names) < 2:
        return np.full((resamples, values.shape[1]), np.nan)
    defined = ~np.isnan(values)
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, member, np.where(defined, values, 0))
    np.add.at(counts, member, defined)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return _ratio(drawn @ sums, drawn @ counts)


def percentiles(replicates: NDArray[np.float64], level: float = 0.95) -> NDArray[np.float64]:
    """Low and high (2, …) of `replicates` (resamples, …), of which undefined ones are left out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        return np.asarray(np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0))
