"""What the model scores, overall and by class, and how its probabilities and answers hold."""

import numpy as np
import pandas as pd

from brain_tumor.card.facts import NOTHING, Facts, Logged, bounded, interval, number
from brain_tumor.evaluation.lesion_scores import NAMES, TRUST
from brain_tumor.evaluation.metrics import HEADLINE, PER_CLASS
from brain_tumor.layout.blocks import Block, Grid, Paragraph, Section, pairs

PART_NAMES = {"test": "test", "val": "validation", "unseen": "unseen"}
UNCALIBRATED = {"ece": "calibration error (ECE)", "log_loss": "log loss (nats)", "brier": "Brier score (0..2)"}
_INTERVALS = (
    "95 % intervals by a bootstrap over groups: percentiles, of the calibration error (ece) the basic interval. "
    "Log loss, Brier score, ece and confident mistakes: lower is better."
)
_BY_CLASS = {"precision": "precision (PPV)", "recall": "recall (sensitivity)", "npv": "NPV"}
_OF_CLASSES = (
    "Each class is set against all others; PPV and NPV hold for this part's share of each class, not for a clinic's. "
    "Confident mistakes: share of the mistakes above a confidence of 0.9."
)
_PATIENTS = (
    "By patient: the probabilities are the mean of those of a patient's images; images of nobody known, and classes of "
    "which no patient is known, are not among them."
)
_LESIONS = (
    "Trust: share of the images that are answered rightly and, where the lesion is known, no longer so without it. "
    "Pointing to kept mirrored are of the correctly classified lesions, lesion dice and lesion found of all lesions, "
    "lesion false is of the healthy images. Kept without lesion and lesion false: lower is better."
)
_SETS = (
    "A set of level L holds the most probable class, and shall hold the true class of at least L of the images of each "
    "class. Expected: what 97.5 % of such shares reach with so many calibration and test images, if images are "
    "independent draws, and if only groups are."
)


def performance(facts: Facts) -> Section:
    parts = [part for part in ("test", "val") if facts.run.rows(f"{part}_metrics")]
    blocks: list[Block] = []
    if facts.only_registered:
        blocks.append(Paragraph("Open: its run measured nothing; for what evaluate has found see Evaluations."))
    elif "test" not in parts:
        blocks.append(Paragraph("Open: the test part of this run was not opened."))
    if parts:
        blocks.append(_overall(facts.run, parts))
    for part in parts:
        blocks += [Paragraph(f"{_title(facts.run, part)}, by class:"), _by_class(facts, part)]
        confusion = _confusion(facts, part)
        if confusion is not None:
            blocks += [Paragraph(f"{_title(facts.run, part)}, true class (rows) and answer (columns):"), confusion]
    notes = [_INTERVALS, _OF_CLASSES] * bool(parts)
    notes += [_PATIENTS] * any("patients" in (facts.run.score(part, "accuracy") or {}) for part in parts)
    notes += [_LESIONS] * any(facts.run.score(part, TRUST) for part in parts)
    return Section("Scores", tuple(blocks), note=" ".join(notes))


def _title(run: Logged, part: str) -> str:
    """A part, its size and what flatters it."""
    size, mark = run.size(part), run.marks.get(part, "")
    images = f", {size[0]:,} images in {size[1]:,} groups" if size else ""
    return f"{PART_NAMES[part].capitalize()} part{f' ({mark})' if mark else ''}{images}"


def _overall(run: Logged, parts: list[str]) -> Grid:
    columns = ["metric"]
    counts = {part: (run.score(part, "accuracy") or {}).get("patients") for part in parts}
    patients = {part: count for part, count in counts.items() if count is not None}
    for part in parts:
        mark = run.marks.get(part, "")
        columns += [f"{PART_NAMES[part]}{f' ({mark})' if mark else ''}", "95 % interval"]
        if part in patients:
            columns.append(f"{PART_NAMES[part]}, by patient ({patients[part]:.0f})")
    rows = []
    lesions = [metric for metric in NAMES if any(run.score(part, metric) for part in parts)]
    for metric in (*HEADLINE, *lesions):
        cells = [metric.replace("_", " ")]
        for part in parts:
            row = run.score(part, metric)
            cells += [NOTHING, NOTHING] if row is None else [number(row["value"]), interval(row)]
            if part in patients:
                cells.append(bounded(row and {name: row[f"patients_{name}"] for name in ("value", "low", "high")}))
        rows.append(tuple(cells))
    return Grid(tuple(columns), tuple(rows))


def _by_class(facts: Facts, part: str) -> Grid:
    scores = {name: [facts.run.score(part, f"{metric}_{name}") for metric in PER_CLASS] for name in facts.classes}
    rows = [(name, *map(bounded, found)) for name, found in scores.items()]
    titles = [_BY_CLASS.get(metric, metric.replace("_", " ")) for metric in PER_CLASS]
    return Grid(("class", *titles), tuple(rows))


def _confusion(facts: Facts, part: str) -> Grid | None:
    table = facts.run.tables.get(f"{part}_predictions")
    if table is None:
        return None
    counts = pd.crosstab(table["label"], table["prediction"])
    counts = counts.reindex(index=facts.classes, columns=facts.classes, fill_value=0)
    rows = [(name, *(f"{count:,}" for count in counts.loc[name])) for name in facts.classes]
    return Grid(("", *facts.classes), tuple(rows))


def certainty(facts: Facts) -> Section:
    """Calibration, prediction sets, "not sure" and "not a brain MRI"."""
    uncertainty, metrics = facts.uncertainty, facts.run.metrics
    if uncertainty is None:
        return Section(
            "Calibration and certainty",
            (Paragraph("Open: nothing is fitted in this run, so its probabilities are as trained."),),
        )
    scaling = uncertainty.scaling
    how = f"temperature {number(scaling.temperature)}" if scaling.kind == "temperature" else scaling.kind
    blocks: list[Block] = [pairs([("scaling", how), ("why", scaling.why)])]
    rows = []
    for name, title in UNCALIBRATED.items():
        for part in ("test", "val"):
            scaled = {row["metric"]: row["before"] for row in facts.run.rows(f"{part}_calibration")}
            # Runs from before there was such a table have it as metrics.
            before = scaled.get(name, metrics.get(f"{part}/{name}_uncalibrated"))
            after = facts.run.score(part, name)
            if before is not None and after is not None:
                rows.append((title, PART_NAMES[part], number(before), number(after["value"]), interval(after)))
    if rows:
        columns = ("measure", "part", "before scaling", "after", "95 % interval")
        blocks.append(Grid(columns, tuple(rows), leading=2))
    else:
        blocks.append(Paragraph("Scaling changes nothing, so calibration is that under Scores."))
    blocks += [*_sets(facts), pairs(_answers(facts))]
    return Section("Calibration and certainty", tuple(blocks), note=_SETS)


def _sets(facts: Facts) -> list[Block]:
    runs = facts.holding("test_conformal")
    if not runs:
        return [Paragraph("Open: no prediction set was measured on a test part.")]
    blocks: list[Block] = []
    for run in runs:
        rows = [
            (
                f"{row['level']:g}",
                str(row["class"]),
                f"{row['images']:,}",
                number(row["coverage"]),
                number(row["low"]),
                number(row["low_groups"]),
                f"{row['set_size']:.2f}",
                number(row["single"]),
            )
            for row in run.rows("test_conformal")
        ]
        columns = ("level", "class", "images", "coverage", "expected, by image", "expected, by group")
        blocks += [
            Paragraph(f"Prediction sets, {whose(facts, run)}:"),
            Grid((*columns, "classes in a set", "of one class"), tuple(rows), leading=2),
        ]
        if any("empty" in row for row in run.rows("test_conformal")):  # logged when a set could be
            blocks.append(
                Paragraph(
                    "Measured before each set had the most probable class: now they hold the truth as often, or more."
                )
            )
    return blocks


def _answers(facts: Facts) -> list[tuple[str, str]]:
    uncertainty, metrics = facts.uncertainty, facts.run.metrics
    assert uncertainty is not None
    limit = (
        number(uncertainty.confidence) if np.isfinite(uncertainty.confidence) else "none reaches it: all are not sure"
    )
    rows = [
        ("accuracy wanted of what is answered", number(uncertainty.accuracy)),
        ('"not sure" below a confidence of', limit),
        ('"not a brain MRI" beyond a distance of', number(uncertainty.distance)),
    ]
    if pooling := uncertainty.volumes:
        counted = f"calibrated on {sum(pooling.sets.images)} volumes of known class, see the run's tables"
        rows.append(("a volume as a whole", f"pooled over its slices ({pooling.kind.replace('_', '-')}), {counted}"))
    named = {
        "answered": "share of the test images that is answered",
        "answered_accuracy": "accuracy of these answers",
        "aurc": "area under risk against coverage (lower is better)",
        "not_brain_mri": 'test images of which "not a brain MRI" is said',
    }
    rows += [(title, number(metrics[f"test/{name}"])) for name, title in named.items() if f"test/{name}" in metrics]
    return rows


def by_views(run: Logged) -> str:
    """What an evaluation's answers were the mean of, to go behind its images; "" of the images alone."""
    views = run.tags.get("views", "1")
    return "" if views == "1" else f", mean over {views} views"


def whose(facts: Facts, run: Logged) -> str:
    """Which images a run measured: this run's own test part, or an evaluation's."""
    mark = by_views(run) + (f" ({run.marks['test']})" if run.marks.get("test") else "")
    if run.tags.get("data_digest") == facts.run.tags.get("data_digest"):
        by = "" if run is facts.run else f", measured by run {run.run_id}"
        return f"the run's own test part{mark}{by}"
    return f"{run.data}, {run.tags.get('site', 'site unknown')}{mark}, measured by run {run.run_id}"
