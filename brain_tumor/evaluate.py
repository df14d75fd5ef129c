"""Evaluate a registered model: `python -m brain_tumor.evaluate model_uri=models:/brain-tumor@champion`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import EvaluateConfig
from brain_tumor.config.validation import typed


def evaluate(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(EvaluateConfig, raw)
    entry.preflight().check_evaluation(config)
    entry.job("evaluate").run(config)


def main() -> None:
    entry.run(evaluate, "evaluate")


if __name__ == "__main__":
    main()
