"""Average several models as one: `python -m brain_tumor.ensemble run=PARENT register=NAME`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import EnsembleConfig
from brain_tumor.config.validation import typed


def ensemble(raw: DictConfig) -> None:
    """Type the configuration, find and check the members, and run the job."""
    config = typed(EnsembleConfig, raw)
    members = entry.preflight().check_ensemble(config)
    entry.job("ensemble").run(config, members)


def main() -> None:
    entry.run(ensemble, "ensemble")


if __name__ == "__main__":
    main()
