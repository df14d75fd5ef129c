"""What is said of a file, as plain values for JSON."""

from typing import Any

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Scan
from brain_tumor.serving.predictor import VOLUME_RULE, Prediction, ScanPrediction


def reply(scan: Scan, found: ScanPrediction) -> dict[str, Any]:
    """The file's answer (a volume's by VOLUME_RULE), what it is, and the answer of each of its slices.

    Keys: those of `said`; `kind` (image, dicom, nifti), `plane` or None, `slices` (their number); `volume_rule` and
    `decisive_slices` (from 0), None and [] unless the answer is a volume's; `each_slice`; `notice`.
    """
    return {
        **said(found.overall),
        "kind": scan.kind,
        "plane": scan.plane,
        "slices": len(found.slices),
        "volume_rule": VOLUME_RULE if found.volume else None,
        "decisive_slices": list(found.decisive),
        "each_slice": [said(each) for each in found.slices],
        "notice": NOTICE,
    }


def said(prediction: Prediction) -> dict[str, Any]:
    """Keys: `class`, `probabilities` by class, `prediction_sets` by level ("0.9"), `not_sure` and `not_brain_mri`.

    The sets are {} and the last two None where nothing is known of them.
    """
    return {
        "class": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "prediction_sets": {f"{level:g}": list(classes) for level, classes in prediction.sets.items()},
        "not_sure": prediction.not_sure,
        "not_brain_mri": prediction.not_brain_mri,
    }
