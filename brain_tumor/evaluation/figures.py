"""The pictures of a run: how it was trained and what it scored. They read numbers, never a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from brain_tumor.evaluation.drawing import (
    ACCENT,
    BEST,
    FAINT,
    FEW,
    INK,
    class_colour,
    class_ticks,
    new_figure,
    save,
    short_name,
    tidy,
)
from brain_tumor.evaluation.metrics import Evaluation, reliability_bins, score
from brain_tumor.evaluation.sheets import gradcam_sheet, mistakes
from brain_tumor.evaluation.uncertainty import abstention
from brain_tumor.lazy import lazy

sklearn = lazy("sklearn")

__all__ = ["confusion", "curves", "gradcam_sheet", "mistakes", "reliability", "risk_coverage", "roc", "save"]


def curves(history: Sequence[Mapping[str, Any]], *, best_step: int, title: str) -> Figure:
    """Accuracy and loss over the epochs, a row of axes per phase.

    Args:
        history: a row per epoch: `phase`, `step` (1-based, continuous over the phases), `train/accuracy`,
            `val/accuracy`, `train/loss`, `val/loss`, `learning_rate`.
        best_step: the epoch whose weights were kept; it is marked.
        title: what was trained on what.
    """
    phases = list(dict.fromkeys(row["phase"] for row in history))
    figure = new_figure(10, 0.8 + 2.8 * len(phases), title)
    grid = figure.subplots(len(phases), 2, squeeze=False)
    for phase, pair in zip(phases, grid, strict=True):
        rows = [row for row in history if row["phase"] == phase]
        for metric, axes in zip(("accuracy", "loss"), pair, strict=True):
            _curve(axes, rows, metric, best_step)
            axes.set_title(f"{phase}: {metric}", loc="left", fontsize=10, color=INK, parse_math=False)
        rates = [f"{row['learning_rate']:.2g}" for row in (rows[0], rows[-1])]
        rate = rates[0] if rates[0] == rates[1] else " → ".join(rates)
        pair[1].set_title(f"learning rate {rate}", loc="right", fontsize=8, color=FAINT)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    return figure


def _curve(axes: Axes, rows: list[Mapping[str, Any]], metric: str, best_step: int) -> None:
    steps = [row["step"] for row in rows]
    for part, colour in (("train", FAINT), ("val", ACCENT)):
        values = [row[f"{part}/{metric}"] for row in rows]
        axes.plot(steps, values, "o-", color=colour, markersize=3, linewidth=1.6, label=part)
    for row in rows:
        if row["step"] == best_step:
            value = row[f"val/{metric}"]
            label = f"best epoch {best_step}: {value:.3f}"
            axes.axvline(best_step, color=BEST, linewidth=1, linestyle=":")
            axes.plot([best_step], [value], "*", color=BEST, markersize=12, label=label, zorder=4)
    axes.set_xlim(steps[0] - 0.5, steps[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.legend(fontsize=8, framealpha=0.9, loc="lower right" if metric == "accuracy" else "upper right")
    tidy(axes)


def confusion(evaluation: Evaluation) -> Figure:
    """Confusion matrix, truth by row: images on the left, shares of each row on the right."""
    size = len(evaluation.classes)
    cells = evaluation.labels * size + evaluation.predictions
    counts = np.bincount(cells, minlength=size * size).reshape(size, size)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    hits = int(np.trace(counts))
    side = max(5.5, 2 + 0.5 * size)  # inches
    title = f"Confusion: {evaluation.title} ({hits} of {len(evaluation.rows)} images right)"
    figure = new_figure(2 * side, side - 0.6, title)
    left, right = figure.subplots(1, 2)
    texts = [[str(count) for count in row] for row in counts]
    _matrix(left, np.nan_to_num(shares), texts, evaluation.classes, "images")
    texts = [["–" if np.isnan(share) else f"{share:.1%}" for share in row] for row in shares]
    _matrix(right, np.nan_to_num(shares), texts, evaluation.classes, "share of the true class")
    return figure


def _matrix(
    axes: Axes, shares: NDArray[np.float64], texts: list[list[str]], classes: tuple[str, ...], title: str
) -> None:
    # Both matrices are shaded by share, or a large class would hide the errors of a small one.
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 11 if len(classes) <= FEW else 8
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else INK
        axes.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=size)
    class_ticks(axes, classes)
    axes.set_yticks(range(len(classes)), [label.get_text() for label in axes.get_xticklabels()])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, color=INK)


def reliability(evaluation: Evaluation) -> Figure:
    """Accuracy against confidence (top label, in 15 bins), and below how many images have that confidence.

    Of a calibrated model also the accuracy of the bins before.
    """
    bins = reliability_bins(evaluation)
    scores = score(evaluation)
    facts = f"expected calibration error {scores['ece']:.3f}, Brier score {scores['brier']:.3f}"
    before = evaluation.before
    if before is not None:
        facts += f" (before calibration {score(before)['ece']:.3f}, {score(before)['brier']:.3f})"
    figure = new_figure(6.2, 6.8, f"Reliability: {evaluation.title}")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    filled = bins.counts > 0
    width = np.diff(bins.edges)
    upper.bar(bins.edges[:-1], np.nan_to_num(bins.accuracy), width, align="edge", color="#A6CBE3", edgecolor="white")
    upper.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="perfect calibration")
    upper.plot(bins.confidence[filled], bins.accuracy[filled], "o", color=ACCENT, label="mean of a bin")
    if before is not None:
        old = reliability_bins(before)
        there = old.counts > 0
        upper.plot(
            old.confidence[there], old.accuracy[there], "o--", color=BEST, mfc="none", label="before calibration"
        )
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("accuracy")
    upper.set_title(facts, fontsize=9, color=INK)
    upper.legend(fontsize=8, loc="upper left")
    lower.bar(bins.edges[:-1], bins.counts, width, align="edge", color=FAINT, edgecolor="white")
    lower.set_xlim(0, 1)
    lower.set_xlabel("confidence (probability of the predicted class)")
    lower.set_ylabel("images")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for axes in (upper, lower):
        tidy(axes)
    return figure


def risk_coverage(evaluation: Evaluation, threshold: float) -> Figure:
    """Share of wrong answers against the share of images answered, from the most confident on; a star at the threshold.

    A dotted line shows what an ideal confidence would do, that ranks every wrong answer last.
    """
    curve = abstention.risk_coverage(evaluation.confidences, evaluation.correct)
    ideal = abstention.risk_coverage(evaluation.correct.astype(np.float64), evaluation.correct)
    figure = new_figure(6.2, 4.6, f"Risk and coverage: {evaluation.title}")
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.risk, color=ACCENT, linewidth=1.8, label=f"AURC {curve.area:.4f}")
    axes.plot([0, *ideal.coverage], [0, *ideal.risk], ":", color=FAINT, label="an ideal confidence")
    answered, accuracy = abstention.selective(evaluation.confidences, evaluation.correct, threshold)
    if answered:
        label = f"from a confidence of {threshold:.3f}: {answered:.1%} answered, {accuracy:.1%} rightly"
        axes.plot([answered], [1 - accuracy], "*", color=BEST, markersize=12, label=label, zorder=4)
    axes.set(xlabel="coverage: share of images answered", ylabel="risk: share of the answers that are wrong")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=None))
    tidy(axes)
    return figure


def roc(evaluation: Evaluation) -> Figure:
    """One-vs-rest ROC curves, whole on the left, the corner that matters on the right.

    A class without an image, or with every image, has no curve: the legend says so.
    """
    scores = score(evaluation)
    few, columns = len(evaluation.classes) <= FEW, 4
    height = 5.2 if few else 5.4 + 0.24 * -(-len(evaluation.classes) // columns)
    figure = new_figure(11, height, f"ROC, one class against the rest: {evaluation.title}")
    whole, corner = figure.subplots(1, 2)
    styles = ("-", "--", "-.", ":")
    for index, name in enumerate(evaluation.classes):
        area = scores[f"roc_auc_{name}"]
        shown = short_name(name, 20)
        label = f"{shown}: no curve" if np.isnan(area) else f"{shown}: AUC {area:.4f}"
        points: tuple[Any, Any] = ([], [])
        if not np.isnan(area):
            points = sklearn.metrics.roc_curve(evaluation.labels == index, evaluation.probabilities[:, index])[:2]
        for axes in (whole, corner):
            style, colour = styles[index % len(styles)], class_colour(index)
            axes.plot(*points, style, color=colour, linewidth=1.8, label=label, clip_on=axes is corner)
    whole.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (1, 3)))
    whole.set(xlim=(0, 1), ylim=(0, 1), title=f"macro AUC {scores['roc_auc']:.4f}")
    corner.set(xlim=(-0.002, 0.2), ylim=(0.8, 1.002), title="upper left corner")
    if few:
        whole.legend(fontsize=9, loc="lower right")
    else:
        figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=8)
    for axes in (whole, corner):
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.title.set_fontsize(10)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.set_major_locator(MaxNLocator(nbins=5))
        tidy(axes)
    return figure
