"""The items of TRIPOD+AI that a run can be asked for.

Collins et al. 2024, "TRIPOD+AI statement: updated guidance for reporting clinical prediction models that use
regression or machine learning methods", BMJ 385:e078378: 27 items.
"""

from brain_tumor import NOTICE
from brain_tumor.card.answers import (
    NO_PEOPLE,
    Item,
    balance,
    chosen,
    code,
    corrupt,
    origin,
    output,
    outside,
    partition,
    quality,
    roles,
    section,
    sizes,
    source,
    tested,
    training,
)
from brain_tumor.card.facts import NOTHING, Facts, listed
from brain_tumor.card.opening import external, limits
from brain_tumor.layout.blocks import Section

SOURCE = "Collins et al. 2024, BMJ 385:e078378."
LEFT_OUT = (
    "Left out: 6 of 27 items, which speak of a manuscript or of how a study was led (1 title, 2 abstract, "
    "3 background, 4 objectives, 19 involvement of patients and public, 25 interpretation), and of the others "
    "6c treatments, 9c predictors that people read, 18a funding and 18b conflicts of interest."
)


def tripod(facts: Facts) -> Section:
    return section("TRIPOD+AI", SOURCE, [*_data(facts), *_methods(facts), *_results(facts)], LEFT_OUT)


def _data(facts: Facts) -> list[Item]:
    drawn = "The class that was drawn; no time horizon." if facts.synthetic else "The class folder; no time horizon."
    return [
        Item("5a", "sources of the data, representativeness", *source(facts)),
        Item("5b", "dates", *origin(facts, "when the images were taken.")),
        Item("6a", "setting and centres", *origin(facts, "centres, their number and place.")),
        Item("6b", "who was eligible", *origin(facts, "criteria of whoever collected the images.")),
        Item("7", "preparation and quality checks", quality(facts), "" if quality(facts) else "the split table."),
        Item("8a", "outcome", drawn, "" if facts.synthetic else "how and when the diagnosis was made."),
        Item("8b", "who assessed the outcome", *origin(facts, "qualification of the assessors.")),
        Item("8c", "blinding of that assessment", *origin(facts, "whether it was blinded.")),
        Item("9a", "choice of predictors", "The pixels of one slice, all of them, and nothing else."),
        Item("9b", "definition of the predictors", *origin(facts, "scanner and sequence behind the pixels.")),
        Item("10", "study size", sizes(facts), "whether a size was calculated."),
        Item("11", "missing data", corrupt(facts), "" if corrupt(facts) else "the configuration."),
    ]


def _methods(facts: Facts) -> list[Item]:
    parts, trained = " ".join(filter(None, [partition(facts), roles(facts)])), training(facts)
    picked, unknown = chosen(facts)
    sites = len(set(facts.split.table["site"])) if facts.split is not None else 0
    updated = facts.uncertainty.scaling.kind if facts.uncertainty is not None else ""
    return [
        Item("12a", "how the data were used", parts, "" if parts else "the split."),
        Item("12b", "handling of predictors", "uint8 RGB 0..255; scaling to the network's range is a layer of it."),
        Item("12c", "model, building, tuning, internal validation", " ".join(filter(None, [trained, picked])), unknown),
        Item("12d", "heterogeneity between clusters", *_clusters(facts, sites)),
        Item("12e", "measures and plots", "See Scores; figures/ of the run.", "clinical utility was not measured."),
        Item("12f", "updating after evaluation", "None: evaluate never refits."),
        Item("12g", "how predictions are calculated", "The logged model, rebuilt from the registry by evaluate."),
        Item("13", "class imbalance", balance(facts), "" if balance(facts) else "the configuration."),
        Item("14", "fairness", *origin(facts, "no group of people is known, so nothing could be looked at.")),
        Item("15", "output and thresholds", output(facts)),
        Item("16", "how training and evaluation data differ", *_differences(facts)),
        Item("17", "ethical approval", *origin(facts, "that of whoever collected the images.")),
        Item("18c", "study protocol", "config/config.yaml of the run.", "whether one was written before the run."),
        Item("18d", "registration", "", "whether the study was registered."),
        Item(
            "18e",
            "availability of the data",
            *_available(facts),
        ),
        Item("18f", "availability of the code", *code(facts)),
        Item("24", "results of updating", f"Calibration on validation: {updated}. Else none." if updated else "None."),
    ]


def _differences(facts: Facts) -> tuple[str, str]:
    missing = "" if facts.synthetic else "whether setting, scanner or labelling differ between the parts."
    return "Both are drawn from one source, as the protocol says (12a); classes by part under Data.", missing


def _available(facts: Facts) -> tuple[str, str]:
    digest = facts.run.tags.get("data_digest", NOTHING)
    if facts.synthetic:
        return f"Generated again, bit by bit, from the logged configuration; digest {digest}.", ""
    return f"Digest {digest}.", "where the images can be had."


def _clusters(facts: Facts, sites: int) -> tuple[str, str]:
    if external(facts):
        return "Scores by evaluated source: see Evaluations.", "no pooled estimate between sites."
    return (
        "",
        f"{sites} site{'' if sites == 1 else 's'} in the split; no score is given by site." if sites else "the split.",
    )


def _results(facts: Facts) -> list[Item]:
    people = NO_PEOPLE if facts.synthetic else ""
    return [
        Item("20a", "flow of participants", sizes(facts), "" if people else "patients who were left out before."),
        Item("20b", "characteristics", *origin(facts, "age, sex and dates are not in the data.")),
        Item(
            "20c", "comparison with the development data", sizes(facts), "" if people else "of anything but the class."
        ),
        Item(
            "21", "participants and outcomes in each analysis", sizes(facts), "" if sizes(facts) else "the split table."
        ),
        Item(
            "22",
            "the full model",
            f"Registered as {listed(facts.versions)}." if facts.versions else "Logged in the run.",
        ),
        Item("23a", "performance with intervals", *tested(facts)),
        Item("23b", "heterogeneity of performance", *outside(facts)),
        Item("26", "limitations", f"{len(limits(facts))} are listed under Intended use and limits."),
        Item("27a", "input of poor quality", *_poor(facts)),
        Item(
            "27b",
            "what users must do and know",
            f"One slice as an image file. {NOTICE}",
            "no user was studied.",
        ),
        Item(
            "27c",
            "next steps",
            "",
            "a test on patients of another hospital." if not external(facts) else "whoever uses it.",
        ),
    ]


def _poor(facts: Facts) -> tuple[str, str]:
    if facts.uncertainty is None:
        return "", "nothing tells images that are no brain MRI."
    return (
        '"Not a brain MRI" and "not sure" are said beyond fitted thresholds.',
        "whether that finds bad images was not tested.",
    )
