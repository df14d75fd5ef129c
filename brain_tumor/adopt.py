"""Take in a model that was trained elsewhere: `python -m brain_tumor.adopt file=MODEL trained_on=DIR register=NAME`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import AdoptConfig
from brain_tumor.config.validation import typed


def adopt(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(AdoptConfig, raw)
    file = entry.preflight().check_adoption(config)
    entry.job("adopt").run(config, file)


def main() -> None:
    entry.run(adopt, "adopt")


if __name__ == "__main__":
    main()
