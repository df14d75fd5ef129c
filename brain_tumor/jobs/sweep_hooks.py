"""What this project adds to the sweeper (`sweep/hooks.py`): checks before the first trial, and a run of its own."""

from typing import Any, get_args

import optuna

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import TRUST, Monitor, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.dataset import load_shared
from brain_tumor.errors import InputError
from brain_tumor.evaluation.cost import COSTS
from brain_tumor.jobs.member_runs import refuse
from brain_tumor.jobs.preflight import check_source, check_store
from brain_tumor.jobs.teacher import find_teacher, require_stranger
from brain_tumor.jobs.training_checks import check_training
from brain_tumor.models.backbones import input_shape
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.training.known_lesions import require_lesions


class Project(Hooks):
    """One sweep of this process."""

    def __init__(self) -> None:
        self._checked: list[tuple[TrainConfig, dict[str, Any]]] = []
        self._synthetic = True
        self._run: Any = None  # a StudyRun

    def check(self, config: dict[str, Any], settings: SweepConfig) -> None:
        """Types, model, weights, schedule and objective."""
        known = [*get_args(Monitor), *COSTS]
        for metric in settings.metrics:
            if metric not in known:
                raise InputError(f"sweep.metric={metric} is none that a run has: choose of {', '.join(known)}")
        trial = typed(TrainConfig, config)
        if TRUST in settings.metrics and trial.monitor != TRUST:
            raise InputError(f"sweep.metric={TRUST} is measured where it is the monitor: add monitor={TRUST}")
        if trial.resume:
            raise InputError("resume goes on with one run, by its own configuration: leave out -m")
        refuse(trial)
        check_training(trial)
        self._checked.append((trial, config))

    def facts(self) -> dict[str, Any]:
        """Open the store, and read all images that the trials will read, before them.

        The facts are their digest and, where there is one, the teacher.
        """
        check_store(self._checked[0][0].tracking)
        teachers = sorted({uri for trial, _ in self._checked if (uri := find_teacher(trial, check_source(trial.data)))})
        read = {}
        for trial, _ in self._checked:
            source = (trial.data, input_shape(trial), trial.protocol)
            if source not in read:
                read[source] = load_shared(trial.data, shape=source[1], protocol=source[2])
            require_lesions(trial, read[source])
            require_stranger(trial, read[source])
        splits = [dataset.split for dataset in read.values()]
        self._synthetic = splits[0].synthetic
        taught = {"teacher": " ".join(teachers)} if teachers else {}
        return {"digest of the data": " ".join(sorted({split.digest[:12] for split in splits})), **taught}

    def opened(self, study: optuna.Study, made: bool) -> None:
        from brain_tumor.jobs.study_run import StudyRun  # noqa: PLC0415 - MLflow, once all checks have passed

        config, composed = self._checked[0]
        self._run = StudyRun.opened(config, composed, study, synthetic=self._synthetic, made=made)

    def lost(self, study: optuna.Study, number: int) -> None:
        self._run.lost(study.get_trials(deepcopy=False)[number])

    def told(self, study: optuna.Study) -> None:
        self._run.told(study)

    def closed(self, study: optuna.Study, status: str) -> None:
        self._run.closed(study, status)
