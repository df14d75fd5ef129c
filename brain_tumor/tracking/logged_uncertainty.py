"""A model's fitted uncertainty as artifacts of its run, and what it is worth on a part."""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from brain_tumor.config.train import TrainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.errors import InputError
from brain_tumor.evaluation.figures import risk_coverage
from brain_tumor.evaluation.metrics import Evaluation, score
from brain_tumor.evaluation.prediction import Outputs, observing
from brain_tumor.evaluation.uncertainty import abstention, conformal
from brain_tumor.evaluation.uncertainty.files import FILES, read_uncertainty, write_uncertainty
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, fit_uncertainty, warnings
from brain_tumor.layout.blocks import Finding, plainly
from brain_tumor.tracking.results import log_figure
from brain_tumor.tracking.runs import download, log_table

CHANGED = {"ece": "ECE", "log_loss": "log loss", "brier": "Brier"}
FOLDER = "decision"  # as the first release named it: models of then still load


def fit_and_log(model: Any, dataset: Dataset, config: TrainConfig) -> Uncertainty:
    """`fit_uncertainty` of a classifier that is not calibrated yet, as `config` asks, logged to the current run."""
    uncertainty = fit_uncertainty(
        observing(model),
        dataset,
        calibrate=config.calibrate,
        levels=config.coverage,
        accuracy=config.selective_accuracy,
    )
    log_uncertainty(uncertainty)
    return uncertainty


def log_uncertainty(uncertainty: Uncertainty) -> None:
    """Log it to the current run: the folder `decision/`, whose numbers are no metrics, and the scaling as a tag."""
    with tempfile.TemporaryDirectory() as folder:
        write_uncertainty(uncertainty, Path(folder))
        for name in FILES:
            mlflow.log_artifact(str(Path(folder) / name), FOLDER)
    scaling = uncertainty.scaling
    mlflow.set_tags({"calibration": scaling.kind, "calibration_reason": scaling.why})


def load_uncertainty(run_id: str) -> Uncertainty | None:
    """The uncertainty that a run logged; None of a run that has none.

    Raises InputError if it is there and cannot be read.
    """
    if f"{FOLDER}/{FILES[-1]}" not in {file.path for file in mlflow.MlflowClient().list_artifacts(run_id, FOLDER)}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read_uncertainty(Path(download(run_id, FOLDER, folder)))
        except ValueError as error:
            raise InputError(f"the uncertainty of run {run_id} cannot be read: {error}") from error


def log_worth(uncertainty: Uncertainty | None, evaluation: Evaluation, outputs: Outputs, part: str) -> list[Finding]:
    """Log what the fitted thresholds, as they are, come to on a part, and return it, with the part's mark.

    Metrics: `aurc`, `answered` (share), `answered_accuracy`, `not_brain_mri` (share). The table
    `tables/<part>_conformal.csv` has the sets of each level, of all and by class (coverage, size, share of one class),
    with the least coverage that finite parts let expect. A model without one has nothing to log.
    """
    if uncertainty is None:
        return []
    confidences, correct = evaluation.confidences, evaluation.correct
    curve = abstention.risk_coverage(confidences, correct)
    answered, accuracy = abstention.selective(confidences, correct, uncertainty.confidence)
    far = float((uncertainty.gaussians.distance(outputs.features) > uncertainty.distance).mean())
    values = {"aurc": curve.area, "answered": answered, "not_brain_mri": far}
    found = [Finding("", _change(evaluation.before, evaluation))] if evaluation.before is not None else []
    if uncertainty.sets.levels:
        found += _sets(uncertainty, evaluation, part)
    found += [
        _answered(uncertainty, answered, accuracy),
        Finding("", f'It says "not a brain MRI" of {far:.1%} of the images, all of which are taken to be some.'),
    ]
    if answered:
        values["answered_accuracy"] = accuracy
    mlflow.log_metrics({f"{part}/{name}": value for name, value in values.items()})
    log_figure(risk_coverage(evaluation, uncertainty.confidence), f"{part}/risk_coverage")
    where = "" if part == "test" else f"{part}: "
    return [
        Finding(
            each.verdict and where + evaluation.marked(each.verdict), f"{part} part: {evaluation.marked(each.detail)}"
        )
        for each in found
    ]


def describe(uncertainty: Uncertainty | None) -> list[Finding]:
    """How the model is calibrated and why so, and what could not be fitted; nothing where nothing is fitted."""
    if uncertainty is None:
        return []
    scaling = uncertainty.scaling
    how = f"{scaling.kind} {scaling.temperature:.3f}" if scaling.kind == "temperature" else scaling.kind
    found = [Finding("", f"Calibration: {how} ({scaling.why}).")]
    return found + [plainly(f"Warning: {line}.") for line in warnings(uncertainty)]


def _change(before: Evaluation, after: Evaluation) -> str:
    old, new = score(before), score(after)
    changes = ", ".join(f"{text} from {old[name]:.4f} to {new[name]:.4f}" for name, text in CHANGED.items())
    return f"Calibration changes {changes}."


def _answered(uncertainty: Uncertainty, answered: float, accuracy: float) -> Finding:
    wanted = f"{uncertainty.accuracy:.1%}"
    if np.isinf(uncertainty.confidence):
        limit = f"On the val part no limit of the confidence gave the wanted accuracy of {wanted}."
    else:
        limit = f"It does so below a confidence of {uncertainty.confidence:.3f}, which gave {wanted} on the val part."
    if not answered:
        said = 'It says "not sure" of every image.'
    elif answered == 1:
        said = f'It never says "not sure", and is right in {accuracy:.1%} of its answers.'
    else:
        said = f'It says "not sure" of {1 - answered:.1%} of the images, and is right in {accuracy:.1%} of the others.'
    return Finding(said, f"{said} {limit}")


def _sets(uncertainty: Uncertainty, evaluation: Evaluation, part: str) -> list[Finding]:
    table = conformal.coverage(uncertainty.sets, evaluation)
    log_table(table, f"tables/{part}_conformal.csv")
    found = []
    last = max(uncertainty.sets.levels)
    for row in table[table["class"] == "all"].to_dict("records"):
        said = (
            f"The {row['level'] * 100:g}% prediction sets hold the truth in {row['coverage']:.1%} of the images, "
            f"with {row['set_size']:.2f} classes on average."
        )
        expected = (
            f"{row['single']:.1%} name one class. Expected for a part of this size: at least {row['low']:.1%} if its "
            f"images are independent, at least {row['low_groups']:.1%} if only its groups are (97.5 % of such parts)."
        )
        found.append(Finding(said if row["level"] == last else "", f"{said} {expected}"))
    return found
