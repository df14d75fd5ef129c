"""What a command says at its end of a run: on the terminal, and as the run's description in MLflow."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import mlflow
import numpy as np
import pandas as pd

from brain_tumor.config.schedule import DistillConfig
from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.protocol import leak
from brain_tumor.data.split import Split
from brain_tumor.evaluation.lesion_scores import NAMES as LESION_NAMES
from brain_tumor.evaluation.lesion_scores import opening
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.patients import covered
from brain_tumor.layout import markdown, terminal
from brain_tumor.layout.blocks import (
    Alert,
    Block,
    Code,
    Finding,
    Grid,
    Paragraph,
    Summary,
    figures,
    pairs,
    plainly,
    verdicts,
)
from brain_tumor.tracking.runs import artifact_place
from brain_tumor.tracking.store import Store, command_here
from brain_tumor.tracking.view import NOTE

DESCRIBED = ("test/confusion", "test/maps", "differences")  # figures that a run's description shows
DESCRIBED_WIDTH = 540  # pixels: a wider one would push the page's other half away
SMALL = "summary"  # the folder of artifacts where they are, this small
FOLDED = 66  # characters of a command in a description, whose lines MLflow does not break
EXPERIMENT = "brain-tumor"  # as conf/tracking/local.yaml has it
NAMES = {  # of the metrics that are printed, as a reader knows them
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error, ECE (lower is better)",
}


def score_table(table: pd.DataFrame) -> Grid:
    """The metrics of NAMES and those of lesions; their intervals, scores by patient and spread (`sd`), if any."""
    named = NAMES | {name: said for name, said in LESION_NAMES.items() if name in set(table["metric"])}
    rows = table.set_index("metric").loc[list(named)]
    values = ["–" if np.isnan(each) else f"{each:.3f}" for each in rows["value"]]  # of one class there is no ROC AUC
    columns: dict[str, list[str]] = {"metric": list(named.values()), "value": values}
    if rows["low"].notna().any():
        bounds = zip(rows["low"], rows["high"], strict=True)
        columns["95 % interval"] = ["" if np.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in bounds]
    if "patients" in rows:
        beside = rows[[f"patients_{name}" for name in ("value", "low", "high")]].itertuples(index=False, name=None)
        columns[f"by patient ({rows['patients'].max():.0f})"] = [_bounded(*each) for each in beside]
    if "sd" in rows:
        columns["standard deviation"] = ["" if np.isnan(each) else f"{each:.3f}" for each in rows["sd"]]
    return Grid(tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _bounded(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.3f}" + ("" if np.isnan(low) else f" ({low:.3f} to {high:.3f})")


def typed_about(findings: Sequence[Finding]) -> list[Block]:
    """What may be typed about them."""
    return [Code(found.command) for found in findings if found.command]


def in_a_line(evaluation: Evaluation, table: pd.DataFrame) -> str:
    """A part's accuracy with its interval, and what flatters it."""
    row = table.set_index("metric").loc["accuracy"]
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.3f} to {row['high']:.3f})"
    return evaluation.marked(f"{evaluation.rows['part'].iloc[0]} accuracy {row['value']:.3f}{interval}")


def scores(evaluation: Evaluation, table: pd.DataFrame, split: Split) -> list[Block]:
    """A part's scores under its title, what flatters them, and whether the answers rest on the lesion."""
    blocks: list[Block] = [Paragraph(f"{evaluation.title}: {len(evaluation.rows):,} images")]
    if found := leak(split, str(evaluation.rows["part"].iloc[0])):
        blocks.append(Alert(f"{found}: these scores flatter the model."))
    by_patient = [Paragraph(covered(evaluation))] if "patients" in table else []
    return [*blocks, *opening(table.set_index("metric").to_dict("index")), score_table(table), *by_patient]


def summarize_run(
    store: Store,
    run_id: str,
    measured: Sequence[tuple[Evaluation, pd.DataFrame]],
    split: Split,
    findings: Sequence[Finding],
    *,
    facts: Sequence[tuple[str, str]],
    commands: Sequence[str],
    details: Sequence[Finding] = (),
) -> Summary:
    """The summary of a run that has measured some parts; val is a detail where the test part has been measured.

    `facts`: what else there is, each with its name; `commands`: what to type next, after the one that opens MLflow;
    `details`: findings of which the facts have the verdict.
    """
    val: list[list[Block]] = []
    others: list[list[Block]] = []
    for evaluation, table in measured:
        (val if evaluation.rows["part"].iloc[0] == "val" else others).append(scores(evaluation, table, split))
    shown, more = (others, val) if others else (val, [])
    there = pairs([*facts, *store.addresses(run_id)])
    pictures = pairs([("pictures", artifact_place(run_id, "figures"))])
    return Summary(
        (
            *chain(*shown),
            verdicts(findings),
            there,
            Code("\n".join([*store.serve, *commands])),
        ),
        (
            *chain(*more),
            figures([*findings, *details]),
            *typed_about(details),
            pictures,
        ),
    )


def publish(run_id: str, summary: Summary, *, lead: Sequence[str] = (), printed: bool = True) -> None:
    """Make a summary the run's description in MLflow, keep it whole as the artifact `summary.md`, and print it.

    `lead`: paragraphs of Markdown that open the description. Of a run that is one of several nothing is `printed`:
    these are summed up together.
    """
    try:
        _describe(run_id, summary, lead)
    except Exception as error:  # each store raises its own, and no description is worth a trained model
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"run {run_id} could not be described: {reason}", file=sys.stderr)
    if printed:
        terminal.show(summary)


def _describe(run_id: str, summary: Summary, lead: Sequence[str]) -> None:
    client = mlflow.MlflowClient()
    client.log_text(run_id, markdown.render_blocks([*summary.blocks, *summary.details]) + "\n", "summary.md")
    pictures = [
        f"![{Path(file.path).stem}](get-artifact?path={quote(file.path)}&run_uuid={run_id})"
        for file in client.list_artifacts(run_id, SMALL)
    ]
    client.set_tag(run_id, NOTE, "\n\n".join([*lead, described(summary.blocks), *pictures]))


def described(blocks: Sequence[Block]) -> str:
    """Blocks as a run's description in MLflow has them."""
    return markdown.render_blocks([Code(_folded(each.text)) if isinstance(each, Code) else each for each in blocks])


def _folded(commands: str) -> str:
    """Commands, a line each, broken to lines of about FOLDED characters that can be pasted all the same."""
    folded = []
    for line in commands.splitlines():
        first, *words = map(shlex.quote, shlex.split(line))
        shown = [first]
        for word in words:
            if len(shown[-1]) + len(word) < FOLDED:
                shown[-1] += f" {word}"
            else:
                shown.append(f"    {word}")
        folded.append(" \\\n".join(shown))
    return "\n".join(folded)


def describe_unfinished(run_id: str, resume: str) -> None:
    """Say in a run's description, until it has another, how it is gone on with: by the command `resume`."""
    blocks: list[Block] = [
        Paragraph("Not finished yet. Should it be stopped, this goes on from its last finished epoch:"),
        Code(resume),
    ]
    mlflow.MlflowClient().set_tag(run_id, NOTE, markdown.render_blocks(blocks))


def describe_failed(run_id: str, reason: str) -> None:
    """Say in a run's description, and as its tag `failed`, why it came to nothing."""
    with suppress(mlflow.exceptions.MlflowException):  # where nothing can be written, what was raised says so
        client = mlflow.MlflowClient()
        client.set_tag(run_id, "failed", reason)
        client.set_tag(run_id, NOTE, markdown.render_blocks([Paragraph(f"Failed: {reason}")]))


def absent_classes(split: Split) -> list[Finding]:
    """That the test part has no image of some classes, where that is so."""
    absent = split.absent("test")
    if not absent:
        return []
    return [plainly(f"The test part has no image of {', '.join(absent)}: its scores are of the other classes.")]


def no_leak(split: Split, *, patients: bool) -> list[Finding]:
    """That the test part has nothing of what the model has trained on, where that is so and as far as it is known.

    `patients`: whether the images' patients are named; those of synthetic ones are.
    """
    if leak(split) is not None:
        return []
    if patients or split.synthetic:
        who = "subject" if split.synthetic else "patient that data.patients names"
        return [plainly(f"No twin (a copy of the same slice) and no {who} of the test part is in training.")]
    said = "No twin (a copy of the same slice) of a test image was found in training; its patient may be there."
    return [plainly(said)]


def taught_by(distill: DistillConfig) -> list[tuple[str, str]]:
    """The teacher as a fact of a run, where it had one."""
    how = f"{distill.teacher} (temperature {distill.temperature:g}, weight {distill.weight:g})"
    return [] if distill.teacher is None else [("teacher", how)]


def with_store(config: TrackingConfig, name: str, *arguments: str) -> str:
    """A command, ready to paste, on the store and the experiment that this one has used."""
    there = [f"tracking.experiment={config.experiment}"] if config.experiment != EXPERIMENT else []
    return command_here(name, *arguments, *there)
