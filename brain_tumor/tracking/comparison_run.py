"""The run that holds a comparison of two others: which two were meant, what it logs, and what it prints."""

import re
from collections.abc import Mapping

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run, ViewType
from numpy.typing import NDArray

from brain_tumor.errors import InputError
from brain_tumor.evaluation.comparison import Comparison, McNemar
from brain_tumor.evaluation.comparison_figures import changed_sheet, forest
from brain_tumor.evaluation.lesion_scores import NAMES as LESION_NAMES
from brain_tumor.evaluation.metrics import HEADLINE, Evaluation
from brain_tumor.layout import markdown
from brain_tumor.layout.blocks import Alert, Block, Grid, Paragraph, Points, pairs
from brain_tumor.tracking.model_address import trained_by
from brain_tumor.tracking.predictions import FLATTERING, read_predictions
from brain_tumor.tracking.results import log_figure
from brain_tumor.tracking.runs import artifact_place, git_tags, log_table
from brain_tumor.tracking.store import command_here, current
from brain_tumor.tracking.summary import NAMES


def find(meant: str, key: str) -> Run:
    """The run of an id, of its first characters, or the one that trained `models:/NAME@ALIAS` or `/NAME/VERSION`.

    Raises InputError, which opens with `key`, if there is none, or several.
    """
    if meant.startswith("models:/"):
        try:
            return mlflow.get_run(trained_by(meant))
        except InputError as error:
            raise InputError(f"{key}={error}") from error
    client = mlflow.MlflowClient()
    found: list[Run] = []
    if re.fullmatch("[0-9a-f]+", meant):
        # In the trash as well, where what a run has predicted can still be read.
        experiments = [each.experiment_id for each in client.search_experiments(ViewType.ALL)]
        query = f"attributes.run_id LIKE '{meant}%'"
        found = list(client.search_runs(experiments, query, run_view_type=ViewType.ALL, max_results=2))
    if not found:
        raise InputError(
            f"{key}={meant}: {current()} has no run whose id begins so: "
            "give a run's id, models:/NAME@ALIAS or models:/NAME/VERSION; tracking.uri names another store"
        )
    if len(found) > 1:
        raise InputError(f"{key}={meant}: the ids of several runs begin so: give more of it")
    return found[0]


def predictions(run: Run, part: str, key: str) -> Evaluation:
    """What a run predicted for a part; InputError, which says what to do, if it has no such table."""
    files = mlflow.MlflowClient().list_artifacts(run.info.run_id, "tables")
    if f"tables/{part}_predictions.csv" not in {file.path for file in files}:
        raise InputError(f"{key}={run.info.run_id} has no predictions of its {part} part: {_remedy(run, part)}")
    return read_predictions(run.info.run_id, part)


def _remedy(run: Run, part: str) -> str:
    """Why a run has no table of predictions, and what to do."""
    tags, run_id = run.data.tags, run.info.run_id
    job = tags.get("job")
    if job == "several":
        return f"it stands for several runs; give one of them: {_members(run)}"
    if job not in ("train", "evaluate"):
        what = {
            "sweep": "it is a study",
            "compare": "it is a comparison",
            "audit": "it is an audit",
            **dict.fromkeys(("adopt", "ensemble", "pool"), "it registered a model, which only evaluate measures"),
        }
        return f"{what.get(job, 'brain_tumor has not logged it')}; give the run of a training or an evaluation"
    if "study" in tags:
        return (
            "it is a sweep's trial, which opens no test part, and keeps its val predictions only if it led its study; "
            "train it again by itself, with the keys in its config/overrides.txt"
        )
    if job == "evaluate" and part == "val":
        return f"evaluate measures the test part alone; give the run that trained, {tags.get('trained_by')}"
    if run.info.status != "FINISHED":
        again = f"go on: {command_here('train', f'resume={run_id}')}" if job == "train" else "evaluate again"
        return f"it has not finished ({run.info.status}); wait, or {again}"
    if f"{part}/accuracy" in run.data.metrics:
        return f"it has scored them, and their table is not in {artifact_place(run_id, 'tables')}: was it deleted?"
    return "it was never opened; compare part=val, or open it and give the run of that: " + command_here(
        "evaluate", f"model_uri=runs:/{run_id}/model"
    )


def _members(parent: Run) -> str:
    """The runs below a parent, each with what sets it apart: "0123 (seed 0), 4567 (seed 1)"."""
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = mlflow.MlflowClient().search_runs(
        [parent.info.experiment_id], query, order_by=["attributes.start_time ASC"]
    )
    named = [f"{run.info.run_id} ({run.data.tags['member']})" for run in found if "member" in run.data.tags]
    return ", ".join(named) or "it has none yet"


def name(a: Run, b: Run) -> str:
    return f"compare {a.info.run_name} with {b.info.run_name}"


def tags(a: Run, b: Run, part: str) -> dict[str, str]:
    """Tags of the comparison's run."""
    both = (a.data.tags, b.data.tags)
    shared = {key: both[0][key] for key in ("data", "data_kind", "protocol") if both[0].get(key, "") != ""}
    shared = {key: ", ".join(dict.fromkeys([value, both[1].get(key, value)])) for key, value in shared.items()}
    return {
        "job": "compare",
        "run_a": a.info.run_id,
        "run_b": b.info.run_id,
        "part": part,
        **shared,
        **git_tags(),
    }


def links(a: Run, b: Run) -> list[str]:
    """Markdown that leads from the comparison's run to both."""
    return [
        f"{letter}: [{markdown.escape(str(run.info.run_name))}]"
        f"(#/experiments/{run.info.experiment_id}/runs/{run.info.run_id})"
        for letter, run in (("A", a), ("B", b))
    ]


def log(found: Comparison, names: tuple[str, str], images: Mapping[str, NDArray[np.uint8]] | None) -> None:
    """Log a comparison to the current run: metrics, `tables/` and `figures/`.

    `images` are those that the sheet of changed images shows; without them there is no sheet.
    """
    differences = found.differences.set_index("metric")["difference"]
    logged = [metric for metric in (*HEADLINE, *LESION_NAMES) if metric in differences]
    mlflow.log_metrics({f"difference/{metric}": float(differences[metric]) for metric in logged})
    counts = {
        "compared": len(found.pair.a.rows),
        "left_out_of_a": found.pair.only_a,
        "left_out_of_b": found.pair.only_b,
        "only_a_right": found.test.only_a_right,
        "only_b_right": found.test.only_b_right,
    }
    mlflow.log_metrics({f"images/{what}": count for what, count in counts.items()})
    mlflow.log_metric("mcnemar/p_value", found.test.p_value)
    log_table(found.differences, "tables/differences.csv")
    log_table(_two_by_two(found.test).reset_index(), "tables/right_and_wrong.csv")
    log_table(found.changed, "tables/changed.csv")
    log_figure(forest(found.differences, found.title, names), "differences")
    if images is not None:
        log_figure(changed_sheet(found.changed, images, found.title), "changed")


def summarize_comparison(found: Comparison, a: Run, b: Run) -> tuple[list[Block], list[Block]]:
    """What came of it, and more of it for those who ask."""
    rows = found.pair.a.rows
    runs = {"A": a, "B": b}
    groups = rows["group"].nunique()
    named = [(letter, f"{run.info.run_name} ({run.info.run_id})") for letter, run in runs.items()]
    said = f"{found.title}: {len(rows):,} images that both runs predicted, in {groups:,} groups"
    blocks: list[Block] = [Paragraph(said), pairs(named)]
    part = str(rows["part"].iloc[0])
    for tag, word in FLATTERING[part].items():
        flattered = [letter for letter, run in runs.items() if run.data.tags.get(tag) == "true"]
        if flattered:
            who = " and ".join(flattered)
            blocks.append(Alert(f"{word}: {who} had twins of {part} images in training, which flatters the scores"))
    shown = found.differences[found.differences["metric"].isin({**NAMES, **LESION_NAMES})]
    blocks += [_differences(shown), Points(tuple(_verdicts(found)))]
    return blocks, [_differences(found.differences), _answers(found.test)]


def _differences(table: pd.DataFrame) -> Grid:
    rows = []
    for row in table.to_dict("records"):
        interval = f"{row['low']:+.3f} to {row['high']:+.3f}" if np.isfinite(row["low"]) else ""
        name = (NAMES | LESION_NAMES).get(row["metric"], row["metric"].replace("_", " "))
        rows.append((name, f"{row['a']:.3f}", f"{row['b']:.3f}", f"{row['difference']:+.3f}", interval))
    return Grid(("metric", "A", "B", "B - A", "95 % interval"), tuple(rows))


def _verdicts(found: Comparison) -> list[str]:
    """Which is more often right, as far as the interval tells; what changed; what was left out."""
    row = found.differences.set_index("metric").loc["accuracy"]
    test, pair = found.test, found.pair
    if row["low"] <= 0 <= row["high"] or np.isnan(row["low"]):
        verdict = "These images do not show that one of the two is more often right."
    else:
        verdict = f"{'B' if row['difference'] > 0 else 'A'} is more often right, by more than chance explains."
    changed = (
        f"{test.only_a_right} images that A got right B gets wrong, {test.only_b_right} the other way round (exact "
        f"McNemar test: p = "
        f"{test.p_value:.2g}; it takes images as independent, which the interval does not)."
    )
    left = f"Left out: {pair.only_a} images that A alone predicted, {pair.only_b} of B alone."
    return [verdict, changed, *([left] if pair.only_a or pair.only_b else [])]


def _answers(test: McNemar) -> Grid:
    table = _two_by_two(test)
    rows = [(str(name), *map(str, row)) for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return Grid(("images", *table.columns), tuple(rows))


def _two_by_two(test: McNemar) -> pd.DataFrame:
    cells = [[test.both_right, test.only_a_right], [test.only_b_right, test.both_wrong]]
    return pd.DataFrame(cells, index=pd.Index(["A right", "A wrong"], name="images"), columns=["B right", "B wrong"])
