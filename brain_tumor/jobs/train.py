"""Whatever `train` is asked for: one run, several, one that goes on, or a sweep's trial."""

from omegaconf import DictConfig

from brain_tumor.config.composition import Composition
from brain_tumor.jobs import multi_run, resume, single_run, trial
from brain_tumor.jobs.members import members


def run(composed: Composition) -> float:
    """Train what a checked composition asks for; returns the best epoch's `monitor` on val, or the mean of several."""
    if composed.config.resume:
        return resume.run(composed.config, composed.overrides)
    return multi_run.run(composed) if members(composed.config) else single_run.run(composed)


def run_trial(raw: DictConfig) -> float | list[float]:
    """Train the trial of a sweep that this process's environment names; returns its objective's values."""
    return trial.run(raw)
