"""A study's own run in MLflow, from the first trial to the best one's model, and what is printed at the sweep's end."""

import shlex
from dataclasses import dataclass
from typing import Any

import optuna
import yaml

from brain_tumor.command_line import command
from brain_tumor.config.train import TrainConfig
from brain_tumor.sweep.summary import best_trials, chosen_trial, train_overrides
from brain_tumor.tracking.cards import card_line
from brain_tumor.tracking.runs import git_tags
from brain_tumor.tracking.store import Store, open_store
from brain_tumor.tracking.sweep_run import close_parent, log_progress, open_parent, register_best


@dataclass(frozen=True)
class StudyRun:
    """The run that the trials' runs are children of."""

    config: TrainConfig  # of the first trial
    store: Store
    run_id: str
    synthetic: bool

    @classmethod
    def opened(
        cls, config: TrainConfig, composed: dict[str, Any], study: optuna.Study, *, synthetic: bool, made: bool
    ) -> "StudyRun":
        """The study's run, made with the configuration in it, or the one that another worker has `made`."""
        store = open_store(config.tracking)
        tags = {"data_kind": "synthetic" if synthetic else "real", **git_tags()}
        text = yaml.safe_dump(composed, sort_keys=False, allow_unicode=True)
        name = f"study {study.study_name}"
        run_id = open_parent(store, study, name=name, tags=tags, config_text=text, created=made)
        return cls(config, store, run_id, synthetic)

    def told(self, study: optuna.Study) -> None:
        """Bring it up to date."""
        log_progress(self.store, self.run_id, study)

    def closed(self, study: optuna.Study, status: str) -> None:
        """End it, register the best trial's model, and say how to train and to evaluate that."""
        try:
            log_progress(self.store, self.run_id, study, figures=True)
        finally:
            close_parent(self.run_id, status)
        best = chosen_trial(study)
        if status != "FINISHED" or best is None:
            return
        names = study.user_attrs["metrics"]
        for trial in best_trials(study.get_trials(deepcopy=False), study.directions):
            values = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, trial.values, strict=True))
            print(f"best      trial {trial.number}: {values}{' (SYNTHETIC images)' if self.synthetic else ''}")
        again = [text for text in train_overrides(study, best) if not text.startswith("data.subset=")]
        if self.config.data.subset is not None:  # typed, or of an experiment's file, which still stands in the line
            again.append("data.subset=null")
        lines = [f"train it again, on all training data: {command('train')} {shlex.join(again)}"]
        tracking = self.config.tracking
        if tracking.register:
            uri, _, crowned = register_best(study, tracking.register)
            card = card_line(str(best.user_attrs["run_id"]))
            evaluated = [f"model_uri={uri}", *([f"tracking.uri={tracking.uri}"] if tracking.uri else [])]
            lines = [
                f"model     {uri}",
                crowned,
                card,
                *lines,
                f"evaluate it: {command('evaluate')} {shlex.join(evaluated)}",
            ]
        run = self.store.run_address(self.run_id)
        places = [f"study     {run}", f"all runs  {self.store.runs_address}", f"MLflow    {self.store.ui_command}"]
        print("\n".join([*lines, *places]))
