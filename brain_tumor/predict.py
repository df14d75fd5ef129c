"""Answer for files: `python -m brain_tumor.predict model_uri=models:/brain-tumor@champion input=DIR out=x.csv`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import PredictConfig
from brain_tumor.config.validation import typed
from brain_tumor.jobs.preflight import check_prediction


def predict(raw: DictConfig) -> None:
    """Type the configuration, find the files, and run the job."""
    config = typed(PredictConfig, raw)
    files, out = check_prediction(config)
    with entry.loading():
        from brain_tumor.jobs import predict as job  # noqa: PLC0415 - TensorFlow, once the checks have passed
    job.run(config, files, out)


def main() -> None:
    entry.run(predict, "predict")


if __name__ == "__main__":
    main()
