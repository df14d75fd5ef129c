"""The interface of what a project adds to the sweeper; `hydra.sweeper.hooks` names the class that is used."""

from typing import Any

import optuna

from brain_tumor.config.sweep import SweepConfig


class Hooks:
    """The hooks of a project that adds nothing."""

    def check(self, config: dict[str, Any], settings: SweepConfig) -> None:
        """Look at one trial's configuration before the study starts; raises InputError for what it would trip over."""

    def facts(self) -> dict[str, Any]:
        """After all checks: what beside the configuration makes two studies the same, a digest of the data, say."""
        return {}

    def opened(self, study: optuna.Study, made: bool) -> None:
        """The study is there; `made`: this process has made it."""

    def lost(self, study: optuna.Study, number: int) -> None:
        """A trial's process has died without a word; its attributes say what it had noted until then, and why."""

    def told(self, study: optuna.Study) -> None:
        """Trials of this process have ended."""

    def closed(self, study: optuna.Study, status: str) -> None:
        """This process is through: FINISHED, KILLED (interrupted) or FAILED."""
