"""What Hydra must find: the class behind `hydra/sweeper=optuna_study`. The work is in `brain_tumor.sweep`.

Hydra imports every plugin at every start, so nothing heavy is imported here.
"""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.refusals import hand_back_errors


class OptunaStudySweeper(Sweeper):
    """Runs an Optuna study that prunes, resumes, and is shared by any number of workers."""

    def __init__(self, hooks: str, workers: int | None) -> None:
        self._hooks, self._workers = hooks, workers
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from brain_tumor.sweep.sweeper import sweep  # noqa: PLC0415 - Optuna, which a command without -m does without

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        hand_back_errors()
        with entry.guarded():
            sweep(
                arguments,
                config=self.config,
                hydra_context=self.hydra_context,
                launcher=self.launcher,
                hooks=get_class(self._hooks)(),
            )


for _name, _hooks in {
    "optuna_study": "brain_tumor.sweep.hooks.Hooks",  # for any project
    "brain_tumor": "brain_tumor.jobs.sweep_hooks.Project",  # with this one's own checks and reports
}.items():
    ConfigStore.instance().store(
        group="hydra/sweeper",
        name=_name,
        node={
            "_target_": "hydra_plugins.brain_tumor_sweeper.OptunaStudySweeper",
            "hooks": _hooks,
            "workers": None,  # trials at once, where the launcher has no n_jobs to say so
        },
        provider="brain_tumor",
    )
