"""What a classifier scores on one part: probabilities per image, and every metric derived from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.lazy import lazy

sklearn = lazy("sklearn")

T = TypeVar("T")

HEADLINE: tuple[str, ...] = (
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier",
    "ece",
    "confident_mistakes",
)
LOSSES: tuple[str, ...] = ("log_loss", "brier", "ece", "confident_mistakes")  # of these: lower is better
PER_CLASS: tuple[str, ...] = ("precision", "recall", "specificity", "npv", "f1", "roc_auc", "pr_auc")
CONFIDENT = 0.9  # a mistake above this confidence is a confident one
CALIBRATION_BINS = 15  # as in Guo et al. 2017, "On calibration of modern neural networks"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The probabilities that a model gave to the images of one part; everything else derives from them.

    Raises ValueError where rows, probabilities and classes do not fit each other.
    """

    rows: pd.DataFrame  # the rows of the split that were scored, (N): path, label, part, group, site, sha256
    probabilities: NDArray[np.float64]  # (N, C), each row sums to 1
    classes: tuple[str, ...]  # C names, in the order of the columns of `probabilities`
    title: str  # in every figure's title: what was measured ("test, official", "test, SYNTHETIC phantom")
    uncalibrated: NDArray[np.float64] | None = None  # (N, C) before calibration; None: the same, or unknown
    mark: str = ""  # what flatters the scores, in a word ("LEAKS", "CONTAMINATED"); the title has it, too

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.classes))
        if self.probabilities.shape != shape or not len(self.rows):
            raise ValueError(f"probabilities {self.probabilities.shape} do not fit (rows, classes) {shape}")
        # NaN fails these comparisons, too.
        total = self.probabilities.sum(axis=1)
        if not (np.all(self.probabilities >= 0) and np.allclose(total, 1, rtol=0, atol=1e-6)):
            raise ValueError("each row of probabilities must be at least 0 and sum to 1")
        odd = sorted(set(self.rows["label"]) - set(self.classes))
        if odd:
            raise ValueError(f"label {odd[0]!r} is none of {', '.join(self.classes)}")

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index (N,) of each row's true class."""
        return np.asarray(pd.Index(self.classes).get_indexer(pd.Index(self.rows["label"])), dtype=np.int64)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Index (N,) of each row's most probable class; the first of equals."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def confidences(self) -> NDArray[np.float64]:
        """Probability (N,), 0..1, of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether (N,) the prediction is the label."""
        return np.asarray(self.predictions == self.labels, dtype=np.bool_)

    @property
    def before(self) -> "Evaluation | None":
        """The same without the calibration; None where that is the same, or unknown."""
        if self.uncalibrated is None:
            return None
        return replace(self, probabilities=self.uncalibrated, uncalibrated=None)

    def marked(self, line: str) -> str:
        """A line that says something of these predictions, with what flatters them."""
        return f"{line} ({self.mark})" if self.mark else line

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Evaluation":
        """The same for some of the rows, by position, in the order given."""
        chosen = np.asarray(indices, dtype=np.int64)
        before = None if self.uncalibrated is None else self.uncalibrated[chosen]
        return replace(self, rows=self.rows.iloc[chosen], probabilities=self.probabilities[chosen], uncalibrated=before)

    def table(self) -> pd.DataFrame:
        """The rows with `prediction`, `correct` and a column `probability_<class>` per class."""
        table = self.rows.reset_index(drop=True)
        table["prediction"] = np.asarray(self.classes)[self.predictions]
        table["correct"] = self.correct
        for index, name in enumerate(self.classes):
            table[f"probability_{name}"] = self.probabilities[:, index]
        return table


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The predictions of several models, each of other images, as one evaluation, in which each slice counts once.

    Of copies (column `twin`), which several sites may hold, the first is kept. Raises ValueError if an image was
    predicted twice, or the classes differ.
    """
    rows = pd.concat([each.rows for each in evaluations], ignore_index=True)
    if rows["path"].duplicated().any() or len({each.classes for each in evaluations}) > 1:
        raise ValueError("only predictions of different images, for the same classes, can be pooled")
    probabilities = np.concatenate([each.probabilities for each in evaluations])
    title = f"{evaluations[0].title}, pooled over {len(evaluations)} models"
    first = np.flatnonzero(~rows["twin"].duplicated())
    if len(first) < len(rows):
        title += f", {len(rows) - len(first)} copies left out"
    return Evaluation(rows, probabilities, evaluations[0].classes, title, mark=evaluations[0].mark).take(first)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Equal-width bins of the confidence, (low, high]; confidence and accuracy are NaN in an empty bin."""

    edges: NDArray[np.float64]  # (B + 1,), 0..1
    counts: NDArray[np.int64]  # (B,) images
    confidence: NDArray[np.float64]  # (B,) mean confidence
    accuracy: NDArray[np.float64]  # (B,) share of correct predictions


def score(evaluation: Evaluation) -> dict[str, float]:
    """Every metric by name: HEADLINE, then `<metric>_<class>` for each of PER_CLASS and each class.

    - A class without an image in the rows has NaN for its own metrics, and every macro average is taken over
      the classes that are there. So `macro_recall` equals `balanced_accuracy`.
    - Recall is the sensitivity of a class against all others, precision its positive predictive value, `npv` its
      negative one.
    - Precision of a class that is never predicted is 0 (scikit-learn's `zero_division=0`), and so is the `npv` of one
      that always is. With a single class in the rows its specificity is undefined: NaN.
    - `roc_auc` and `pr_auc` are one-vs-rest; `pr_auc` is the average precision. With a single class in the
      rows ROC AUC is undefined: NaN.
    - `log_loss` in nats, with scikit-learn's clipping of zeros.
    - `brier` is Brier's (1950) own form for several classes: the squared error summed over classes, averaged
      over images, 0..2.
    - `ece`: expected calibration error of the top label (Guo et al. 2017), 15 bins of equal width, 0..1.
    - `confident_mistakes`: share of the mistakes whose confidence is above CONFIDENT; without a mistake NaN.
    """
    labels, probabilities = evaluation.labels, evaluation.probabilities
    present = np.unique(labels)
    every = np.arange(len(evaluation.classes))
    per_class = {name: np.full(len(every), np.nan) for name in PER_CLASS}
    found = sklearn.metrics.precision_recall_fscore_support(
        labels, evaluation.predictions, labels=present, zero_division=0
    )
    for name, values in zip(("precision", "recall", "f1"), found, strict=False):
        per_class[name][present] = values
    counts = sklearn.metrics.multilabel_confusion_matrix(labels, evaluation.predictions, labels=present)
    for row, index in enumerate(present):
        (true_negatives, false_positives), (false_negatives, _) = counts[row].tolist()
        per_class["npv"][index] = true_negatives / max(true_negatives + false_negatives, 1)
        if len(present) > 1:
            per_class["specificity"][index] = true_negatives / (true_negatives + false_positives)
        truth = labels == index
        per_class["pr_auc"][index] = sklearn.metrics.average_precision_score(truth, probabilities[:, index])
        if len(present) > 1:
            per_class["roc_auc"][index] = sklearn.metrics.roc_auc_score(truth, probabilities[:, index])
    macro = {name: float(values[present].mean()) for name, values in per_class.items()}
    bins = reliability_bins(evaluation)
    gaps = np.abs(bins.accuracy - bins.confidence)
    wrong, confident = ~evaluation.correct, evaluation.confidences > CONFIDENT
    headline = {
        "accuracy": float(sklearn.metrics.accuracy_score(labels, evaluation.predictions)),
        **macro_headline(macro),
        "log_loss": float(sklearn.metrics.log_loss(labels, probabilities, labels=every)),
        "brier": float(np.square(probabilities - np.eye(len(every))[labels]).sum(axis=1).mean()),
        "ece": float(np.nansum(bins.counts * gaps) / len(labels)),
        "confident_mistakes": float(np.mean(confident[wrong])) if wrong.any() else np.nan,
    }
    return headline | {
        f"{metric}_{name}": float(per_class[metric][index])
        for metric in PER_CLASS
        for index, name in enumerate(evaluation.classes)
    }


def macro_headline(macro: Mapping[str, T]) -> dict[str, T]:
    """The headline metrics that are macro averages, from the average of each of PER_CLASS."""
    return {
        "balanced_accuracy": macro["recall"],
        "macro_precision": macro["precision"],
        "macro_recall": macro["recall"],
        "macro_f1": macro["f1"],
        "roc_auc": macro["roc_auc"],
        "pr_auc": macro["pr_auc"],
    }


def reliability_bins(evaluation: Evaluation) -> Calibration:
    """Confidence against accuracy in CALIBRATION_BINS bins, as the reliability diagram draws it."""
    bins = confidence_bins(evaluation.confidences)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, evaluation.confidences, CALIBRATION_BINS) / counts
        accuracy = np.bincount(bins, evaluation.correct, CALIBRATION_BINS) / counts
    return Calibration(np.linspace(0, 1, CALIBRATION_BINS + 1), counts, confidence, accuracy)


def confidence_bins(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin (N,), 0..CALIBRATION_BINS - 1, of each confidence (N,) in (0, 1]; bins are (low, high]."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    return np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, CALIBRATION_BINS - 1)
