"""Write a model for other runtimes: `python -m brain_tumor.export model_uri=models:/brain-tumor@champion out=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import ExportConfig
from brain_tumor.config.validation import typed
from brain_tumor.jobs.preflight import check_export


def export(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(ExportConfig, raw)
    folder = check_export(config)
    with entry.loading():
        from brain_tumor.jobs import export as job  # noqa: PLC0415 - TensorFlow, once the checks have passed
    job.run(config, folder)


def main() -> None:
    entry.run(export, "export")


if __name__ == "__main__":
    main()
