"""A study's own run in MLflow, from the first trial to the best one's model, and what is printed at the sweep's end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial

from brain_tumor.config.train import TrainConfig
from brain_tumor.layout.blocks import Block, Code, Finding, Grid, Paragraph, Summary, pairs, plainly, verdicts
from brain_tumor.sweep.confirmation import SEED, confirmation, said, to_register, winner
from brain_tumor.sweep.summary import best_trials, is_scored, train_overrides
from brain_tumor.tracking.cards import publish_card
from brain_tumor.tracking.runs import end, git_tags
from brain_tumor.tracking.store import Store, command_here, open_store
from brain_tumor.tracking.summary import publish, with_store
from brain_tumor.tracking.sweep_note import describe, keep, opening
from brain_tumor.tracking.sweep_run import (
    check_best,
    close_parent,
    log_progress,
    open_parent,
    register_best,
    tell_of_namesakes,
)


@dataclass(frozen=True)
class StudyRun:
    """The run that the trials' runs are children of."""

    config: TrainConfig  # of the first trial
    store: Store
    run_id: str
    synthetic: bool
    stop: Callable[[], None]  # ends the thread that keeps its description up to date

    @classmethod
    def opened(
        cls, config: TrainConfig, composed: dict[str, Any], study: optuna.Study, *, synthetic: bool, made: bool
    ) -> "StudyRun":
        """The study's run, made with the configuration in it, or the one that another worker has `made`."""
        store = open_store(config.tracking)
        if made:
            tell_of_namesakes(store, study)
        elif config.tracking.register:
            check_best(study)
        tags = {"data_kind": "synthetic" if synthetic else "real", **git_tags()}
        text = yaml.safe_dump(composed, sort_keys=False, allow_unicode=True)
        name = f"study {study.study_name}"
        run_id = open_parent(store, study, name=name, tags=tags, config_text=text, created=made)
        return cls(config, store, run_id, synthetic, keep(store.uri, run_id, study))

    def lost(self, trial: FrozenTrial) -> None:
        """End the run of a trial whose process died."""
        if run_id := trial.user_attrs.get("run_id"):
            end(str(run_id), trial.user_attrs.get("reason") or "its process died")

    def told(self, study: optuna.Study) -> None:
        """Bring it up to date."""
        log_progress(self.store, self.run_id, study)

    def closed(self, study: optuna.Study, status: str) -> None:
        """End it, register the best trial's model, and say how to train and to evaluate that."""
        self.stop()
        try:
            opens = opening(self.run_id, study, log_progress(self.store, self.run_id, study, figures=True))
            describe(self.store.uri, self.run_id, study, opens)
        finally:
            close_parent(self.run_id, status)
        best = winner(study)
        if status != "FINISHED" or best is None:
            return
        names = study.user_attrs["metrics"]
        rows = [
            (f"trial {trial.number}", *(f"{value:.4f}" for value in trial.values))
            for trial in best_trials(study.get_trials(deepcopy=False), study.directions)
        ]
        again = confirmation(study)
        found = [Grid(("best", *names), tuple(rows))] if again is None else said(again)
        title = f"Study {study.study_name}{' (SYNTHETIC images)' if self.synthetic else ''}, the best by the val part:"
        publish(self.run_id, Summary((Paragraph(title), *found, *self._afterwards(study, best))), lead=[opens])

    def _afterwards(self, study: optuna.Study, best: FrozenTrial) -> list[Block]:
        """The best trial's model, registered, and what to type next."""
        again = [text for text in train_overrides(study, best) if not text.startswith("data.subset=")]
        if self.config.data.subset is not None:  # typed, or of an experiment's file, which still stands in the line
            again.append("data.subset=null")
        tracking, findings = self.config.tracking, []
        facts = self.store.addresses(self.run_id)
        commands = self.store.serve
        if tracking.register:
            uri, _, crowned = register_best(study, tracking.register)
            trained = to_register(study) or best
            findings = [publish_card(str(trained.user_attrs["run_id"]))]
            facts = [("model", f"{uri}, {crowned.verdict}"), *facts]
            commands.append(with_store(tracking, "evaluate", f"model_uri={uri}"))
        last = "The last command trains the best trial again, on all training data, and opens the test part."
        commands.append(command_here("train", *again))
        return [verdicts([*findings, *_unconfirmed(study), plainly(last)]), pairs(facts), Code("\n".join(commands))]


def _unconfirmed(study: optuna.Study) -> list[Finding]:
    """That the best score is the luckiest one, too, where nobody has looked how much of it was luck."""
    scores = sum(is_scored(trial) for trial in study.get_trials(deepcopy=False))
    if len(study.directions) > 1 or scores < 2 or SEED not in study.user_attrs["fixed"] or confirmation(study):
        return []
    return [
        plainly(
            f"The best of {scores} scores is partly luck: the same command with sweep.confirm=3 trains the best three "
            "again with other seeds, and goes by the mean."
        )
    ]
