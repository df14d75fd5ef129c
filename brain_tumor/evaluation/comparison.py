"""Two evaluations of the same images, side by side: which image goes with which, how they differ, what changed."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.grouping import joined
from brain_tumor.errors import InputError
from brain_tumor.evaluation.bootstrap import paired_intervals
from brain_tumor.evaluation.lesion_scores import paired_lesions
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.lazy import lazy

scipy = lazy("scipy")

WORSE, BETTER = "right -> wrong", "wrong -> right"  # how a prediction may change from a to b


@dataclass(frozen=True, eq=False)
class Pair:
    """Two evaluations of the same images, row by row, in one grouping that cuts the groups of neither."""

    a: Evaluation
    b: Evaluation
    only_a: int  # images of a that b lacks
    only_b: int


@dataclass(frozen=True)
class McNemar:
    """The 2x2 table of two classifiers' answers to the same images, and the exact test on it."""

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p_value: float  # two-sided


@dataclass(frozen=True, eq=False)
class Comparison:
    """All that is said of two evaluations together."""

    pair: Pair
    differences: pd.DataFrame  # as `bootstrap.paired_intervals` and `lesion_scores.paired_lesions` return it
    test: McNemar
    changed: pd.DataFrame  # as `changes` returns it

    @property
    def title(self) -> str:
        """What was compared, once or (where the two call it differently) twice."""
        return " / ".join(dict.fromkeys([self.pair.a.title, self.pair.b.title]))


def compare(a: Evaluation, b: Evaluation, *, resamples: int = 1000) -> Comparison:
    """Compare two evaluations on the images that both have; InputError as `pair` raises it."""
    paired = pair(a, b)
    differences = paired_intervals(paired.a, paired.b, resamples=resamples)
    lesions = paired_lesions(paired.a, paired.b, resamples=resamples)
    differences = differences if lesions.empty else pd.concat([differences, lesions], ignore_index=True)
    return Comparison(paired, differences, mcnemar(paired.a.correct, paired.b.correct), changes(paired))


def pair(a: Evaluation, b: Evaluation) -> Pair:
    """Match two evaluations by their images' `sha256`, and join their groups.

    A file that stands under several paths is matched as often as both have it. Rows are in the order of `sha256`,
    so that a comparison the other way round draws the same groups. `group` becomes that of both.

    Raises:
        InputError: no image is in both, they call one by different labels, or they know different classes.
    """
    if set(a.classes) != set(b.classes):
        raise InputError(
            f"the runs know different classes ({', '.join(a.classes)}; {', '.join(b.classes)}): they cannot be compared"
        )
    order = [b.classes.index(name) for name in a.classes]
    b = replace(b, probabilities=b.probabilities[:, order], classes=a.classes)
    left, right = _copies(a), _copies(b)
    _check_labels(left, right)
    key = ["sha256", "label", "copy"]
    both = left.merge(right, on=key, suffixes=("_a", "_b"), validate="one_to_one").sort_values(key)
    first, second = a.take(both["position_a"].to_numpy()), b.take(both["position_b"].to_numpy())
    groups, others, files = (
        column.reset_index(drop=True) for column in (first.rows["group"], second.rows["group"], first.rows["sha256"])
    )
    group = joined(joined(groups, others), files).to_numpy()
    return Pair(
        replace(first, rows=first.rows.assign(group=group)),
        replace(second, rows=second.rows.assign(group=group)),
        len(a.rows) - len(both),
        len(b.rows) - len(both),
    )


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test of equal accuracy, from whether (N,) each has an image right: a sign test where they differ.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages"; the
    exact form as in Fagerland, Lydersen & Laake 2013 (BMC Medical Research Methodology 13:91). It takes images as
    independent: where groups hold several, the interval of the accuracy's difference by group is the one to read.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p_value = float(scipy.stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), p_value)


def changes(paired: Pair) -> pd.DataFrame:
    """The images that one of the two alone has right.

    Returns:
        Columns `change` (WORSE, then BETTER), `label`, `prediction_a`, `probability_a` (of that prediction), the same
        for b, `path_a`, `path_b`, `group`, `site`, `sha256`; of each change the most confident mistake first.
    """
    a, b = paired.a, paired.b
    table = pd.DataFrame({"change": np.where(a.correct, WORSE, BETTER), "label": a.rows["label"].to_numpy()})
    for name, each in (("a", a), ("b", b)):
        table[f"prediction_{name}"] = np.asarray(each.classes)[each.predictions]
        table[f"probability_{name}"] = each.confidences
    table["path_a"], table["path_b"] = a.rows["path"].to_numpy(), b.rows["path"].to_numpy()
    for column in ("group", "site", "sha256"):
        table[column] = a.rows[column].to_numpy()
    table["mistake"] = np.where(a.correct, table["probability_b"], table["probability_a"])
    table["kind"] = table["change"].eq(BETTER)
    changed: pd.DataFrame = table[a.correct != b.correct].sort_values(
        ["kind", "mistake", "path_a"], ascending=[True, False, True]
    )
    return changed.drop(columns=["kind", "mistake"]).reset_index(drop=True)


def _copies(evaluation: Evaluation) -> pd.DataFrame:
    """Columns sha256, label, path, position, and `copy`: 0, 1, … of the files with that content and label, by path."""
    table = evaluation.rows[["sha256", "label", "path"]].assign(position=np.arange(len(evaluation.rows)))
    table = table.sort_values(["path", "position"])
    return table.assign(copy=table.groupby(["sha256", "label"]).cumcount())


def _check_labels(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Raise InputError if no image is in both tables, or one of them has no label in common."""
    shared = set(left["sha256"]) & set(right["sha256"])
    if not shared:
        raise InputError(
            "the two runs predicted no image in common (by the SHA-256 of the files): compare runs on the same data"
        )
    labels = left.merge(right, on="sha256", suffixes=("_a", "_b"))
    agreed = set(labels.loc[labels["label_a"] == labels["label_b"], "sha256"])
    odd = labels[~labels["sha256"].isin(agreed)]
    if len(odd):
        example = odd.iloc[0]
        raise InputError(
            f"the two runs disagree on the label of {odd['sha256'].nunique()} of {len(shared)} images "
            f"({example.path_a} is {example.label_a} in one, {example.label_b} in the other): "
            "compare runs on the same labels"
        )
