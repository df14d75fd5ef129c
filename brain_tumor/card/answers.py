"""What a run can say to the questions of reporting guidelines: in words, and what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from brain_tumor.card.data import PROTOCOLS, ROLES, augmentation, findings, selection
from brain_tumor.card.facts import NOTHING, Facts, interval, listed, scored, shown
from brain_tumor.card.opening import external, leaks, nameless
from brain_tumor.layout.blocks import Grid, Paragraph, Section

NO_PEOPLE = "The images are generated: they are of nobody, and nobody read them."


@dataclass(frozen=True)
class Item:
    """A question of a guideline, in this project's words."""

    number: str
    asks: str
    answer: str = ""  # from the run; "": it has none
    missing: str = ""  # what a reader needs beyond it; "": nothing

    @property
    def state(self) -> str:
        if self.answer == NO_PEOPLE and not self.missing:
            return "not applicable"
        if not self.answer:
            return "open"
        return "in part" if self.missing else "from the run"


def section(title: str, source: str, items: Sequence[Item], left_out: str) -> Section:
    """The items as a table, with what was left out of the guideline."""
    rows = []
    for item in items:
        said = " ".join(filter(None, [item.answer, f"Open: {item.missing}" if item.missing else ""]))
        rows.append((item.number, item.asks, item.state, said))
    states = ("from the run", "in part", "open", "not applicable")
    counts = {state: sum(item.state == state for item in items) for state in states}
    counted = listed([f"{count} {state}" for state, count in counts.items()])
    note = f"{source} Wording is this project's own. {left_out}"
    grid = Grid(("item", "asks for", "answered", "answer"), tuple(rows), leading=4)
    return Section(title, (Paragraph(f"Of {len(items)} entries: {counted}."), grid), note=note)


def source(facts: Facts) -> tuple[str, str]:
    """The data's source, and what of it no run knows."""
    if facts.synthetic:
        return "Generated slices in three planes of deformed MNI152 templates (data=phantom); see Data.", ""
    where = shown(facts.key("data.root") or facts.key("data.handle"))
    return (
        f"{facts.run.data}, {where}, digest {facts.run.tags.get('data_digest', NOTHING)}.",
        "hospitals, dates, consent.",
    )


def origin(facts: Facts, missing: str) -> tuple[str, str]:
    """For what only whoever collected the images knows: an answer for synthetic ones alone."""
    return (NO_PEOPLE, "") if facts.synthetic else ("", missing)


def sizes(facts: Facts) -> str:
    if facts.split is None:
        return ""
    counts = facts.split.counts
    return f"{listed([f'{part} {sum(classes.values()):,}' for part, classes in counts.items()])} images; see Data."


def partition(facts: Facts) -> str:
    name = facts.run.tags.get("protocol", "")
    if name not in PROTOCOLS or facts.split is None:
        return ""
    shares = {part: len(facts.split.part(part)) / len(facts.split) for part in facts.split.counts}
    return f"{name}: {PROTOCOLS[name]}. Shares: {listed([f'{part} {share:.1%}' for part, share in shares.items()])}."


def disjoint(facts: Facts) -> tuple[str, str]:
    if facts.split is None:
        return "", "the split table cannot be read."
    level = "synthetic subject" if facts.synthetic else "slice and, where named, patient"
    found = leaks(facts)
    said = " ".join(found) if found else f"Disjoint by group ({level}): no group stands on both sides."
    unnamed = nameless(facts)
    return said, f"{unnamed[0].lower()}{unnamed[1:]}." if unnamed else ""


def ensemble(facts: Facts) -> str:
    members = facts.run.tags.get("members")
    return f"The mean of the probabilities of {members}." if members else "None: a single network."


def training(facts: Facts) -> str:
    schedule = facts.key("schedule")
    if not isinstance(schedule, dict) or not schedule:  # it was not trained as such
        return ""
    how = f"augmentation: {augmentation(facts)}"
    return f"Phases {listed(list(schedule))}, every setting under Protocol and training; {how}."


def chosen(facts: Facts) -> tuple[str, str]:
    tags = facts.run.tags
    if "monitor" not in tags:
        return "", "the run does not say what chose the epoch."
    average = f" on average; this is its training with {tags['confirmation']}" if "confirmation" in tags else ""
    best = f" The trial {tags.get('trial')} of study {tags.get('study')} was the best{average}."
    return f"Kept {selection(facts)}.{best if 'study' in tags else ''}", ""


def tested(facts: Facts) -> tuple[str, str]:
    """The headline of the test part."""
    row = facts.run.score("test", "accuracy")
    if row is None:
        return "", "the test part was not opened."
    mark = f" ({facts.run.marks['test']})" if facts.run.marks.get("test") else ""
    return f"Test part{mark}: accuracy {scored(row)}; every score overall and by class under Scores.", ""


def measures(facts: Facts) -> tuple[str, str]:
    parts = [part for part in ("test", "val") if facts.run.rows(f"{part}_metrics")]
    if not parts:
        return "", "no score was logged."
    return f"Overall and by class, of {listed(parts)}: see Scores.", ""


def uncertainty(facts: Facts) -> tuple[str, str]:
    rows = [row for part in ("test", "val") for row in facts.run.rows(f"{part}_metrics")]
    if all(interval(row) == NOTHING for row in rows):
        return "", "no score has an interval."
    return "95 % intervals by a bootstrap over groups: see Scores.", "tests of significance (compare makes them)."


def diagnostic(facts: Facts) -> tuple[str, str]:
    if facts.run.score("test", "accuracy") is None:
        return "", "the test part was not opened."
    said = [f"{name} {scored(facts.run.score('test', f'recall_{name}'))}" for name in facts.classes]
    if facts.run.score("test", f"npv_{facts.classes[0]}") is None:  # a run from before these were measured
        return f"Recall (sensitivity): {listed(said)}.", "specificity and negative predictive value."
    return f"Recall (sensitivity): {listed(said)}. Specificity, PPV and NPV of each class: see Scores.", ""


def outside(facts: Facts) -> tuple[str, str]:
    found = external(facts)
    if not found:
        return "", "no evaluation on real images of another source of which none is known from its training."
    said = [
        f"{each.data}, {each.tags.get('site', 'site unknown')}: {scored(each.score('test', 'accuracy'))}"
        for each in found
    ]
    missing = "where and how these images were taken, and whether their patients are others."
    return f"Accuracy: {'; '.join(said)}. See Evaluations.", missing


def robust(facts: Facts) -> tuple[str, str]:
    if not facts.holding("test_robustness"):
        return "", "accuracy under corruption was not measured (evaluate robustness=true)."
    count = "seven" if facts.key("data.volume_shape") else "nine"
    return f"Accuracy under {count} corruptions at five strengths: see Robustness.", ""


def explained(facts: Facts) -> tuple[str, str]:
    if not facts.holding("test_maps"):
        return "", "no map was scored against lesions with a known mask."
    checked = facts.holding("test_map_sanity") or facts.holding("val_map_sanity")
    closed = checked or facts.only_registered
    missing = "" if closed else "whether maps need the model (explain.sanity=true)."
    return "Maps scored against lesions, with baselines, and with the lesion painted over: see Explanations.", missing


def software(facts: Facts) -> tuple[str, str]:
    if not facts.packages:
        return "", "the run's list of packages cannot be read."
    return f"{len(facts.packages)} packages with their versions: see Environment.", ""


def code(facts: Facts) -> tuple[str, str]:
    commit = facts.run.tags.get("git_commit")
    missing = "where code, model and data can be had by others."
    return (
        (f"Code: commit {commit}. Model: {listed(facts.versions) or 'in the run'}.", missing)
        if commit
        else ("", missing)
    )


def weights(facts: Facts) -> tuple[str, str]:
    if "members" in facts.run.tags:
        return "", "its members' weights: see their cards."
    name = facts.params.get("model.weights") or facts.key("model.weights")
    if name is None:
        return "", "the run does not say which weights it began with."
    what = {"imagenet": "pre-trained on ImageNet", "none": "random"}.get(str(name), f"from the file {name}")
    return f"Weights {what}; seed {facts.params.get('seed', NOTHING)}.", ""


def balance(facts: Facts) -> str:
    schedule = facts.key("schedule")
    if not isinstance(schedule, dict):
        return ""
    used = listed([f"{phase} {settings.get('class_weights', NOTHING)}" for phase, settings in schedule.items()])
    return f"Class weights by phase: {used}; parts are stratified by class."


def output(facts: Facts) -> str:
    said = "Probabilities of the classes; the answer is the most probable one."
    if facts.uncertainty is None:
        return f"{said} Nothing else was fitted."
    return (
        f'{said} Prediction sets and the thresholds of "not sure" and "not a brain MRI": see Calibration and certainty.'
    )


def roles(facts: Facts) -> str:
    present = facts.split.counts if facts.split is not None else {}
    return " ".join(f"{part}: {ROLES[part]}." for part in present)


def quality(facts: Facts) -> str:
    return " ".join(findings(facts)) if facts.split is not None else ""


def corrupt(facts: Facts) -> str:
    how = facts.key("data.on_corrupt")
    said = {"error": "a file that cannot be decoded stops the run", "skip": "files that cannot be decoded are left out"}
    return f"No value is imputed; {said[how]} (data.on_corrupt={how})." if how in said else ""
