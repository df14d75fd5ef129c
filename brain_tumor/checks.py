"""Look whether a training can start here: `python -m brain_tumor.checks` (it takes what `train` takes)."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.composition import composition


def check(raw: DictConfig) -> None:
    """Type the configuration and run the job, which starts TensorFlow itself: that may be what is broken."""
    config = composition(raw).config
    entry.job("checks", tensorflow=False).run(config)


def main() -> None:
    entry.run(check, "checks")


if __name__ == "__main__":
    main()
