"""The items of CLAIM, 2024 update, that a run can be asked for.

Tejani et al. 2024, "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update", Radiology:
Artificial Intelligence 6(4): 44 items.
"""

from brain_tumor import NOTICE
from brain_tumor.card.answers import (
    NO_PEOPLE,
    Item,
    chosen,
    code,
    corrupt,
    diagnostic,
    disjoint,
    ensemble,
    explained,
    measures,
    origin,
    output,
    outside,
    partition,
    robust,
    section,
    sizes,
    software,
    source,
    tested,
    training,
    uncertainty,
    weights,
)
from brain_tumor.card.facts import Facts, listed
from brain_tumor.card.opening import limits
from brain_tumor.layout.blocks import Section

SOURCE = "Tejani et al. 2024, Radiology: Artificial Intelligence 6(4)."
LEFT_OUT = (
    "Left out: 6 of 44 items, which speak of a manuscript or a trial and not of a model (1 title, 2 abstract, "
    "3 background, 4 objectives, 34 trial registration, 44 funding)."
)


def claim(facts: Facts) -> Section:
    return section("CLAIM, 2024 update", SOURCE, [*_data(facts), *_model(facts), *_results(facts)], LEFT_OUT)


def _data(facts: Facts) -> list[Item]:
    labels = "The class folder in which an image lies." if not facts.synthetic else "The class that was drawn."
    return [
        Item("5", "prospective or retrospective", *origin(facts, "how the images were collected.")),
        Item("6", "goal of the study", "Making and measuring a classifier of slices.", "its hypothesis."),
        Item("7", "where the data come from", *source(facts)),
        Item("8", "who was included and excluded", *origin(facts, "criteria of whoever collected the images.")),
        Item("9", "preprocessing", f"Decoded: {facts.taken}."),
        Item("10", "subsets that were taken", partition(facts), "" if partition(facts) else "the split."),
        Item("11", "de-identification", *origin(facts, "done, if at all, before the images came here.")),
        Item("12", "missing data", corrupt(facts), "" if corrupt(facts) else "the configuration."),
        Item("13", "image acquisition", *origin(facts, "scanners, sequences and parameters.")),
        Item(
            "14", "definition of the reference standard", labels, "" if facts.synthetic else "how classes were found."
        ),
        Item("15", "why that reference standard", *origin(facts, "the reason; histology is not in the data.")),
        Item("16", "who annotated", *origin(facts, "annotators and what qualified them.")),
        Item("17", "annotation of the test part", *origin(facts, "whether it was annotated as the rest.")),
        Item("18", "agreement within and between raters", *origin(facts, "no second reading is in the data.")),
        Item("19", "how parts were assigned", partition(facts), "" if partition(facts) else "the split."),
        Item("20", "at which level parts are disjoint", *disjoint(facts)),
        Item("21", "intended sample size", sizes(facts), "whether a size was planned."),
    ]


def _model(facts: Facts) -> list[Item]:
    name = facts.run.tags.get("model", "")
    what = f"{name}: {facts.taken}, to probabilities of {listed(facts.classes)}; every layer is in the "
    return [
        Item("22", "the model in detail", f"{what}logged model." if name else "", "" if name else "the model's name."),
        Item("23", "software and its versions", *software(facts)),
        Item("24", "how weights began", *weights(facts)),
        Item("25", "how it was trained", training(facts), "" if training(facts) else "the configuration."),
        Item("26", "how the final model was chosen", *chosen(facts)),
        Item("27", "ensembles", ensemble(facts)),
        Item("28", "measures of performance", *measures(facts)),
        Item("29", "uncertainty", *uncertainty(facts)),
        Item("30", "robustness", *robust(facts)),
        Item("31", "explanations, and how they were checked", *explained(facts)),
        Item("32", "evaluation on internal data", *tested(facts)),
        Item("33", "testing on external data", *outside(facts)),
    ]


def _results(facts: Facts) -> list[Item]:
    people = NO_PEOPLE if facts.synthetic else ""
    opened = facts.run.score("test", "accuracy") is not None
    failures = "Confusion matrix, figures/test/ (the worst cases) and tables/test_predictions.csv." if opened else ""
    return [
        Item(
            "35", "numbers included and excluded", sizes(facts), "" if people else "patients or examinations excluded."
        ),
        Item("36", "who they were, by part", *origin(facts, "age, sex and findings are not in the data.")),
        Item("37", "performance with uncertainty", *tested(facts)),
        Item("38", "diagnostic performance and its precision", *diagnostic(facts)),
        Item("39", "failures", failures, "" if failures else "the test part was not opened."),
        Item("40", "limitations", f"{len(limits(facts))} are listed under Intended use and limits."),
        Item("41", "implications for practice, intended use", f"{NOTICE} {output(facts)}"),
        Item("42", "full protocol, technical details", "config/config.yaml and data/split.csv of the run."),
        Item("43", "availability of software, model and data", *code(facts)),
    ]
