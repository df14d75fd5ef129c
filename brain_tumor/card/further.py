"""What was measured beside the scores: explanations, corruptions, and other images."""

from brain_tumor.card.blocks import Block, Grid, Paragraph, Points, Section
from brain_tumor.card.facts import NOTHING, Facts, Logged, interval, number, shown
from brain_tumor.card.scores import whose
from brain_tumor.evaluation.explanation.scores import CENTRE, CLASS_MEAN, MODEL, VERDICTS

MAPS = {MODEL: "the model's maps", CENTRE: "a Gaussian in the centre", CLASS_MEAN: "the class's mean map"}
REMOVED = {
    "kept": "predictions that stay without the lesion",
    "to_notumor": "that become notumor",
    "probability": "probability of the class before",
    "probability_removed": "and after",
    "kept_mirrored": "predictions that stay where its mirror image is painted over",
}
LISTED = 20  # evaluations in the table, the newest first
_MAPS = (
    "Of correctly classified lesions with a known mask. Pointing: share of the maps that peak in the lesion; energy: "
    "share of the map that lies in it; iou: overlap. 95 % intervals by group. A map that points at the lesion proves "
    "nothing where the prediction stays without it."
)
_ROBUST = (
    "Accuracy under each corruption, the mean over five strengths with its 95 % interval by group, and by strength. "
    "The overall mean is plain, not divided by a reference model's."
)


def explanations(facts: Facts) -> Section:
    blocks: list[Block] = [Paragraph(f"Maps: {method(facts)}.")]
    found = facts.holding("test_maps")
    if not found:
        blocks.append(
            Paragraph("Open: no map was scored, since no lesion of a test part has a known mask (data.masks).")
        )
    for run in found:
        blocks += [Paragraph(f"Maps on {whose(facts, run)}:"), _maps(run), *_removal(run)]
    checked = facts.holding("test_map_sanity") or facts.holding("val_map_sanity")
    if not checked:
        blocks.append(Paragraph("Open: whether maps need the model was not looked at (explain.sanity=true)."))
    for run in checked:
        verdict = run.tags.get("explanations", "")
        blocks += [Paragraph(f"With random weights: {VERDICTS.get(verdict, shown(verdict))}."), _sanity(run)]
    return Section("Explanations", tuple(blocks), note=_MAPS if found else "")


def method(facts: Facts) -> str:
    """How maps are made."""
    tags = facts.run.tags
    how = tags.get("explain_method") or facts.key("explain.method")
    where = tags.get("explain_layer") or facts.key("explain.layer") or "the network's default layers"
    return f"{how} at {where}, {shown(facts.key('explain.views'))} views" if how else "open: the run does not say how"


def _maps(run: Logged) -> Grid:
    rows = []
    for row in run.rows("test_maps"):
        which = (str(row["class"]), MAPS.get(row["map"], str(row["map"])), str(row["metric"]))
        rows.append((*which, f"{row['images']:,}", number(row["value"]), interval(row)))
    return Grid(("class", "map", "score", "lesions", "value", "95 % interval"), tuple(rows), leading=3)


def _removal(run: Logged) -> list[Block]:
    rows = []
    for row in run.rows("test_removal"):
        which = (str(row["class"]), REMOVED.get(row["metric"], str(row["metric"])))
        rows.append((*which, f"{row['images']:,}", number(row["value"]), interval(row)))
    columns = ("class", "with the lesion painted over", "lesions", "value", "95 % interval")
    return [Grid(columns, tuple(rows), leading=2)] if rows else []


def _sanity(run: Logged) -> Grid:
    """The trained model, then random logits, and at last nothing but random weights."""
    table = run.rows("test_map_sanity") or run.rows("val_map_sanity")
    states = {0: "trained", 1: "random logits", len(table) - 1: "all weights random"}
    rows = []
    for index, state in states.items():
        row = table[index]
        bounds = interval({"low": row["pointing_low"], "high": row["pointing_high"]})
        rows.append((state, number(row["pointing"]), bounds))
    return Grid(("weights", "pointing", "95 % interval"), tuple(rows))


def robustness(facts: Facts) -> Section:
    found = facts.holding("test_robustness")
    if not found:
        open_ = "Open: accuracy under corruption was not measured (python -m brain_tumor.evaluate robustness=true)."
        return Section("Robustness", (Paragraph(open_),))
    blocks: list[Block] = []
    for run in found:
        blocks += [Paragraph(f"On {whose(facts, run)}:"), _corruptions(run)]
    return Section("Robustness", tuple(blocks), note=_ROBUST)


def _corruptions(run: Logged) -> Grid:
    table = run.rows("test_robustness")
    kinds = list(dict.fromkeys(str(row["corruption"]) for row in table))
    means = {str(row["corruption"]): row for row in run.rows("test_robustness_means")}
    strengths = sorted({int(row["strength"]) for row in table} - {0})
    by = {(str(row["corruption"]), int(row["strength"])): row for row in table}
    rows = []
    if (clean := by.get((kinds[0], 0))) is not None:
        cells = [kinds[0].replace("_", " "), number(clean["accuracy"]), interval(clean)]
        rows.append(tuple(cells + [NOTHING] * len(strengths)))
    for kind in [*kinds[1:], "all"]:
        logged = run.metrics.get("test/robustness" if kind == "all" else f"test/robustness_{kind}", float("nan"))
        bounds = interval(means[kind]) if kind in means else NOTHING
        cells = [kind.replace("_", " "), number(logged), bounds]
        found = [by.get((kind, strength)) for strength in strengths]
        rows.append(tuple(cells + [NOTHING if each is None else number(each["accuracy"]) for each in found]))
    columns = ("corruption", "mean", "95 % interval", *(f"strength {strength}" for strength in strengths))
    return Grid(columns, tuple(rows))


def elsewhere(facts: Facts) -> Section:
    """Every evaluation of the model."""
    rows = []
    for run in facts.evaluations[:LISTED]:
        own = run.tags.get("data_digest") == facts.run.tags.get("data_digest")
        what = "the run's own test part" if own else f"{run.data}, {run.tags.get('site', 'site unknown')}"
        for part in ("test", "unseen"):
            if run.score(part, "accuracy") is None:
                continue
            size, mark = run.size(part), run.marks.get(part, "")
            which = "all" if part == "test" else "without those met in training"
            cells = [run.date, run.run_id, what, which, mark or "none known", f"{size[0]:,}" if size else NOTHING]
            for metric in ("accuracy", "macro_f1", "ece"):
                row = run.score(part, metric)
                bounds = NOTHING if row is None else interval(row)
                value = NOTHING if row is None else number(row["value"])
                cells.append(value if bounds == NOTHING else f"{value} ({bounds})")
            rows.append(tuple(cells))
    if not rows:
        return Section("Evaluations", (Paragraph("Open: no evaluation of this model was logged since."),))
    more = len(facts.evaluations) - LISTED
    columns = ("date", "run", "images of", "which", "met in training", "images", "accuracy", "macro f1", "ece")
    blocks: list[Block] = [Grid(columns, tuple(rows), leading=5)]
    if more > 0:
        blocks.append(Points((f"{more:,} older evaluations are not shown.",)))
    return Section("Evaluations", tuple(blocks))
