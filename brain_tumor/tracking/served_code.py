"""The code that a saved model carries: MLflow copies this file into it and runs it there, in place of a pickle."""

from mlflow.models import set_model

try:
    from brain_tumor.tracking.served import ServedModel
except ModuleNotFoundError as error:
    raise ImportError(
        f"{error}. This model is answered by the package brain-tumor with all that it needs: install it where the "
        "model is loaded, and serve with --env-manager local"
    ) from error

set_model(ServedModel())
