"""Before the first trial of a multirun: what any of its trials would trip over."""

import sys
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from brain_tumor.config import TrainConfig, typed
from brain_tumor.errors import InputError
from brain_tumor.training.preflight import preflight


class SweepCheck(Callback):
    """Hydra callback: checks every combination's configuration, model and weights, and stops at the first mistake."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        batches = BasicSweeper.split_arguments(overrides, max_batch_size=None)
        try:
            for combination in (combination for batch in batches for combination in batch):
                preflight(typed(TrainConfig, compose(config.hydra.job.config_name, overrides=list(combination))))
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)  # Hydra turns other exceptions of a callback into warnings
