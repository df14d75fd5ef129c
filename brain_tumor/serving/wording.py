"""What answers are called wherever a person reads them: on the page and in a report."""

from collections.abc import Mapping

from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts

OTHER, UNSURE = "Not a brain MRI", "Not sure"
MOSTLY_OTHER = "Mostly not a brain MRI"
POOLED = (  # what the answer for a whole volume is worth
    "Pooled over the slices that pass as brain MRI, and calibrated on volumes of known class. Of volumes as these a "
    "set holds the true class about as often as it says."
)
SYNTHETIC = "trained on synthetic phantoms, never on a real image: what it says of a real one means nothing."


def headline(said: Prediction) -> str:
    """The answer in a few words."""
    if said.not_brain_mri:
        return OTHER
    if said.not_sure:
        return f"{UNSURE}; most probable: {said.label}"
    return said.label


def summary(found: ScanPrediction) -> str:
    """`headline` of a file: of a volume also what its slices say, which is all where it has no class."""
    if found.volume is None:
        return headline(found.slices[0])
    if found.volume.not_brain_mri:
        return f"{MOSTLY_OTHER}: {counted(found.volume)}"
    whole = f"{headline(found.volume.answer)}; " if found.volume.answer else ""
    return f"{whole}{counted(found.volume)}"


def counted(volume: VolumeCounts) -> str:
    """What the slices of a volume say, by class, the most frequent first."""
    if not volume.brains:
        return f"none of {volume.slices} slices passes as brain MRI"
    passing = f"{volume.brains} of {volume.slices} slices pass as brain MRI"
    return f"{passing}, of which {', '.join(f'{name} {share(value)}' for name, value in said(volume.shares))}"


def said(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    """The classes that any slice is answered with, the most frequent first."""
    return sorted(((name, value) for name, value in shares.items() if value), key=lambda each: -each[1])


def calibrated(uncertainty: Uncertainty | None) -> str:
    """What a model's probabilities and sets are worth."""
    if uncertainty is None:
        return "Probabilities as they are: this model was not calibrated, and cannot say that it is not sure."
    text = "Calibrated probabilities."
    if uncertainty.sets.levels:
        text += " Of images as those it was calibrated on, a set holds the true class at least as often as it says."
    return text


def share(value: float) -> str:
    """A probability, or a share, as per cent."""
    if 0 < value < 0.0005:
        return "<\u00a00.1\u00a0%"
    if 0.9995 <= value < 1:
        return ">\u00a099.9\u00a0%"
    return f"{100 * value:.1f}\u00a0%"
