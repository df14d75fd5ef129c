"""Answer for files: `python -m brain_tumor.predict model_uri=models:/brain-tumor@champion input=DIR out=x.csv`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import PredictConfig
from brain_tumor.config.validation import typed


def predict(raw: DictConfig) -> None:
    """Type the configuration, find the files, and run the job."""
    config = typed(PredictConfig, raw)
    files, out = entry.preflight().check_prediction(config)
    entry.job("predict").run(config, files, out)


def main() -> None:
    entry.run(predict, "predict")


if __name__ == "__main__":
    main()
