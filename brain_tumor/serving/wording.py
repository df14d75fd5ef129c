"""What answers are called wherever a person reads them: on the page and in a report."""

from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.serving.predictor import Prediction

OTHER, UNSURE = "Not a brain MRI", "Not sure"
SYNTHETIC = "trained on synthetic phantoms, never on a real image: what it says of a real one means nothing."


def headline(said: Prediction) -> str:
    """The answer in a few words."""
    if said.not_brain_mri:
        return OTHER
    if said.not_sure:
        return f"{UNSURE}; most probable: {said.label}"
    return said.label


def calibrated(uncertainty: Uncertainty | None) -> str:
    """What a model's probabilities and sets are worth."""
    if uncertainty is None:
        return "Probabilities as they are: this model was not calibrated, and cannot say that it is not sure."
    text = "Calibrated probabilities."
    if uncertainty.sets.levels:
        text += " Of images as those it was calibrated on, a set holds the true class at least as often as it says."
    return text


def share(value: float) -> str:
    """A probability as per cent."""
    if 0 < value < 0.0005:
        return "<\u00a00.1\u00a0%"
    if 0.9995 <= value < 1:
        return ">\u00a099.9\u00a0%"
    return f"{100 * value:.1f}\u00a0%"
