"""What a run logs of its maps: pictures, how well they point at known lesions, whether they need the model for it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.config.train import ExplainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.explanation import figures, lesion_map, removal, sanity
from brain_tumor.evaluation.explanation.kinds import candidates, has_map, kind_of
from brain_tumor.evaluation.explanation.localisation import SCORES, summarise
from brain_tumor.evaluation.explanation.map_scores import (
    CENTRE,
    CLASS_MEAN,
    MODEL,
    VERDICTS,
    Lesions,
    Reference,
    Survey,
    compare_kinds,
    fit_reference,
    known_lesions,
    score_lesions,
    survey,
    why_none,
)
from brain_tumor.evaluation.explanation.maps import Explainer, explain, mapper
from brain_tumor.evaluation.lesion_scores import DICE, FALSE, FOUND, KEPT, MIRRORED, TO_HEALTHY, TRUST, trust
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.planes import cuts, drawn
from brain_tumor.layout.blocks import Finding, plainly
from brain_tumor.tracking.results import log_figure, log_pictures
from brain_tumor.tracking.runs import log_table, tag

logger = logging.getLogger(__name__)

REMOVAL = {"kept": KEPT, "to_healthy": TO_HEALTHY, removal.CONTROL: MIRRORED}  # metrics of it as scores of a part


def log_explanations(
    model: Any,
    backbone: str,
    dataset: Dataset,
    evaluations: Mapping[str, Evaluation],
    config: ExplainConfig,
    *,
    parts: Sequence[str],
    resamples: int,
    answering: Any = None,
) -> tuple[list[Finding], dict[str, pd.DataFrame]]:
    """Draw the parts, and score their maps where lesions are known; of a model without layers there are no maps.

    Returns what was found, of val as a detail, and of each part what its images have of `lesion_scores.NAMES`.
    What is chosen (method and layer by `auto`, the quantile of the IoU, the mean map of each class) is chosen on the
    part "val" of `evaluations`, if it is there. `answering` is what the evaluations are by, and is asked again
    without the lesions, where that is not the model itself, whose maps are drawn.
    """
    known = {part: known_lesions(dataset, part, each) for part, each in evaluations.items()}
    lesions = {part: found for part, found in known.items() if found is not None}
    explainer, reference, surveyed = _validated(model, backbone, config, lesions.get("val"), evaluations)
    if explainer is not None:
        tag(explain_method=explainer.method, explain_layer=explainer.layer)
    found: list[Finding] = []
    values = {part: pd.DataFrame(index=evaluations[part].rows.index) for part in parts}
    for part in parts:
        log_pictures(dataset, part, evaluations[part], explainer)
        if has_map(model):
            values[part] = _log_lesion_map(model, dataset, part, evaluations[part], resamples)
        if part in lesions:
            removed, answers = _log_removal(answering or model, lesions[part], part, resamples)
            if explainer is not None:
                own = surveyed if part == "val" else None
                pointing, peaks = _log_scores(
                    lesions[part], part, evaluations[part], explainer, reference, own, resamples
                )
                found.append(pointing)
                answers = answers.assign(pointing=peaks)
            found.append(removed)
            there = values[part].index[lesions[part].positions]
            values[part] = values[part].join(answers.set_index(there))
        elif dataset.mask_paths is not None:
            why = why_none(dataset, part, evaluations[part])
            found.append(_of_part(part, plainly(f"No map of the {part} part is scored: {why}.")))
        if part in lesions or dataset.shows_lesion(part):
            stays = values[part][KEPT] == 1 if KEPT in values[part] else False
            values[part][TRUST] = trust(evaluations[part].correct, np.asarray(stays))
    scored = [part for part in parts if part in lesions]
    if config.sanity and scored and explainer is not None:
        found.append(_log_sanity(explainer, backbone, lesions[scored[-1]], evaluations[scored[-1]], resamples))
    elif config.sanity:
        found.append(plainly("Whether maps need the model was not looked at: no map is scored."))
    return found, values


def _of_part(part: str, finding: Finding) -> Finding:
    """With its part; what is found on val, on which the maps are chosen, is a detail."""
    return Finding("" if part == "val" else finding.verdict, f"{part} part: {finding.detail}")


def _validated(
    model: Any, backbone: str, config: ExplainConfig, lesions: Lesions | None, evaluations: Mapping[str, Evaluation]
) -> tuple[Explainer | None, Reference | None, Survey | None]:
    """The best kind of map on the validation part, and what else that part settles."""
    if not model.layers:
        return None, None, None
    kinds = candidates(config, model, backbone)
    if lesions is None:
        if len(kinds) > 1:
            kinds = [kind_of(config, model, backbone)]
            logger.warning(
                "explain: no correctly classified lesion of the validation part has a mask to choose by: %s at %s",
                *kinds[0],
            )
        return Explainer(model, *kinds[0], config.views), None, None
    explainers = [Explainer(model, *kind, config.views) for kind in kinds]
    make = explainers[0].make if len(kinds) == 1 else mapper(model, kinds, config.views)
    found = survey(lesions, make, title="scoring maps of val")
    table = compare_kinds(kinds, found)
    best = int(table.index[0])
    if len(kinds) > 1:
        log_table(table, "tables/val_map_kinds.csv")
        log_figure(figures.kinds(table, evaluations["val"].title), "val/map_kinds")
    return explainers[best], fit_reference(lesions, found[best]), found[best]


def _log_scores(
    lesions: Lesions,
    part: str,
    evaluation: Evaluation,
    explainer: Explainer,
    reference: Reference | None,
    found: Survey | None,
    resamples: int,
) -> tuple[Finding, NDArray[np.float64]]:
    """Also whether (N,) the map of each lesion peaks in it."""
    if found is None:
        found = survey(lesions, explainer.make, title=f"scoring maps of {part}")[0]
    scores = score_lesions(lesions, found, reference)
    table = summarise(scores, lesions.names, lesions.groups, resamples=resamples)
    log_table(table, f"tables/{part}_maps.csv")
    overall = {(row["map"], row["metric"]): row for row in table[table["class"] == "all"].to_dict("records")}
    _log_cases(lesions, part, evaluation, explainer, scores[MODEL])
    return _of_part(part, _pointing(overall, len(lesions), explainer.name)), scores[MODEL][:, 0]


def _log_removal(model: Any, lesions: Lesions, part: str, resamples: int) -> tuple[Finding, pd.DataFrame]:
    """Also what became of each lesion's answer, by the names of REMOVAL; the verdict is `lesion_scores.opening`."""
    classes = lesions.dataset.split.classes
    healthy = classes.healthy_index
    table, every = removal.remove(model, lesions, healthy, resamples=resamples)
    log_table(table, f"tables/{part}_removal.csv")
    overall = {row["metric"]: row for row in table[table["class"] == "all"].to_dict("records")}
    kept, control = overall["kept"], overall.get(removal.CONTROL)
    detail = f"With the lesion painted over, {kept['value']:.1%}{_interval(kept)} of these answers stay"
    if healthy is not None:
        detail += f", and {overall['to_healthy']['value']:.1%} become {classes.healthy}"
    detail += f"; with its mirror image painted over, {control['value']:.1%} stay." if control else "."
    answers = every.rename(columns=REMOVAL)
    return _of_part(part, Finding("", detail)), answers[[name for name in REMOVAL.values() if name in answers]]


def _log_lesion_map(model: Any, dataset: Dataset, part: str, evaluation: Evaluation, resamples: int) -> pd.DataFrame:
    """The model's own map as a segmentation: `tables/PART_lesions.csv`; returns what each image has of it."""
    scores = lesion_map.drawn(model, dataset, part)
    log_table(lesion_map.tabulate(scores, evaluation.rows, resamples=resamples), f"tables/{part}_lesions.csv")
    return scores[[DICE, FOUND, FALSE]]


def _log_cases(lesions: Lesions, part: str, evaluation: Evaluation, explainer: Explainer, scores: Any) -> None:
    shown = figures.select_ranks(scores[:, 1], lesions.names)
    chosen = lesions.take(np.array([position for _, _, position in shown]))
    images = chosen.dataset.images(chosen.rows)
    maps = explain(explainer, images, chosen.classes)
    at = cuts(images, maps)
    figure = figures.cases(
        shown,
        drawn(images, at),
        drawn(maps, at),
        drawn(chosen.masks(), at),
        scores[[position for _, _, position in shown]],
        evaluation.rows["path"].iloc[chosen.positions].tolist(),
        classes=evaluation.classes,
        title=f"{explainer.name}: {evaluation.title}",
    )
    log_figure(figure, f"{part}/maps")


def _log_sanity(
    explainer: Explainer, backbone: str, lesions: Lesions, evaluation: Evaluation, resamples: int
) -> Finding:
    table = sanity.randomise(explainer, backbone, lesions, resamples=resamples)
    part, found = evaluation.rows["part"].iloc[0], sanity.verdict(table)
    log_table(table, f"tables/{part}_map_sanity.csv")
    log_figure(figures.randomisation(table, f"{explainer.name}: {evaluation.title}"), f"{part}/map_sanity")
    tag(explanations=found)
    states = zip(
        ("trained", f"{table['block'].iloc[1]} random", "all random"), table.iloc[[0, 1, -1]].itertuples(), strict=True
    )
    shares = [f"{state} {row.pointing:.1%} [{row.pointing_low:.1%}, {row.pointing_high:.1%}]" for state, row in states]
    said = f"With random weights in the network: {VERDICTS[found]}"
    return Finding(f"{said}.", f"{said} (maps that peak in the lesion: {', '.join(shares)}).")


def _pointing(overall: Mapping[tuple[str, str], Mapping[Any, Any]], images: int, kind: str) -> Finding:
    """The scores of all classes, by (map, metric), beside those of the baselines."""
    named = {CENTRE: "image centre", CLASS_MEAN: "the class's mean map"}
    kinds = [kind for kind in named if (kind, "pointing") in overall]
    peak = overall[MODEL, "pointing"]
    said = f"The maps peak in the lesion in {peak['value']:.1%}"
    of = f"of {images:,} correctly classified lesions"
    others = [f"{named[kind]}: {overall[kind, 'pointing']['value']:.1%}" for kind in kinds]
    more = []
    for score in SCORES[1:]:
        own, *rest = [overall[kind, score]["value"] for kind in (MODEL, *kinds)]
        if np.isfinite(own):
            more.append(f"{score} {own:.3f} ({', '.join(f'{value:.3f}' for value in rest)})")
    detail = f"{said}{_interval(peak)} {of} ({', '.join(others)}); {'; '.join(more)}. Maps: {kind}."
    # The score itself stands in the table above; what it is worth, only beside what knows nothing of the image.
    centre = overall[CENTRE, "pointing"]["value"]
    poor = not (peak["low"] if np.isfinite(peak["low"]) else peak["value"]) > centre
    return Finding(
        f"The maps point at the lesion no better than the image's centre does ({centre:.1%})." * poor, detail
    )


def _interval(row: Mapping[Any, Any]) -> str:
    """Nothing where there are fewer than two groups."""
    return f" [{row['low']:.1%}, {row['high']:.1%}]" if np.isfinite(row["low"]) else ""
