"""What was measured beside the scores: explanations, corruptions, and other images."""

from brain_tumor.card.facts import NOTHING, Facts, Logged, bounded, interval, number, shown
from brain_tumor.card.scores import by_views, whose
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, described
from brain_tumor.evaluation.explanation.localisation import SCORES
from brain_tumor.evaluation.explanation.map_scores import CENTRE, CLASS_MEAN, MODEL, VERDICTS
from brain_tumor.evaluation.lesion_scores import DICE, FALSE, FOUND
from brain_tumor.layout.blocks import Block, Grid, Paragraph, Points, Section

MAPS = {MODEL: "the model's maps", CENTRE: "a Gaussian in the centre", CLASS_MEAN: "the class's mean map"}
REMOVED = {
    "kept": "stay",
    "to_healthy": "become the healthy class",
    "probability": "probability before",
    "probability_removed": "and after",
    "kept_mirrored": "stay, its mirror image painted over",
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
    if facts.run.tags.get("adopted_format") == "onnx":
        bare: list[Block] = [Paragraph("Maps: none, since the layers of an ONNX model cannot be read.")]
        for run in facts.holding("test_removal"):
            bare += [Paragraph(f"Lesions on {whose(facts, run)}."), *_removal(run)]
        return Section("Explanations", tuple(bare))
    blocks: list[Block] = [Paragraph(f"Maps: {method(facts)}.")]
    found = facts.holding("test_maps")
    if not found:
        blocks.append(
            Paragraph("Open: no map was scored, since no lesion of a test part has a known mask (data.masks).")
        )
    for run in found:
        blocks += [Paragraph(f"Maps on {whose(facts, run)}:"), _maps(run), *_removal(run)]
    for run in facts.holding("test_lesions"):
        blocks += [Paragraph(f"The lesion map as a segmentation, on {whose(facts, run)}:"), _lesions(run)]
    checked = facts.holding("test_map_sanity") or facts.holding("val_map_sanity")
    if facts.only_registered:
        reason = {
            "adopt": "cannot be looked at: it was built elsewhere",
            "ensemble": "cannot be looked at: it is the mean of several networks",
        }.get(facts.made_by, f"is what the card of {facts.run.tags.get('pooled_from')} says")
        blocks.append(Paragraph(f"Whether maps need the model {reason}."))
    elif not checked:
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
    if not how:
        return "open: the run does not say how"
    seen = "" if how == EVIDENCE else f", {shown(facts.key('explain.views'))} views"
    return described(how, where) + seen


def _maps(run: Logged) -> Grid:
    rows = run.rows("test_maps")
    kinds = dict.fromkeys((str(row["class"]), str(row["map"])) for row in rows)
    lines = []
    for name, kind in kinds:
        own = {row["metric"]: row for row in rows if (row["class"], row["map"]) == (name, kind)}
        lesions = f"{max(row['images'] for row in own.values()):,}"
        lines.append((name, MAPS.get(kind, kind), lesions, *(bounded(own.get(score)) for score in SCORES)))
    return Grid(("class", "map", "lesions", *SCORES), tuple(lines), leading=2)


def _removal(run: Logged) -> list[Block]:
    rows = run.rows("test_removal")
    if not rows:
        return []
    lines = []
    # The older name of the metric, from when the healthy class was always notumor.
    rows = [{**row, "metric": "to_healthy" if row["metric"] == "to_notumor" else row["metric"]} for row in rows]
    metrics = [metric for metric in REMOVED if any(row["metric"] == metric for row in rows)]
    for name in dict.fromkeys(str(row["class"]) for row in rows):
        own = {row["metric"]: row for row in rows if row["class"] == name}
        lesions = f"{max(row['images'] for row in own.values()):,}"
        lines.append((name, lesions, *(bounded(own.get(metric)) for metric in metrics)))
    title = "The lesions painted over, and the predictions made again:"
    return [Paragraph(title), Grid(("class", "lesions", *(REMOVED[metric] for metric in metrics)), tuple(lines))]


def _lesions(run: Logged) -> Grid:
    """Of all lesions, of thirds by size, by class, and of the healthy images."""
    rows = run.rows("test_lesions")
    lines = []
    for name, size in dict.fromkeys((str(row["class"]), str(row["size"])) for row in rows):
        own = {row["metric"]: row for row in rows if (row["class"], row["size"]) == (name, size)}
        first = next(iter(own.values()))
        share = NOTHING if size == "none" else f"{first['least']:.2%} to {first['most']:.2%}"
        cells = [bounded(own.get(metric)) for metric in (DICE, FOUND, FALSE)]
        lines.append((name, size, share, f"{first['images']:,}", *cells))
    columns = ("class", "lesion", "of the image", "images", "Dice", "found", "false")
    return Grid(columns, tuple(lines), leading=2)


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
        open_ = "Open: accuracy under corruption was not measured; the command under Source does it."
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
        # Of runs from before there was a table of means, the metrics.
        logged = run.metrics.get("test/robustness" if kind == "all" else f"test/robustness_{kind}", float("nan"))
        mean, bounds = (means[kind]["accuracy"], interval(means[kind])) if kind in means else (logged, NOTHING)
        cells = [kind.replace("_", " "), number(mean), bounds]
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
        what += by_views(run)
        for part in ("test", "unseen"):
            if run.score(part, "accuracy") is None:
                continue
            size, mark = run.size(part), run.marks.get(part, "")
            which = what if part == "test" else f"{what}, without those met in training"
            cells = [run.date, run.run_id, which, mark or "none known", f"{size[0]:,}" if size else NOTHING]
            rows.append((*cells, *(bounded(run.score(part, metric)) for metric in ("accuracy", "macro_f1", "ece"))))
    if not rows:
        return Section("Evaluations", (Paragraph("Open: no evaluation of this model was logged since."),))
    more = len(facts.evaluations) - LISTED
    columns = ("date", "run", "images of", "met in training", "images", "accuracy", "macro f1", "ece")
    blocks: list[Block] = [Grid(columns, tuple(rows), leading=4)]
    if more > 0:
        blocks.append(Points((f"{more:,} older evaluations are not shown.",)))
    return Section("Evaluations", tuple(blocks))
