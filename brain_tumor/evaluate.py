"""Evaluate a registered model: `python -m brain_tumor.evaluate model_uri=models:/brain-tumor@champion`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import EvaluateConfig
from brain_tumor.config.validation import typed
from brain_tumor.jobs.preflight import check_evaluation


def evaluate(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(EvaluateConfig, raw)
    check_evaluation(config)
    with entry.loading():
        from brain_tumor.jobs import evaluate as job  # noqa: PLC0415 - TensorFlow, once the checks have passed
    job.run(config)


def main() -> None:
    entry.run(evaluate, "evaluate")


if __name__ == "__main__":
    main()
