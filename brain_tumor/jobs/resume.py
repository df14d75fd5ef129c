"""Going on with an interrupted run, or with an interrupted parent of several."""

from brain_tumor.config.train import TrainConfig
from brain_tumor.jobs import multi_run
from brain_tumor.jobs.resume_one import resume_one
from brain_tumor.tracking import runs
from brain_tumor.tracking.store import open_store


def run(config: TrainConfig, overrides: list[str]) -> float:
    """Go on with the run `config.resume`, whichever it is; see `resume_one`."""
    open_store(config.tracking)
    several = runs.interrupted(str(config.resume)).data.tags["job"] == "several"
    return multi_run.resume(config, overrides) if several else resume_one(config, overrides)
