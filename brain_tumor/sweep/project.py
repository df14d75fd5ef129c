"""What this project adds to the sweeper: checks before the first trial, and the study's own run in MLflow."""

import shlex
from typing import Any, get_args

import optuna
import yaml

from brain_tumor import entry
from brain_tumor.config import Monitor, TrainConfig
from brain_tumor.errors import InputError
from brain_tumor.evaluation.cost import COSTS
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.settings import SweepConfig
from brain_tumor.sweep.summary import best_trials, chosen_trial, train_overrides
from brain_tumor.training.job import loaded
from brain_tumor.training.preflight import image_size, preflight
from brain_tumor.training.several import refuse
from brain_tumor.typed import typed


class Project(Hooks):
    """One sweep of this process."""

    def __init__(self) -> None:
        self._checked: list[tuple[TrainConfig, dict[str, Any]]] = []
        self._synthetic = True
        self._store: Any = None
        self._run_id = ""

    def check(self, config: dict[str, Any], settings: SweepConfig) -> None:
        """Types, model, weights, schedule and objective."""
        known = [*get_args(Monitor), *COSTS]
        for metric in settings.metrics:
            if metric not in known:
                raise InputError(f"sweep.metric={metric} is none that a run has: choose of {', '.join(known)}")
        trial = typed(TrainConfig, config)
        if trial.resume:
            raise InputError("resume goes on with one run, by its own configuration: leave out -m")
        refuse(trial)
        preflight(trial)
        self._checked.append((trial, config))

    def facts(self) -> dict[str, Any]:
        """Read all images that the trials will read, once and before them; the fact is their digest."""
        splits = {}
        for trial, _ in self._checked:
            source = (trial.data, image_size(trial), trial.protocol)
            if source not in splits:
                splits[source] = loaded(trial.data, image_size=source[1], protocol=source[2]).split
        self._synthetic = next(iter(splits.values())).synthetic
        return {"digest of the data": " ".join(sorted({split.digest[:12] for split in splits.values()}))}

    def opened(self, study: optuna.Study, made: bool) -> None:
        from brain_tumor.tracking.runs import git_tags
        from brain_tumor.tracking.store import open_store
        from brain_tumor.tracking.sweep_run import open_parent

        config, composed = self._checked[0]
        self._store = open_store(config.tracking)
        tags = {"data_kind": "synthetic" if self._synthetic else "real", **git_tags()}
        text = yaml.safe_dump(composed, sort_keys=False, allow_unicode=True)
        name = f"study {study.study_name}"
        self._run_id = open_parent(self._store, study, name=name, tags=tags, config_text=text, created=made)

    def told(self, study: optuna.Study) -> None:
        from brain_tumor.tracking.sweep_run import log_progress

        log_progress(self._store, self._run_id, study)

    def closed(self, study: optuna.Study, status: str) -> None:
        from brain_tumor.tracking.cards import card_line
        from brain_tumor.tracking.sweep_run import close_parent, log_progress, register_best

        config = self._checked[0][0]
        try:
            log_progress(self._store, self._run_id, study, figures=True)
        finally:
            close_parent(self._run_id, status)
        best = chosen_trial(study)
        if status != "FINISHED" or best is None:
            return
        names = study.user_attrs["metrics"]
        for trial in best_trials(study.get_trials(deepcopy=False), study.directions):
            values = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, trial.values, strict=True))
            print(f"best      trial {trial.number}: {values}{' (SYNTHETIC images)' if self._synthetic else ''}")
        again = [text for text in train_overrides(study, best) if not text.startswith("data.subset=")]
        if config.data.subset is not None:  # typed, or of an experiment's file, which still stands in the line
            again.append("data.subset=null")
        lines = [f"train it again, on all training data: {entry.command('train')} {shlex.join(again)}"]
        if config.tracking.register:
            uri, _, crowned = register_best(study, config.tracking.register)
            card = card_line(str(best.user_attrs["run_id"]))
            evaluated = [f"model_uri={uri}", *([f"tracking.uri={where}"] if (where := config.tracking.uri) else [])]
            lines = [
                f"model     {uri}",
                crowned,
                card,
                *lines,
                f"evaluate it: {entry.command('evaluate')} {shlex.join(evaluated)}",
            ]
        run = self._store.run_address(self._run_id)
        print("\n".join([*lines, f"study     {run}", f"MLflow    {self._store.ui_command}"]))
