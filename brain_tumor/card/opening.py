"""What stands first: warnings, the headline, what the model is and what it is for."""

from brain_tumor import NOTICE
from brain_tumor.card.facts import NOTHING, Facts, Logged, listed, scored, shown
from brain_tumor.card.scores import whose
from brain_tumor.data.protocol import leak
from brain_tumor.evaluation import lesion_scores
from brain_tumor.evaluation.lesion_scores import KEPT, POINTING
from brain_tumor.evaluation.uncertainty.fitting import warnings
from brain_tumor.layout.blocks import Alert, Block, Paragraph, Points, Section, pairs

SYNTHETIC = (
    "SYNTHETIC: it was trained and measured on generated images, so none of its scores says anything of a patient."
)
HEADLINE = ("accuracy", "macro_f1")
ON_LESIONS = (POINTING, KEPT)  # of the headline, too, where lesions are known


def opening(facts: Facts) -> tuple[Block, ...]:
    """The notice, what flatters the scores, whether the answers rest on the lesion, and the scores."""
    alerts = [NOTICE, *([SYNTHETIC] if facts.synthetic else []), *leaks(facts)]
    return (*map(Alert, alerts), *rests_on(facts), Paragraph(headline(facts.run)))


def rests_on(facts: Facts) -> list[Alert | Paragraph]:
    """Whether the answers rest on the lesion: in this run, else in the newest evaluation in which lesions are known."""
    for run in facts.measured:
        for part in ("test", "val"):
            found = lesion_scores.opening({row["metric"]: row for row in run.rows(f"{part}_metrics")})
            if found and (run, part) == (facts.run, "test"):
                return found
            if found:
                where = whose(facts, run) if part == "test" else "the validation part"
                return [type(block)(f"{block.text} This is of {where}.") for block in found]
    return []


def headline(run: Logged) -> str:
    """The scores that come first, of the test part where it was opened, with what flatters them."""
    part = next((part for part in ("test", "val") if run.score(part, "accuracy")), None)
    if part is None:
        return "No scores were logged."
    metrics = [*HEADLINE, *(metric for metric in ON_LESIONS if run.score(part, metric))]
    said = ", ".join(f"{metric.replace('_', ' ')} {scored(run.score(part, metric))}" for metric in metrics)
    size, mark = run.size(part), run.marks.get(part, "")
    images = f", {size[0]:,} images in {size[1]:,} groups" if size else ""
    closed = "" if part == "test" else "; the test part was not opened, and validation chose the epoch"
    name = "Test" if part == "test" else "Validation"
    return f"{name} part, {run.data}{f' ({mark})' if mark else ''}: {said}{images}{closed}."


def leaks(facts: Facts) -> list[str]:
    """What of the test and of the validation part the model has met; a sentence each, none where nothing is known."""
    lines = []
    for part, tag in (("test", "leaking"), ("val", "leaking_val")):
        found = leak(facts.split, part) if facts.split is not None else None
        if found is None and facts.run.tags.get(tag) == "true":
            found = f"LEAKS: {part} images have a twin, or their patient, in training"
        if found:
            lines.append(f"{found}: scores on them flatter the model.")
    return lines


def model(facts: Facts) -> Section:
    run = facts.run
    commit = run.tags.get("git_commit")
    dirty = ", with changes that were not committed" if run.tags.get("git_dirty") == "true" else ""
    began = "mean of" if facts.made_by == "ensemble" else "initial weights"
    rows = [
        ("network", run.tags.get("model", NOTHING)),
        (began, shown(facts.params.get("model.weights") or facts.key("model.weights"))),
        ("input", f"image: {facts.taken}"),
        ("output", "probabilities: float32 (N, C), each row sums to 1, calibrated where Calibration says so"),
        ("classes, in the order of the output", listed(facts.classes)),
        *([("class without a lesion", facts.split.classes.healthy or "none is named")] if facts.split else []),
        ("registered as", listed(facts.versions) or "not registered"),
        ("run", run.run_id),
        ("date", run.date),
        ("code", f"commit {commit}{dirty}" if commit else "open: the run names no commit"),
    ]
    return Section("Model", (pairs(rows),))


def use(facts: Facts) -> Section:
    """Intended use, and the limits that this run's data and evaluations set."""
    what = (
        "Research on classifying single 2D slices of brain MRI into "
        f"{listed(facts.classes)}: comparing networks, protocols and explanations. {NOTICE}"
    )
    beyond = (
        "Not for: diagnosis, triage or any decision about a patient; screening; other diseases, other body parts and "
        "other modalities, which it cannot name; whole volumes, of which it sees one slice at a time."
    )
    return Section("Intended use and limits", (Paragraph(what), Paragraph(beyond), Points(tuple(limits(facts)))))


def limits(facts: Facts) -> list[str]:
    """What limits the scores, a sentence each."""
    lines = [SYNTHETIC] if facts.synthetic else []
    lines += leaks(facts)
    if facts.only_registered:
        lines.append("Its run measured nothing: what evaluate has found stands under Evaluations.")
    elif facts.run.score("test", "accuracy") is None:
        lines.append("The test part of this run was not opened: its scores are of the images that chose the epoch.")
    if not facts.holding("test_removal"):
        lines.append("Whether its answers rest on the lesion is not known: that takes lesion masks (data.masks).")
    if not external(facts):
        lines.append("It was not measured on real images of another source of which none is known from its training.")
    if unnamed := nameless(facts):
        lines.append(f"{unnamed}, so slices of one patient may stand on both sides of the split.")
    lines.append("Age, sex, scanner and sequence of the images are not known to it, so no score is given by them.")
    lines += [f"{line[0].upper()}{line[1:]}." for line in (warnings(facts.uncertainty) if facts.uncertainty else [])]
    return lines


def nameless(facts: Facts) -> str:
    """Whose images are not told apart by patient; "" where all are, and of synthetic ones."""
    if facts.synthetic:
        return ""
    if facts.key("data.volume_shape") is not None:
        return ""
    if facts.key("data.patients") is None:
        return "Patients were not named (data.patients)"
    rows = [row for row in facts.run.rows("patients") if row["class"] == "all"]
    if not rows or facts.split is None:
        return "How many images have a named patient is not in the run"
    missing = len(facts.split) - sum(row["known"] for row in rows)
    return f"Of {missing:,} of {len(facts.split):,} images the patient is not named" if missing else ""


def external(facts: Facts) -> list[Logged]:
    """Evaluations on all images of another source, real ones of which none is known from the training."""
    return [
        run
        for run in facts.evaluations
        if run.tags.get("protocol") == "all images" and not run.synthetic and run.tags.get("contaminated") == "false"
    ]
