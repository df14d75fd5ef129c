"""What the model has seen, and under which protocol."""

import pandas as pd

from brain_tumor.card.facts import NOTHING, Facts, listed, number, shown
from brain_tumor.card.opening import leaks, nameless
from brain_tumor.data.split import PARTS, Split
from brain_tumor.layout.blocks import Block, Grid, Paragraph, Points, Section, pairs

ALL = "all"
ROLES = {
    "train": "fits the weights",
    "val": 'chooses the epoch, the temperature and the confidence of "not sure"',
    "calibration": "fits the prediction sets, and chooses nothing",
    "test": "is measured once, after training; nothing is selected on it",
}
PROTOCOLS = {
    "official": "the data's own folders, as the literature has it; copies of a slice may stand on both sides",
    "clean": "the data's own test folder; what shares a slice or a patient with it does not train",
    "grouped": "all parts are drawn over whole groups, stratified by class; of test, validation and calibration one "
    "image a slice counts",
    "leave_one_site_out": "one site is the test part; what shares a slice or a patient with it does not train",
}
# Of a model that was trained before it came here.
ADOPTED_PROTOCOLS = {
    "official": "the data's own folders; copies of a slice may stand on both sides, and nothing is fitted",
    "clean": "the data's own training folder trained it; of what was held out, all that shares a slice or a patient "
    "with it is left out",
}
ENSEMBLE_ROLES = {
    "train": "a member has met these images, a twin or their patient: in training, or by choosing its epoch",
    "val": 'fits the temperature and the confidence of "not sure"; no member has met it',
    "calibration": "fits the prediction sets; no member has met it",
    "test": "is the test part of every member; nothing is selected on it",
}
# Of a phase's settings those that a card shows.
PHASE: tuple[str, ...] = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "warmup_epochs", "decay", "weight_decay", "unfreeze"),
    *("dropout", "label_smoothing", "focal_gamma", "class_weights", "weight_averaging", "augment_strength"),
)
_GROUPS = (
    "A group is all images of one slice or, where patients are known, of one patient; it is what intervals resample. "
    "Images less slices are the copies of a slice."
)


def data(facts: Facts) -> Section:
    tags, split = facts.run.tags, facts.split
    rows = [
        ("kind", facts.run.data + ("" if facts.synthetic else " (real images)")),
        ("where the images lay", shown(facts.key("data.root")) if facts.config else NOTHING),
        ("digest of the split", tags.get("data_digest", NOTHING)),
        ("digest of all images", tags.get("listed_digest", NOTHING)),
        ("sites", listed(sorted(set(split.table["site"]))) if split is not None else NOTHING),
    ]
    if renamed := facts.key("data.rename"):
        rows.append(("folders taken for a class", listed([f"{old} as {new}" for old, new in renamed.items()])))
    if split is None:
        return Section("Data", (pairs(rows), Paragraph("Open: the run's split table cannot be read.")))
    return Section("Data", (pairs(rows), _sizes(facts, split), Points(tuple(findings(facts)))), note=_GROUPS)


def findings(facts: Facts) -> list[str]:
    """What is known of leaks, copies, labels and patients, a sentence each."""
    lines = leaks(facts)
    if facts.split is None:
        return lines
    table = facts.split.table
    if not lines:
        lines.append("No test or validation image has a known twin, or a known patient, in the parts it is kept from.")
    labels = table.groupby("twin")["label"].nunique()
    if (labels > 1).any():
        lines.append(f"Slices that stand under more than one class: {int((labels > 1).sum()):,}.")
    copies = len(table) - table["twin"].nunique()
    lines.append(f"{copies:,} of {len(table):,} images are copies of a slice that is there already.")
    return [*lines, patients(facts)]


def patients(facts: Facts) -> str:
    """What is known of whose images they are."""
    if facts.synthetic and facts.key("data.patients") is None:
        return "There are no patients: a group is one synthetic subject, or what its source gives as one."
    unnamed = nameless(facts)
    if not unnamed:
        return "The patient of every image is named."
    return f"Open: {unnamed[0].lower()}{unnamed[1:]}; there, groups are slices, and a patient may stand on both sides."


def _sizes(facts: Facts, split: Split) -> Grid:
    """Images, slices, groups and patients by part and class."""
    named = {(row["part"], row["class"]): f"{row['patients']:,}" for row in facts.run.rows("patients")}
    rows = []
    for part, counts in split.counts.items():
        of_part = split.part(part)
        for name in (ALL, *counts):
            chosen = of_part if name == ALL else of_part[of_part["label"] == name]
            known = (named.get((part, name), "0"),) if named else ()
            rows.append((part, name, *_counts(chosen), *known))
    columns = ("part", "class", "images", "slices", "groups", *(("patients",) if named else ()))
    return Grid(columns, tuple(rows), leading=2)


def _counts(rows: pd.DataFrame) -> tuple[str, str, str]:
    return f"{len(rows):,}", f"{rows['twin'].nunique():,}", f"{rows['group'].nunique():,}"


def protocol(facts: Facts) -> Section:
    name, adopted = facts.run.tags.get("protocol", ""), facts.made_by == "adopt"
    described = ADOPTED_PROTOCOLS if adopted else PROTOCOLS
    several = facts.made_by == "ensemble"
    roles = ENSEMBLE_ROLES if several else ROLES
    present = facts.split.counts if facts.split is not None else {part: {} for part in PARTS}
    blocks: list[Block] = [
        Paragraph(f"{name or 'Open: the run names no protocol'}: {described.get(name, 'not described here')}."),
        Points(tuple(f"{part}: {roles[part]}." for part in PARTS if part in present)),
    ]
    if adopted:
        said = "It was trained elsewhere: how, and what chose its epoch, is not known here."
        return Section("Protocol and training", (*blocks, Paragraph(said), pairs(_adopted(facts))))
    if several:
        return Section("Protocol and training", (*blocks, *_members(facts)))
    blocks.append(pairs(_training(facts)))
    schedule = facts.key("schedule")
    if isinstance(schedule, dict):
        phases = tuple(schedule)
        rows = [(key.replace("_", " "), *(shown(schedule[each].get(key)) for each in phases)) for key in PHASE]
        blocks.append(Grid(("", *(f"phase {each}" for each in phases)), tuple(rows)))
    else:
        blocks.append(Paragraph("Open: the run's configuration cannot be read, so neither can its schedule."))
    return Section("Protocol and training", tuple(blocks))


def _adopted(facts: Facts) -> list[tuple[str, str]]:
    tags = facts.run.tags
    return [
        ("file", shown(facts.key("model.weights"))),
        ("SHA-256 of the file", tags.get("adopted_digest", NOTHING)),
        ("pixels it was given", f"scaling={tags.get('adopted_scaling')}, channels={tags.get('adopted_channels')}"),
    ]


def _members(facts: Facts) -> list[Block]:
    """Which models are averaged, and why nothing was fitted to their mean, where that is so."""
    members = facts.run.tags.get("members", NOTHING).split(", ")
    reason = facts.run.tags.get("no_decision")
    said = "It was not trained as one: its probabilities are the mean of its members', each calibrated by itself."
    fitted = [Paragraph(f"Nothing was fitted to the mean: {reason}.")] if reason else []
    return [Paragraph(said), pairs([(f"member {n}", each) for n, each in enumerate(members, start=1)]), *fitted]


def _training(facts: Facts) -> list[tuple[str, str]]:
    fractions = {part: facts.key(f"data.{part}_fraction") for part in ("test", "val", "calibration")}
    drawn = listed([f"{part} {shown(value)}" for part, value in fractions.items()])
    rows = [
        ("shares drawn where the folders give none", f"{drawn}; data.split_seed={shown(facts.key('data.split_seed'))}"),
        ("share of the training part used", shown(facts.key("data.subset") or 1) if facts.config else NOTHING),
        ("seed", str(facts.params.get("seed", NOTHING))),
        ("augmentation", augmentation(facts)),
        ("kept epoch", selection(facts)),
    ]
    if teacher := facts.key("distill.teacher"):
        how = ", ".join(f"{key} {shown(facts.key(f'distill.{key}'))}" for key in ("temperature", "weight"))
        rows.append(("teacher, learned from beside the labels", f"{teacher} ({how})"))
    fold, site = facts.key("protocol.fold"), facts.key("protocol.site")
    if fold is not None:
        rows.insert(0, ("fold", f"{fold} (from 0) of {shown(facts.key('protocol.folds'))}"))
    if site is not None:
        rows.insert(0, ("site that is the test part", shown(site)))
    return rows


def augmentation(facts: Facts) -> str:
    transforms = facts.key("augment.transforms")
    name = facts.params.get("augment") or shown(facts.key("augment.name"))
    return f"{name} ({listed(list(transforms))})" if transforms else name


def selection(facts: Facts) -> str:
    """Which epoch was kept, by what."""
    monitor, score = facts.run.tags.get("monitor"), facts.run.tags.get("score")
    if monitor is None or score is None:
        return "open: the run does not say what chose it"
    steps = [step for step, value in facts.epochs if abs(value - float(score)) < 1e-12]
    of = (
        f"epoch {' or '.join(map(str, steps))} of {len(facts.epochs)}"
        if steps
        else f"one of {len(facts.epochs)} epochs"
    )
    return f"{of}, by {monitor} {number(float(score))} (before calibration)"
