"""Whatever `train` is asked for: one run, several, one that goes on, or a sweep's trial."""

from omegaconf import DictConfig

from brain_tumor.config.composition import Composition
from brain_tumor.jobs import multi_run, single_run, trial
from brain_tumor.jobs.member_runs import members
from brain_tumor.jobs.resume import resume_one
from brain_tumor.tracking import runs


def run(composed: Composition) -> float:
    """Train what a checked composition asks for; returns the best epoch's `monitor` on val, or the mean of several."""
    config = composed.config
    if config.resume:  # in the store that the check has opened
        several = runs.interrupted(str(config.resume)).data.tags["job"] == "several"
        go_on = multi_run.resume if several else resume_one
        return go_on(config, composed.overrides)
    return multi_run.run(composed) if members(config) else single_run.run(composed)


def run_trial(raw: DictConfig) -> float | list[float]:
    """Train the trial of a sweep that this process's environment names; returns its objective's values."""
    return trial.run(raw)
