"""What a model has seen: the division of its own run, and those of its teachers (`distill.teacher`)."""

import mlflow

from brain_tumor.data.split import Split
from brain_tumor.tracking.runs import load_split

TEACHER_RUN = "teacher_run"  # tag of a run: the id of the run that trained its teacher


def splits_seen(run_id: str) -> list[Split]:
    """The split of a training run, of its teacher's, of that one's teacher's, and so on."""
    found = [load_split(run_id)]
    while teacher := mlflow.get_run(run_id).data.tags.get(TEACHER_RUN):
        run_id = teacher
        found.append(load_split(run_id))
    return found
