"""Comparing two runs on the images that both predicted."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from brain_tumor.command_line import RUNS
from brain_tumor.config.commands import CompareConfig
from brain_tumor.data.logged_split import load_pictures
from brain_tumor.errors import InputError
from brain_tumor.evaluation import comparison
from brain_tumor.evaluation.comparison_figures import first_changes
from brain_tumor.evaluation.planes import cuts, drawn
from brain_tumor.layout.blocks import Code, Summary, pairs
from brain_tumor.tracking import comparison_run, runs, summary
from brain_tumor.tracking.runs import load_split
from brain_tumor.tracking.store import open_store

SIDE = 96  # pixels of an image on the sheet of changed ones


def run(config: CompareConfig) -> None:
    """Pair what two runs predicted, log the difference as a run that links to both, and print it."""
    store = open_store(config.tracking)
    a, b = comparison_run.find(config.run_a, "run_a"), comparison_run.find(config.run_b, "run_b")
    evaluations = [comparison_run.predictions(run, config.part, key) for run, key in zip((a, b), RUNS, strict=True)]
    found = comparison.compare(*evaluations, resamples=config.bootstrap)
    images, said = _pictures(found.changed, [a.info.run_id, b.info.run_id])
    name, tags = comparison_run.name(a, b), comparison_run.tags(a, b, config.part)
    with runs.started(store, name=name, tags=tags, system_metrics=False) as run_id:
        comparison_run.log(found, (a.info.run_name, b.info.run_name), images)
    blocks, details = comparison_run.summarize_comparison(found, a, b)
    facts = pairs([*said, ("run", store.run_address(run_id)), ("pictures", runs.artifact_place(run_id, "figures"))])
    said_of_both = Summary((*blocks, facts, *map(Code, store.serve)), tuple(details))
    summary.publish(run_id, said_of_both, lead=comparison_run.links(a, b))


def _pictures(changed: pd.DataFrame, run_ids: Sequence[str]) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
    """The images for the sheet, from the split of the first run that has one; None, and why, if they are gone."""
    shas = set(first_changes(changed)["sha256"])
    reason = ""
    for run_id in run_ids:
        try:
            found = load_pictures(load_split(run_id), shas, SIDE)
            return {sha: drawn(image[None], cuts(image[None]))[0] for sha, image in found.items()}, []
        except InputError as error:
            reason = reason or str(error)
    return None, [("no sheet", f"of the changed images: {reason}")]
