"""What this project adds to the sweeper: checks before the first trial, and the study's own run in MLflow."""

from typing import Any, get_args

from brain_tumor.config import Monitor, TrainConfig, typed
from brain_tumor.errors import InputError
from brain_tumor.evaluation.cost import COSTS
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.settings import SweepConfig
from brain_tumor.training.job import loaded
from brain_tumor.training.preflight import image_size, preflight


class Project(Hooks):
    def check(self, config: dict[str, Any], settings: SweepConfig) -> dict[str, Any]:
        """Types, model, weights, schedule, objective and images; the fact is the data's digest."""
        known = [*get_args(Monitor), *COSTS]
        for metric in settings.metrics:
            if metric not in known:
                raise InputError(f"sweep.metric={metric} is none that a run has: choose of {', '.join(known)}")
        trial = typed(TrainConfig, config)
        preflight(trial)
        dataset = loaded(trial.data, image_size=image_size(trial), protocol=trial.protocol.name)
        return {"digest of the data": dataset.split.digest}
