"""A fitted uncertainty as two files: one holds every threshold, the other the arrays of the distance."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from brain_tumor.data.split import write_text
from brain_tumor.evaluation.uncertainty.calibration import Scaling
from brain_tumor.evaluation.uncertainty.conformal import Sets
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty
from brain_tumor.evaluation.uncertainty.out_of_distribution import Gaussians
from brain_tumor.evaluation.uncertainty.pooling import plain, read_pooling

FILES = ("outliers.npz", "decision.json")  # the last one is written last: where it is, all is


def write_uncertainty(uncertainty: Uncertainty, folder: Path) -> None:
    """Write FILES into `folder`."""
    scaling, volumes = uncertainty.scaling, uncertainty.volumes
    arrays, text = (folder / name for name in FILES)
    np.savez(arrays, means=uncertainty.gaussians.means, precision=uncertainty.gaussians.precision)
    facts = {
        "classes": uncertainty.classes,
        "scaling": {
            "kind": scaling.kind,
            "scale": scaling.scale.tolist(),  # the weights of the layer `logits` are multiplied by it
            "shift": scaling.shift.tolist(),
            "why": scaling.why,
        },
        "sets": _of_sets(uncertainty.sets),
        "accuracy": uncertainty.accuracy,
        "confidence": None if np.isinf(uncertainty.confidence) else uncertainty.confidence,
        "distance": uncertainty.distance,
        "answered": uncertainty.answered,
        "volumes": None if volumes is None else {**plain(volumes), "sets": _of_sets(volumes.sets)},
    }
    write_text(text, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def read_uncertainty(folder: Path) -> Uncertainty:
    """What `write_uncertainty` wrote; ValueError if it cannot be read."""
    arrays, text = (folder / name for name in FILES)
    try:
        facts: dict[str, Any] = json.loads(text.read_text(encoding="utf-8"))
        with np.load(arrays, allow_pickle=False) as found:
            gaussians = Gaussians(found["means"], found["precision"])
        scaling, volumes, classes = facts["scaling"], facts.get("volumes"), len(facts["classes"])
        return Uncertainty(
            tuple(facts["classes"]),
            Scaling(scaling["kind"], np.array(scaling["scale"]), np.array(scaling["shift"]), scaling["why"]),
            _sets(facts["sets"], classes),
            facts["accuracy"],
            np.inf if facts["confidence"] is None else facts["confidence"],
            gaussians,
            facts["distance"],
            facts.get("answered"),
            None if volumes is None else read_pooling(volumes, _sets(volumes["sets"], classes), classes),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error


def _of_sets(sets: Sets) -> dict[str, Any]:
    return {
        "levels": sets.levels,
        # null: infinite, which JSON does not know
        "limits": [[None if np.isinf(limit) else limit for limit in row] for row in sets.limits.tolist()],
        "images": sets.images,
        "groups": sets.groups,
    }


def _sets(facts: dict[str, Any], classes: int) -> Sets:
    limits = np.array(facts["limits"], dtype=float).reshape(-1, classes)
    limits = np.where(np.isnan(limits), np.inf, limits)
    return Sets(tuple(facts["levels"]), limits, tuple(facts["images"]), tuple(facts["groups"]))
