"""Which trainings a model came from, and so what it has seen: its own or its members', and those of its teachers."""

import mlflow

TEACHER_RUN = "teacher_run"  # tag of a run: the id of the run that registered its teacher
MEMBER_RUNS = "member_runs"  # tag of a run of ensemble, or pool: the ids of those that trained its networks
POOLED_JOB = "pooled_job"  # tag of a run of pool: the job that made the model which it takes


def networks(run_id: str) -> list[str]:
    """Ids of the runs that trained the networks of a model: its own, or those that MEMBER_RUNS names."""
    members = _tags(run_id).get(MEMBER_RUNS)
    return members.split(", ") if members else [run_id]


def teachers(run_id: str) -> list[str]:
    """Ids of the runs that trained the networks of a model's teachers (`distill.teacher`), of theirs, and so on."""
    taught_by = [_tags(network).get(TEACHER_RUN) for network in networks(run_id)]
    found = [each for teacher in taught_by if teacher for each in (*networks(teacher), *teachers(teacher))]
    return list(dict.fromkeys(found))


def _tags(run_id: str) -> dict[str, str]:
    return dict(mlflow.get_run(run_id).data.tags)
