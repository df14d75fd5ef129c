"""The state of a sweep in the terminal: `python -m brain_tumor.study [name=STUDY] [storage=ADDRESS]`."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import StudyConfig
from brain_tumor.config.validation import typed


def show(raw: DictConfig) -> None:
    """Type the configuration and run the job."""
    config = typed(StudyConfig, raw)
    entry.job("study", tensorflow=False).run(config, Path(HydraConfig.get().runtime.cwd))


def main() -> None:
    entry.run(show, "study")


if __name__ == "__main__":
    main()
