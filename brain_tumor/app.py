"""Look at what a model says: `python -m brain_tumor.app model_uri=models:/brain-tumor@champion`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import AppConfig
from brain_tumor.config.validation import typed


def app(raw: DictConfig) -> None:
    """Type the configuration, take the address to answer at, and run the job."""
    config = typed(AppConfig, raw)
    login, place = entry.preflight().check_app(config)
    with place:
        entry.preflight().check_store(config.tracking)
        entry.job("app").run(config, login, place)


def main() -> None:
    entry.run(app, "app")


if __name__ == "__main__":
    main()
