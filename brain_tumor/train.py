"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices)."""

from dataclasses import replace

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config import TrainConfig, plain, typed
from brain_tumor.errors import InputError

KEYS_BESIDE_RESUME = ("resume", "data.root", "data.cache", "tracking.uri", "tracking.checkpoints")


def train(raw: DictConfig) -> float:
    """Compose, train, track, register, explain, measure; returns the best epoch's `monitor` on the val part."""
    config = typed(TrainConfig, raw)
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    multirun = hydra.mode == RunMode.MULTIRUN
    if config.resume:
        _check_resume(overrides, multirun)
        from brain_tumor.training.resume import resume

        return resume(config, overrides)

    from brain_tumor.training import job

    config = replace(config, test=config.test and not multirun)
    return job.run(job.Request(config, plain(raw), overrides, dict(hydra.runtime.choices)))


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
