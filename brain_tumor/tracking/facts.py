"""What a run says of its model, in Markdown."""

import mlflow

from brain_tumor import NOTICE

TAGS = {
    "model": "architecture",
    "data": "data",
    "data_kind": "real or synthetic",
    "protocol": "protocol",
    "leaking": "the test part leaks",
    "calibration": "calibration",
}
METRICS = ("test/accuracy", "test/balanced_accuracy", "test/macro_f1", "test/ece", "val/accuracy", "val/macro_f1")


def facts(run_id: str) -> str:
    """Its headline tags and scores, and NOTICE."""
    run = mlflow.MlflowClient().get_run(run_id)
    rows = [(title, run.data.tags[tag]) for tag, title in TAGS.items() if tag in run.data.tags]
    rows += [(name, f"{run.data.metrics[name]:.4f}") for name in METRICS if name in run.data.metrics]
    cells = ((title, value.replace("|", "\\|")) for title, value in rows)
    table = "\n".join(f"| {title} | {value} |" for title, value in cells)
    return f"{NOTICE}\n\n| of run {run_id} | |\n|---|---|\n{table}\n"
