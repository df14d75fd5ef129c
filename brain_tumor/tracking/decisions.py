"""A model's decision as artifacts of its run, and what it is worth on a part."""

import tempfile
from pathlib import Path

import mlflow
import numpy as np

from brain_tumor.errors import InputError
from brain_tumor.evaluation.certainty import abstention, conformal
from brain_tumor.evaluation.certainty.decision import Decision, warnings
from brain_tumor.evaluation.certainty.decision_files import FILES, read_decision, write_decision
from brain_tumor.evaluation.figures import risk_coverage
from brain_tumor.evaluation.metrics import Evaluation, score
from brain_tumor.evaluation.prediction import Outputs
from brain_tumor.tracking.report import log_figure
from brain_tumor.tracking.runs import download, log_table

CHANGED = {"ece": "ECE", "log_loss": "log loss", "brier": "Brier"}
FOLDER = "decision"


def log_decision(decision: Decision) -> None:
    """Log a decision to the current run: `decision/`, the fitted numbers as metrics, and the scaling's kind as tags."""
    with tempfile.TemporaryDirectory() as folder:
        write_decision(decision, Path(folder))
        for name in FILES:
            mlflow.log_artifact(str(Path(folder) / name), FOLDER)
    scaling = decision.scaling
    mlflow.set_tags({"calibration": scaling.kind, "calibration_reason": scaling.why})
    values = {"calibration/temperature": scaling.temperature, "decision/distance": decision.distance}
    mlflow.log_metrics(
        values if np.isinf(decision.confidence) else {**values, "decision/confidence": decision.confidence}
    )


def load_decision(run_id: str) -> Decision | None:
    """The decision that a run logged; None of a run that has none.

    Raises InputError if it is there and cannot be read.
    """
    if f"{FOLDER}/{FILES[-1]}" not in {file.path for file in mlflow.MlflowClient().list_artifacts(run_id, FOLDER)}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read_decision(Path(download(run_id, FOLDER, folder)))
        except ValueError as error:
            raise InputError(f"the decision of run {run_id} cannot be read: {error}") from error


def log_worth(decision: Decision | None, evaluation: Evaluation, outputs: Outputs, part: str) -> list[str]:
    """Log what a decision's thresholds, as they are, come to on a part, and return it in lines that bear its mark.

    Metrics: `coverage_90`, `set_size_90`, `single_90` for each level, `aurc`, `answered` (share), `answered_accuracy`,
    `not_brain_mri` (share). The table `tables/<part>_conformal.csv` has the sets by class, with the range that finite
    parts allow. A model without a decision has nothing to log.
    """
    if decision is None:
        return []
    confidences, correct = evaluation.confidences, evaluation.correct
    curve = abstention.risk_coverage(confidences, correct)
    answered, accuracy = abstention.selective(confidences, correct, decision.confidence)
    far = float((decision.gaussians.distance(outputs.features) > decision.distance).mean())
    values = {"aurc": curve.area, "answered": answered, "not_brain_mri": far}
    lines = [_change(evaluation.before, evaluation)] if evaluation.before is not None else []
    if decision.sets.levels:
        more, told = _sets(decision, evaluation, part)
        values |= more
        lines += told
    said = (
        f"{answered:.1%} of the images are answered, {accuracy:.1%} of them rightly" if answered else "none is answered"
    )
    limit = "" if np.isinf(decision.confidence) else f" below a confidence of {decision.confidence:.3f}"
    lines += [
        f"not sure{limit} ({decision.accuracy:.1%} wanted): {said}",
        f"not a brain MRI: said of {far:.1%} of the images",
    ]
    if answered:
        values["answered_accuracy"] = accuracy
    mlflow.log_metrics({f"{part}/{name}": value for name, value in values.items()})
    log_figure(risk_coverage(evaluation, decision.confidence), f"{part}/risk_coverage")
    return [f"{part:<9} {evaluation.marked(line)}" for line in lines]


def describe(decision: Decision | None) -> list[str]:
    """How the model is calibrated and why so, and what could not be fitted, in lines; no decision, no line."""
    if decision is None:
        return []
    scaling = decision.scaling
    how = f"{scaling.kind} {scaling.temperature:.3f}" if scaling.kind == "temperature" else scaling.kind
    lines = [f"scaling   {how} ({scaling.why})"]
    return lines + [f"warning   {line}" for line in warnings(decision)]


def _change(before: Evaluation, after: Evaluation) -> str:
    old, new = score(before), score(after)
    return "by scaling, " + ", ".join(f"{text} {old[name]:.4f} to {new[name]:.4f}" for name, text in CHANGED.items())


def _sets(decision: Decision, evaluation: Evaluation, part: str) -> tuple[dict[str, float], list[str]]:
    table = conformal.coverage(decision.sets, evaluation)
    log_table(table, f"tables/{part}_conformal.csv")
    values: dict[str, float] = {}
    lines = []
    for row in table[table["class"] == "all"].to_dict("records"):
        values |= {f"{name}_{row['level'] * 100:g}": row[name] for name in ("coverage", "set_size", "single", "empty")}
        lines.append(
            f"{row['level']:.1%} sets: {row['coverage']:.1%} hold the truth (95 % of draws of images: {row['low']:.1%} "
            f"to {row['high']:.1%}, of groups: {row['low_groups']:.1%} to {row['high_groups']:.1%}), "
            f"{row['set_size']:.2f} classes, {row['single']:.1%} of one class, {row['empty']:.1%} empty"
        )
    return values, lines
