"""The steps of a training run, and how much work each is: what progress and the time left go by.

Work is counted in passes of one image forwards through the network. Training all layers is taken as four of them (the
passes back cost about twice the one forwards, and batch norm that learns the rest), a map as two for each of its views.
"""

from brain_tumor.config.train import TrainConfig
from brain_tumor.evaluation.uncertainty.out_of_distribution import FIT_IMAGES
from brain_tumor.progress import expect
from brain_tumor.training.checkpoint import History
from brain_tumor.training.fit import phase_step
from brain_tumor.training.preparation import Prepared

IMAGES, UNCERTAINTY, SCORES, MAPS = "reading the images", "fitting the uncertainty", "measuring", "making maps"
BACKPROPAGATION = 4
MAP = 2


def titles(config: TrainConfig) -> list[str]:
    """The steps in their order."""
    return [IMAGES, *map(phase_step, config.schedule), UNCERTAINTY, SCORES, MAPS]


def expect_work(prepared: Prepared, history: History) -> None:
    """Say how much work each step of the running course is, now that the images are known, after `history`'s epochs."""
    config, dataset = prepared.config, prepared.dataset
    counts = {part: len(dataset.rows(part)) for part in ("train", "val", "calibration", "test")}
    painted = 0 if prepared.painted is None else len(prepared.painted.places)
    taught = prepared.training.teacher is not None
    for name, phase in config.schedule.items():
        epochs = phase.epochs - sum(row["phase"] == name for row in history)
        seen, validated = counts["train"] * epochs, (counts["val"] + painted) * epochs
        if phase.feature_views is not None:
            passes = counts["train"] * phase.feature_views * (1 + taught) + counts["val"]
            expect(phase_step(name), passes, passes)  # its epochs, on what is stored, are nearly nothing
            continue
        backwards = 1 if phase.unfreeze == "head" else BACKPROPAGATION
        expect(phase_step(name), seen * (backwards + taught) + validated, seen)
    fitted = min(counts["train"], FIT_IMAGES) + counts["val"] + counts["calibration"]
    expect(UNCERTAINTY, fitted, fitted)
    measured = counts["val"] + (counts["test"] if config.test else 0)
    expect(SCORES, measured, measured)
    if dataset.mask_paths is not None:
        parts = ("val", "test") if config.test else ("val",)
        lesions = sum(dataset.mask_paths[row] != "" for part in parts for row in dataset.rows(part))
        expect(MAPS, lesions * MAP * config.explain.views, lesions)
