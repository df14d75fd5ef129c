"""Write a model for other runtimes: `python -m brain_tumor.export model_uri=models:/brain-tumor@champion out=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import ExportConfig
from brain_tumor.config.validation import typed


def export(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(ExportConfig, raw)
    folder = entry.preflight().check_export(config)
    entry.job("export").run(config, folder)


def main() -> None:
    entry.run(export, "export")


if __name__ == "__main__":
    main()
