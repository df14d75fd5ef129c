"""What a small student gains by a teacher: cct_5 and cnn_baseline, plain and taught by EfficientNet-Lite0.

    python experiments/architectures/distill.py data=folder data.root=DIR data.patients=patients.csv data.image_size=128
    python experiments/architectures/distill.py debug=tiny students=cnn_baseline     # a try in seconds, worth nothing

What follows is given to every `train`. All networks see images of one size, under protocol=grouped and one division.
The teacher is trained once (seed 0), each student from nothing by `schedule=scratch` with the seeds 0, 1 and 2. All
stays in the store of this folder (`mlruns/`), and what is there already is not trained again: the same line goes on.
In the end the table: mean over the seeds of the scores on the test part, with their standard deviation.
"""

import subprocess
import sys

import mlflow

from brain_tumor.config.train import TrackingConfig
from brain_tumor.tracking.store import open_store

TEACHER = "distill-teacher"
EXPERIMENT = "distill"
STUDENTS = ("cnn_baseline", "cct_5")
SCORES = ("accuracy", "macro_f1")
SEEDS = "seeds=[0,1,2]"


def main(given: list[str]) -> None:
    students = next((each.partition("=")[2].split(",") for each in given if each.startswith("students=")), STUDENTS)
    shared = [each for each in given if not each.startswith("students=")]
    open_store(TrackingConfig(None, EXPERIMENT, None, "mlruns/checkpoints", False))
    tiny = "debug=tiny" in shared  # which brings a network and a schedule of its own
    if not mlflow.search_model_versions(filter_string=f"name='{TEACHER}'"):
        train([*shared, *([] if tiny else ["model=effnet_lite0", "schedule=finetune"]), f"tracking.register={TEACHER}"])
    print("| student | teacher | test accuracy | macro F1 |\n|---|---|---|---|")
    for name in students:
        for teacher in ("none", f"models:/{TEACHER}/1"):
            how = [] if teacher == "none" else [f"distill.teacher={teacher}"]
            metrics = finished(name, teacher)
            if metrics is None:
                own = [f"model={name}", *([] if tiny else ["schedule=scratch"]), SEEDS, "tracking.register=null", *how]
                train([*shared, *own])
                metrics = finished(name, teacher) or {}
            cells = [f"{metrics[f'test/{score}']:.4f} ± {metrics[f'test/{score}_sd']:.4f}" for score in SCORES]
            print(f"| {name} | {teacher} | {' | '.join(cells)} |", flush=True)


def train(overrides: list[str]) -> None:
    own = ["protocol=grouped", f"tracking.experiment={EXPERIMENT}"]
    subprocess.run([sys.executable, "-m", "brain_tumor.train", *own, *overrides], check=True, stdout=sys.stderr)


def finished(model: str, teacher: str) -> dict[str, float] | None:
    """The metrics of several finished runs of a model with this teacher, or none; None where there are none yet."""
    query = f"tags.job = 'several' and tags.model = '{model}' and attributes.status = 'FINISHED'"
    for run in mlflow.search_runs(experiment_names=[EXPERIMENT], filter_string=query, output_format="list"):
        if run.data.tags.get("teacher", "none") == teacher:
            return dict(run.data.metrics)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
