"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices).

With `-m` it is one trial of many: see brain_tumor/sweep/.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.errors import InputError
from brain_tumor.sweep.signals import NUMBER

# Where things are, and the machine that goes on.
KEYS_BESIDE_RESUME = (
    "resume",
    "data.root",
    "data.cache",
    "data.masks",
    "tracking.uri",
    "tracking.checkpoints",
    "hardware",
    "hardware.threads",
    "hardware.strategy",
    "hardware.device",
    "hardware.precision",
    "hardware.jit_compile",
    "hardware.micro_batch",
)


def train(raw: DictConfig) -> float | list[float]:
    """Compose, train, track, register, explain, measure; returns the best epoch's `monitor` on the val part.

    A sweep's trial returns its objective's values, and is told of every epoch, and prunes.
    """
    if NUMBER in os.environ:
        return _trial(raw)
    hydra = HydraConfig.get()
    request = _request(raw)
    config, overrides = request.config, request.overrides
    if config.resume:
        _check_resume(overrides, hydra.mode == RunMode.MULTIRUN)
    from brain_tumor.jobs import multi_run, train

    if config.resume:
        return multi_run.resume(config, overrides)
    if hydra.mode == RunMode.MULTIRUN:  # of another sweeper
        multi_run.refuse(config)
        request = replace(request, config=replace(config, test=False))
    return multi_run.run(request) if multi_run.members(config) else train.run(request)


def _request(raw: DictConfig) -> Any:
    values = plain(raw)
    typed(SweepConfig, values.pop("sweep", {}), "sweep.")
    config = typed(TrainConfig, values)

    from brain_tumor.jobs.train import Request  # what is wrong with the configuration is said before this takes time

    hydra = HydraConfig.get()
    sweeps = ("sweep.", "sweep=", "sweep/")
    overrides = [text for text in hydra.overrides.task if not text.lstrip("+~").startswith(sweeps)]
    return Request(config, values, overrides, dict(hydra.runtime.choices))


def _trial(raw: DictConfig) -> float | list[float]:
    from brain_tumor.jobs import train
    from brain_tumor.sweep.trial import conclude, current

    cwd = Path(HydraConfig.get().runtime.cwd)
    trial = current(raw.sweep.storage, cwd)
    if cwd.is_dir():  # some launchers start their jobs elsewhere; mlruns/ and relative paths are meant from here
        os.chdir(cwd)
    try:
        return conclude(trial, lambda: train.run_trial(_request(raw), trial))
    finally:
        train.forget()


def _check_resume(overrides: list[str], multirun: bool) -> None:
    others = [text for text in overrides if text.split("=")[0].lstrip("+~") not in KEYS_BESIDE_RESUME]
    if multirun or others:
        raise InputError(
            f"resume goes on with the run's own configuration: leave out {'-m' if multirun else ' '.join(others)}"
        )


def main() -> None:
    entry.run(train, "train")


if __name__ == "__main__":
    main()
