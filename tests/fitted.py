"""A decision for stand-ins of models, whose one feature is the distance from what was trained on."""

from dataclasses import replace

import numpy as np

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.uncertainty.calibration import Scaling
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.evaluation.uncertainty.out_of_distribution import Gaussians
from brain_tumor.evaluation.uncertainty.pooling import Pooling

UNCERTAINTY = Uncertainty(
    classes=STANDARD.names,
    scaling=Scaling("none", np.ones(4), np.zeros(4), "as it is"),
    sets=Sets((0.9,), np.full((1, 4), 0.65), (100,) * 4, (100,) * 4),
    accuracy=0.98,
    confidence=0.8,
    gaussians=Gaussians(np.zeros((4, 1)), np.eye(1)),
    distance=10.0,
)
# A volume's odds are those of the mean over its slices, scaled to the sum of 1.
POOLED = replace(
    UNCERTAINTY,
    volumes=Pooling("mean", np.eye(4), np.zeros(4), UNCERTAINTY.sets, accuracy=0.9, confidence=0.8, answered=100),
)
