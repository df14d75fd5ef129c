"""What a run logs and prints of results: each epoch, and once its model stands final metrics, tables and pictures."""

import resource
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from brain_tumor.config.train import TrainConfig
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation import robustness_figures
from brain_tumor.evaluation.bootstrap import intervals
from brain_tumor.evaluation.corruptions import corruptions_of
from brain_tumor.evaluation.drawing import save
from brain_tumor.evaluation.explanation.maps import Explainer
from brain_tumor.evaluation.lesion_scores import lesion_intervals
from brain_tumor.evaluation.metrics import Evaluation, score
from brain_tumor.evaluation.patients import with_patients
from brain_tumor.evaluation.pictures import pictures
from brain_tumor.evaluation.robustness import ALL, measure_robustness, seeds_of
from brain_tumor.evaluation.sheets import select_cases, to_relabel
from brain_tumor.layout.blocks import Finding, plainly
from brain_tumor.progress import time_left
from brain_tumor.tracking.headline import accuracy_tag
from brain_tumor.tracking.runs import log_epoch, log_table
from brain_tumor.tracking.summary import DESCRIBED, DESCRIBED_WIDTH, NAMES, SMALL

SCALED = ("ece", "log_loss", "brier")  # what scaling may change


def epoch_reporter(config: TrainConfig, split: Split, *, prefix: str = "") -> Callable[[Mapping[str, Any]], None]:
    """What tells the run and the terminal of a finished epoch; `prefix` opens the line."""
    opening = f"{prefix}, " if prefix else ""
    phases, epochs = list(config.schedule), sum(phase.epochs for phase in config.schedule.values())

    def report(row: Mapping[str, Any]) -> None:
        log_epoch(row, phases)
        cost = "reused" if row.get("reused") else f"{row['images_per_second']:.0f} images/s, {row['seconds']:.0f} s"
        print(
            f"{opening}epoch {row['step']} of {epochs} ({split.name}, phase {row['phase']}): "
            f"train/loss {row['train/loss']:.4f}, val/loss {row['val/loss']:.4f}, "
            f"{config.monitor} {row[config.monitor]:.4f}, {cost}{time_left(', ')}",
            file=sys.stderr,
        )

    return report


def log_cost(history: Sequence[Mapping[str, Any]]) -> None:
    """Training time (s), speed (images/s, median over the last phase's epochs, validation left out), peak memory (MiB).

    Epochs that another trial of a sweep has trained (`reused`) cost this run nothing. Phases differ by up to a hundred
    times in speed (a head on stored features), so that a median over several would say nothing.
    """
    own = [row for row in history if not row.get("reused")]
    rate = pd.Series([row["images_per_second"] for row in own if row["phase"] == own[-1]["phase"]]).median()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    mlflow.log_metrics(
        {
            "cost/train_seconds": sum(row["seconds"] for row in own),
            "cost/images_per_second": float(rate),
            "cost/peak_memory_mib": peak,
        }
    )


def log_evaluation(
    evaluation: Evaluation, part: str, *, resamples: int, history: Sequence[Mapping[str, Any]] = ()
) -> pd.DataFrame:
    """Log the printed metrics as `part/name`, and every metric with its interval and every prediction as tables.

    What scaling changed is `tables/part_calibration.csv` (metric, before, after). Only what people compare runs by is
    a metric: each one more is a column and a chart in MLflow's pages.

    A metric that has a curve in `history` ends it, one step after the last epoch, so that the run's table shows the
    kept epoch's value: `part/loss` as it was before calibration, like its curve. The others stand at step 0: the UI
    draws those as bars.
    Returns the table of intervals: metric, value, low, high, and what `with_patients` adds.
    """
    values = score(evaluation)
    before = score(evaluation.before) if evaluation.before is not None else values
    final = {f"{part}/{name}": values[name] for name in NAMES} | {f"{part}/loss": before["log_loss"]}
    if evaluation.before is not None:
        changed = {
            "metric": SCALED,
            "before": [before[name] for name in SCALED],
            "after": [values[name] for name in SCALED],
        }
        log_table(pd.DataFrame(changed), f"tables/{part}_calibration.csv")
    curves = {name for row in history for name in row}
    if f"{part}/loss" not in curves:
        del final[f"{part}/loss"]
    _log_final(final, history)
    table = with_patients(intervals(evaluation, resamples=resamples), [evaluation], resamples)
    log_table(table, f"tables/{part}_metrics.csv")
    if part == "test":
        mlflow.set_tags(accuracy_tag(table))
    log_table(evaluation.table(), f"tables/{part}_predictions.csv")
    log_table(to_relabel(evaluation), f"tables/{part}_relabel.csv")
    return table


def log_lesions(
    evaluation: Evaluation,
    values: pd.DataFrame,
    part: str,
    table: pd.DataFrame,
    *,
    resamples: int,
    history: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Log what a part's images have of `lesion_scores.NAMES` as `log_evaluation` does the rest, in the same two tables.

    `values` by the index of the evaluation's rows, `table` as `log_evaluation` returned it. Returns the whole table.
    """
    known = replace(evaluation, rows=evaluation.rows.join(values))
    found = lesion_intervals([known], resamples=resamples).drop(columns="sd")
    if found.empty:
        return table
    _log_final({f"{part}/{name}": value for name, value in zip(found["metric"], found["value"], strict=True)}, history)
    whole = pd.concat([table, found], ignore_index=True)
    log_table(whole, f"tables/{part}_metrics.csv")
    log_table(known.table(), f"tables/{part}_predictions.csv")
    return whole


def _log_final(final: Mapping[str, float], history: Sequence[Mapping[str, Any]]) -> None:
    """Metrics of the model that stands: one step after the last epoch where there is a curve, otherwise at step 0."""
    curves = {name for row in history for name in row} & final.keys()
    mlflow.log_metrics({name: final[name] for name in curves}, step=len(history) + 1)
    mlflow.log_metrics({name: value for name, value in final.items() if name not in curves}, step=0)


def log_pictures(dataset: Dataset, part: str, evaluation: Evaluation, explainer: Explainer | None) -> None:
    """Log a part's figures to `figures/part/`."""
    for name, figure in pictures(dataset, part, evaluation, explainer):
        log_figure(figure, f"{part}/{name}")


def log_robustness(
    model: Any, dataset: Dataset, part: str, evaluation: Evaluation, *, batch_size: int, resamples: int
) -> Finding:
    """Measure a part under corruption (see `measure_robustness`) and log it; returns the finding.

    Metric `part/robustness` (the mean), tables `tables/part_robustness.csv` and, of each corruption's mean,
    `tables/part_robustness_means.csv`, and the figures `part/robustness` and `part/robustness_examples`, of the first
    usual case.
    """
    found = measure_robustness(model, dataset, part, evaluation, batch_size=batch_size, resamples=resamples)
    log_table(found.table, f"tables/{part}_robustness.csv")
    log_table(found.means, f"tables/{part}_robustness_means.csv")
    means = found.means.set_index("corruption")
    each, overall = means["accuracy"].drop(ALL), means.loc[ALL]
    mlflow.log_metric(f"{part}/robustness", means["accuracy"].to_dict()[ALL])
    log_figure(robustness_figures.robustness(found, corruptions_of(dataset.shape)), f"{part}/robustness")
    shown = select_cases(evaluation)[:1]
    image, [seed] = dataset.images(dataset.rows(part)[shown])[0], seeds_of(evaluation.take(shown).rows)
    sheet = robustness_figures.examples(image, seed, f"Corruptions: {evaluation.title}", corruptions_of(dataset.shape))
    log_figure(sheet, f"{part}/robustness_examples")
    said = (
        f"Under {len(each)} corruptions the accuracy is {overall['accuracy']:.3f} on average "
        f"({overall['low']:.3f} to {overall['high']:.3f}), clean {found.clean:.3f}; lowest: {each.idxmin()}, "
        f"{each.min():.3f}"
    )
    return plainly(f"{evaluation.marked(said)}.")


def log_figure(figure: Figure, name: str) -> None:
    """A figure as `figures/name.png`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(figure, path)
        mlflow.log_artifacts(folder, "figures")
        if name in DESCRIBED:  # MLflow shows a description's pictures as large as they are
            with Image.open(path) as picture:
                picture.thumbnail((DESCRIBED_WIDTH, 4 * DESCRIBED_WIDTH))
                picture.save(path)
            mlflow.log_artifact(str(path), SMALL)
